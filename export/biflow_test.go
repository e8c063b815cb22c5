package export

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cacheflow/cache/flow"
)

// biflowForms are the forms that biflows can have.
var biflowForms = []Fields{
	{Biflow: true},
	{Biflow: true, Counters: CountersReduced},
	{Biflow: true, Counters: CountersReduced, FlowID: true, Timestamps: TimestampsSysUpTime},
}

// reverseOf returns the other direction of r, a little later, with other values in
// every field that is not common to both.
func reverseOf(r flow.Record) flow.Record {
	o := r
	o.Src, o.Dst, o.SrcPort, o.DstPort = r.Dst, r.Src, r.DstPort, r.SrcPort
	if r.IsICMP() {
		o.SrcPort, o.DstPort = 0, 0
		if r.Version == 6 {
			o.DstPort = 129 << 8
		}
	}
	o.ToS, o.Direction, o.Input, o.Egress = 0x28, 1-r.Direction, 77, 88
	o.TCPFlags, o.MinTTL, o.MaxTTL = flow.ACK|flow.PSH, 11, 12
	o.Packets, o.Octets, o.MinLength, o.MaxLength = 4321, 123456, 52, 1400
	o.First, o.Last, o.Expired = r.First+20e6, r.Last+30e6, r.Expired+1e9
	o.SrcMAC, o.DstMAC = r.DstMAC, r.SrcMAC
	o.FlowLabel, o.VLAN, o.CustomerVLAN, o.MPLSDepth, o.Fragment = 0x12345, 300, 400, 1, false
	o.MPLS = [3][3]byte{{1, 1, 1}}
	o.NextHop[15], o.NextHop[3] = 0, 0
	o.SrcPrefixLen, o.DstPrefixLen, o.Status, o.End = r.DstPrefixLen, r.SrcPrefixLen, flow.TerminatedHere, flow.IdleTimeout
	return o
}

func echo(version uint8) flow.Record {
	r := record6()
	if version == 4 {
		r = record4()
		r.Protocol, r.SrcPort, r.DstPort = flow.ProtocolICMP, 0, 8<<8
	}
	return r
}

// conversations are pairs of records, the initiator's first.
func conversations() (pairs [][2]flow.Record) {
	for _, r := range []flow.Record{record4(), echo(4), echo(6), record4via6()} {
		pairs = append(pairs, [2]flow.Record{r, reverseOf(r)})
	}
	mixed := reverseOf(record4via6()) // whose gateway is of IPv4
	mixed.NextHop, mixed.NextHopVersion = [16]byte{10, 0, 0, 1}, 4
	large := reverseOf(record4())
	large.Octets = 1 << 40
	return append(pairs, [2]flow.Record{record4via6(), mixed}, [2]flow.Record{record4(), large})
}

// reversible are the elements that a biflow has of both directions. The others are the
// same in both, of the biflow (RFC 5103 §6.1), or left out.
func reversible(id uint16) bool {
	return slices.Contains([]uint16{1, 2, 5, 6, 9, 10, 13, 14, 15, 21, 22, 25, 26, 29, 30, 31, 32, 62, 89, 136, 139, 152, 153}, id)
}

// wantBiflow returns the fields of a biflow.
func wantBiflow(cfg *Config, initiator, responder *flow.Record) map[uint16]any {
	form := *cfg
	if max(initiator.Packets, initiator.Octets, responder.Packets, responder.Octets) >= 1<<32 {
		form.Fields.Counters = CountersLong
	}
	w := wantForm(&form, initiator)
	w[239] = uint8(1)
	reverse := wantForm(&form, responder)
	if initiator.Version == 4 && (initiator.NextHopVersion == 6 || responder.NextHopVersion == 6) {
		for _, d := range []map[uint16]any{w, reverse} { // both kinds of next hop
			for id, n := range map[uint16]int{15: 4, 62: 16} {
				if d[id] == nil {
					d[id] = make([]byte, n)
				}
			}
		}
	}
	for id, v := range reverse {
		if reversible(id) {
			w[0x8000|id] = v
		}
	}
	return w
}

// TestBiflowFieldByField: goflow2 finds the initiator's record, and each value of the
// other direction's in the reverse element, whichever came first.
func TestBiflowFieldByField(t *testing.T) {
	for _, fields := range biflowForms {
		cfg := Config{Protocol: IPFIX, SourceID: 7, Fields: fields}
		for _, pair := range conversations() {
			for _, swap := range []int{0, 1} {
				c := newCollector(t)
				s := c.session(cfg)
				s.Append(&pair[swap], 4000e9)
				if n := len(c.messages); n != 0 || s.Pending() != (Count{}) {
					t.Fatalf("the first direction did not wait: %d messages, %+v", n, s.Pending())
				}
				s.Append(&pair[1-swap], 4001e9)
				if got, want := s.Pending(), sum(pair[:]); got != want {
					t.Errorf("pending %+v, want %+v", got, want)
				}
				s.Flush(4001e9)
				got := c.all()
				if len(got) != 1 {
					t.Fatalf("%d records decoded", len(got))
				}
				compareTo(t, wantBiflow(&cfg, &pair[0], &pair[1]), got[0])
			}
		}
	}
}

// TestBiflowHeaderTime: no header is earlier than what it carries, of either direction.
func TestBiflowHeaderTime(t *testing.T) {
	c := newCollector(t)
	s := c.session(Config{Protocol: IPFIX, Fields: Fields{Biflow: true}})
	a := record4()
	b := reverseOf(a)
	b.Last = 4010e9
	s.Append(&a, 4000e9)
	s.Append(&b, 4000e9)
	s.Flush(4000e9)
	if got, want := c.messages[len(c.messages)-1].secs, uint32(testEpoch.Unix()+4010); got != want {
		t.Errorf("header time %d, want %d", got, want)
	}
}

// TestUniflows: what has no reverse direction goes out by itself, without reverse
// elements: after 5 s, and what cannot have any at once.
func TestUniflows(t *testing.T) {
	cfg := Config{Protocol: IPFIX, Fields: Fields{Biflow: true}}
	unreachable, reflexive := record4(), record4()
	unreachable.Protocol, unreachable.SrcPort, unreachable.DstPort = flow.ProtocolICMP, 0, 3<<8|1
	reflexive.Dst, reflexive.DstPort = reflexive.Src, reflexive.SrcPort
	for _, r := range []flow.Record{record4(), record6(), record4via6(), unreachable, reflexive} {
		c := newCollector(t)
		s := c.session(cfg)
		s.Append(&r, 4000e9)
		if _, ok := tupleOf(&r); ok {
			s.Tick(4005e9 - 1)
			if due, _ := s.Due(); due != 4005e9 || s.Pending() != (Count{}) {
				t.Errorf("due at %d, pending %+v", due, s.Pending())
			}
			s.Tick(4005e9)
		}
		if s.Pending() != (Count{1, r.Packets, r.Octets}) {
			t.Errorf("pending %+v", s.Pending())
		}
		s.Tick(4010e9)
		if got := c.all(); len(got) == 1 {
			compareTo(t, wantForm(&cfg, &r), got[0])
		} else {
			t.Errorf("%d records decoded", len(got))
		}
	}
	r := record4()
	r.Version = 5
	if why := newCollector(t).session(cfg).Append(&r, 0); why != NoIPVersion {
		t.Errorf("version 5: %v", why)
	}
}

// TestInitiator: who began is the earlier direction; where the clock does not tell, a SYN
// that was not an answer, else the lower port, else the lower address.
func TestInitiator(t *testing.T) {
	for name, change := range map[string]func(a, b *flow.Record){
		"earlier":       func(a, b *flow.Record) { b.First = a.First + 1 },
		"lone SYN":      func(a, b *flow.Record) { a.TCPFlags, a.DstPort, b.SrcPort = flow.SYN, 60000, 60000 },
		"lower port":    func(a, b *flow.Record) {},
		"lower address": func(a, b *flow.Record) { a.SrcPort, b.DstPort = 443, 443 },
		"echo request": func(a, b *flow.Record) {
			a.Protocol, b.Protocol, a.SrcPort, b.SrcPort, a.DstPort, b.DstPort = 1, 1, 0, 0, 8<<8, 0
			b.First = a.First - 1
		},
	} {
		a := record4()
		b := reverseOf(a)
		b.First = a.First
		change(&a, &b)
		if !began(&a, &b) || began(&b, &a) {
			t.Errorf("%s: %v, the other way round %v", name, began(&a, &b), began(&b, &a))
		}
	}
}

// TestDirectionStays: across active timeouts the initiator stays who it is (RFC 5103 §5),
// though the other direction's packet is the first of an interval; the next conversation
// is judged anew.
func TestDirectionStays(t *testing.T) {
	c := newCollector(t)
	s := c.session(Config{Protocol: IPFIX, Fields: Fields{Biflow: true}})
	now := flow.Time(4000e9)
	send := func(end flow.EndReason, earlier time.Duration) uint64 {
		a := record4()
		b := reverseOf(a)
		b.First = a.First - flow.Time(earlier)
		a.End, b.End = end, end
		now += 60e9
		s.Append(&b, now)
		s.Append(&a, now)
		s.Flush(now)
		all := c.all()
		return all[len(all)-1].uint(sourceTransportPort)
	}
	for i, k := range []struct {
		end     flow.EndReason
		earlier time.Duration // of the server's first packet
		source  uint64
	}{
		{flow.ActiveTimeout, -time.Millisecond, 40000},
		{flow.ActiveTimeout, time.Millisecond, 40000},
		{flow.IdleTimeout, time.Millisecond, 40000}, // the last of this conversation
		{flow.ActiveTimeout, time.Millisecond, 443},
		{flow.EndOfFlow, -time.Millisecond, 443},
		{flow.EndOfFlow, -time.Millisecond, 40000},
	} {
		if got := send(k.end, k.earlier); got != k.source {
			t.Errorf("record %d begins at port %d, want %d", i, got, k.source)
		}
	}
	// A direction that ends alone ends the conversation as well.
	send(flow.ActiveTimeout, -time.Millisecond)
	alone := record4()
	s.Append(&alone, now)
	s.Tick(now + 5e9)
	now += 6e9
	if got := send(flow.IdleTimeout, time.Millisecond); got != 443 {
		t.Errorf("after a conversation that ended alone, the next begins at port %d", got)
	}
}

// biflowModel pairs records by looking through all that wait.
type biflowModel struct {
	waiting []waiting
	size    int
}

func (m *biflowModel) add(r flow.Record, now flow.Time) (out []string) {
	out = m.release(now)
	i := slices.IndexFunc(m.waiting, func(w waiting) bool {
		o := &w.record
		return o.Src == r.Dst && o.Dst == r.Src && o.SrcPort == r.DstPort && o.DstPort == r.SrcPort && o.Protocol == r.Protocol
	})
	if i >= 0 {
		o := m.waiting[i].record
		m.waiting = slices.Delete(m.waiting, i, i+1)
		return append(out, fmt.Sprint(min(r.Octets, o.Octets), "+", max(r.Octets, o.Octets)))
	}
	if len(m.waiting) == m.size {
		out = append(out, fmt.Sprint(m.waiting[0].record.Octets))
		m.waiting = m.waiting[1:]
	}
	m.waiting = append(m.waiting, waiting{r, now + 5e9})
	return out
}

func (m *biflowModel) release(now flow.Time) (out []string) {
	for len(m.waiting) > 0 && m.waiting[0].due <= now {
		out = append(out, fmt.Sprint(m.waiting[0].record.Octets))
		m.waiting = m.waiting[1:]
	}
	return out
}

// TestBiflowsModel: pairs, and what leaves alone, are those of a simple model, in its
// order; no record is lost, and none sent twice.
func TestBiflowsModel(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		c := newCollector(t)
		s := c.session(Config{Protocol: IPFIX, Fields: Fields{Biflow: true}})
		s.biflows = newBiflows(16, 4)
		model := biflowModel{size: 16}
		now, want, total := flow.Time(4000e9), []string(nil), Count{}
		for i := range 3000 {
			r := record4()
			r.SrcPort, r.DstPort = uint16(1+rnd.IntN(6)), 100
			r.ToS = uint8(rnd.Uint32())
			if rnd.IntN(2) == 0 {
				r = reverseOf(r)
			}
			r.End = flow.EndReason(1 + rnd.IntN(5))
			r.Octets, r.Packets, r.First = uint64(i+1), 1, flow.Time(rnd.Int64N(3600e9))
			now += flow.Time(rnd.Int64N(2e9))
			want = append(want, model.add(r, now)...)
			s.Append(&r, now)
			total.add(Count{1, 1, r.Octets})
		}
		want = append(want, model.release(now+5e9)...)
		s.Tick(now + 5e9)
		s.Flush(now + 5e9)
		var got []string
		sent := Count{}
		for _, r := range c.all() {
			a, b := r.uint(octetDeltaCount), r.uint(enterprise|octetDeltaCount)
			if sent.add(Count{1, r.uint(packetDeltaCount), a}); b == 0 {
				got = append(got, fmt.Sprint(a))
				continue
			}
			sent.add(Count{1, r.uint(enterprise | packetDeltaCount), b})
			got = append(got, fmt.Sprint(min(a, b), "+", max(a, b)))
		}
		if !slices.Equal(got, want) || sent != total {
			t.Fatalf("seed %d: sent %+v of %+v\n%.300v\nwant\n%.300v", seed, sent, total, got, want)
		}
	}
}

// TestBiflowLedger: what waits for its reverse is being built, and Shutdown sends it.
func TestBiflowLedger(t *testing.T) {
	f := &fakeSocket{}
	e := withSocket(t, f, Config{Protocol: IPFIX, Rate: -1, Fields: Fields{Biflow: true}})
	run(t, e)
	var rs []flow.Record
	for i := range 1000 {
		r := record4()
		r.SrcPort = uint16(i)
		if rs = append(rs, r); i%2 == 0 {
			rs = append(rs, reverseOf(r))
		}
	}
	if err := e.PutWait(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); e.Stats().Queued.Records > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if s := checkLedger(t, e); s.Building.Records < 500 {
		t.Errorf("%d records wait, want those of 500 conversations at least", s.Building.Records)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := checkLedger(t, e); s.Sent != s.Made || s.Sent != sum(rs) {
		t.Errorf("sent %+v of %+v", s.Sent, s.Made)
	}
	c := newCollector(t)
	for _, b := range f.sent {
		c.receive(b)
	}
	pairs := 0
	for _, r := range c.all() {
		if _, ok := r[enterprise|octetDeltaCount]; ok {
			pairs++
		}
	}
	if n := len(c.all()); n != 1000 || pairs != 500 {
		t.Errorf("%d records, %d of them biflows; want 1000 and 500", n, pairs)
	}
}

// TestBiflowAlone: with a clock, a record leaves after its wait without another one to
// wake the exporter: 5 s, and one for its message to fill.
func TestBiflowAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		e := withSocket(t, &fakeSocket{}, Config{
			Protocol: IPFIX, Fields: Fields{Biflow: true}, Now: func() flow.Time { return flow.Time(time.Since(start)) },
		})
		go e.Run(t.Context())
		synctest.Wait()
		e.Put([]flow.Record{record4()})
		for _, k := range []struct {
			after time.Duration
			sent  uint64
		}{{5900 * time.Millisecond, 0}, {200 * time.Millisecond, 1}} {
			time.Sleep(k.after)
			synctest.Wait()
			if s := checkLedger(t, e); s.Sent.Records != k.sent || s.Building.Records != 1-k.sent {
				t.Errorf("after %v: %+v", time.Since(start), s)
			}
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBiflowReconnects: what waits for its reverse direction does so across a connection
// that is lost.
func TestBiflowReconnects(t *testing.T) {
	t.Parallel()
	c := newStreamCollector(t, nil, readAll)
	e := startExporter(t, Config{
		Protocol: IPFIX, Transport: TCP, Address: c.address, Reconnect: 10 * time.Millisecond, Fields: Fields{Biflow: true},
	})
	r := record4()
	e.Put([]flow.Record{r})
	for s := e.Stats(); s.Building.Records == 0; s = e.Stats() {
		time.Sleep(time.Millisecond)
	}
	c.await(1)
	c.stop()
	c.start()
	c.await(2)
	e.Put([]flow.Record{reverseOf(r)})
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.stop()
	if s := checkLedger(t, e); s.Sent.Records != 2 || c.got.Records != 1 || c.sessions != 2 {
		t.Errorf("sent %+v, received %+v in %d sessions", s.Sent, c.got, c.sessions)
	}
}

// TestBiflowReplay: the same records make the same datagrams, however they are handed over.
func TestBiflowReplay(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 8))
	var rs []flow.Record
	now := flow.Time(3600e9)
	for range 1000 {
		r := record4()
		r.SrcPort = uint16(rnd.IntN(50))
		if rnd.IntN(2) == 0 {
			r = reverseOf(r)
		}
		r.End = flow.EndReason(1 + rnd.IntN(5))
		now += flow.Time(rnd.Int64N(3e8))
		r.First, r.Last, r.Expired = now-2e9+flow.Time(rnd.Int64N(1e6)), now-1e9, now
		rs = append(rs, r)
	}
	cfg := Config{Protocol: IPFIX, Fields: Fields{Biflow: true}}
	if !bytes.Equal(replayConfig(t, cfg, rs, 1), replayConfig(t, cfg, rs, 333)) {
		t.Error("two replays differ")
	}
}

func TestBiflowAllocates(t *testing.T) {
	s, err := NewSession(Config{Protocol: IPFIX, Fields: Fields{Biflow: true}}, func(*Message) {})
	if err != nil {
		t.Fatal(err)
	}
	a, now := record4(), flow.Time(4000e9)
	b, alone := reverseOf(a), record6()
	a.End = flow.ActiveTimeout
	if n := testing.AllocsPerRun(10_000, func() {
		now += 1e6
		s.Append(&a, now)
		s.Append(&b, now)
		s.Append(&alone, now)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
