package export

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// TestMTU sweeps the datagram size: never above it, and no record cut or lost.
// (session itself checks each size; goflow2 fails on a cut record.)
func TestMTU(t *testing.T) {
	t.Parallel()
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		largest := 0
		for mtu := MinMTU; mtu <= 1500; mtu++ {
			c := newCollector(t)
			s := c.session(Config{Protocol: p, MTU: mtu, TemplatePackets: 5, Sampling: Sampling{Interval: 100}})
			feed(s, 60)
			if got := c.sums().Records; got != 60 {
				t.Fatalf("%v, MTU %d: %d records decoded of 60", p, mtu, got)
			}
			for _, m := range c.messages {
				largest = max(largest, m.size)
			}
		}
		if p == NetFlow5 && largest != 1464 || p != NetFlow5 && largest < 1400 {
			t.Errorf("%v: largest datagram %d octets", p, largest)
		}
	}
	c := newCollector(t)
	s, r := c.session(Config{Protocol: IPFIX, MTU: MaxMTU}), record4()
	for range 1000 {
		s.Append(&r, r.Expired)
	}
	if m := c.messages[1]; int(m.length) != m.size || m.size < 65000 || m.size > MaxMTU {
		t.Errorf("IPFIX message of %d octets, length field %d", m.size, m.length)
	}
}

// TestSums: packets and octets of any mix of records arrive exactly, in all
// protocols.
func TestSums(t *testing.T) {
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		for seed := range uint64(20) {
			rnd := rand.New(rand.NewPCG(seed, 5))
			c := newCollector(t)
			s := c.session(Config{Protocol: p, MTU: MinMTU + rnd.IntN(1300)})
			now, want, parts := flow.Time(0), Count{}, uint64(0)
			for range 300 {
				r := randomRecord(rnd)
				now = max(now, r.Expired)
				s.Tick(now)
				switch why := s.Append(&r, now); why {
				case None:
					want.add(Count{1, r.Packets, r.Octets})
				case NotIPv4:
				default:
					t.Fatal(why)
				}
			}
			s.Flush(now)
			parts = s.Splits()
			got := c.sums()
			if got.Records -= parts; got != want {
				t.Errorf("%v seed %d: decoded %+v, want %+v", p, seed, got, want)
			}
			if p == NetFlow5 && parts == 0 {
				t.Error("no record was split: the test has not met the case")
			}
		}
	}
}

// TestSplit: a record above 32 bits becomes several, which differ in their
// counters alone; each counter fits and the sums are exact.
func TestSplit(t *testing.T) {
	for _, k := range []struct {
		packets, octets uint64
		parts           int
	}{
		{1, math.MaxUint32, 1},
		{1, 1 << 32, 2},
		{math.MaxUint32, math.MaxUint32, 1},
		{1 << 32, 1 << 40, 257},
		{5_000_000_000, 7_500_000_000_000, 1747},
		{0, 0, 1},
	} {
		c := newCollector(t)
		s := c.session(Config{Protocol: NetFlow5})
		r := record4()
		r.Packets, r.Octets = k.packets, k.octets
		if why := s.Append(&r, r.Expired); why != None {
			t.Fatal(why)
		}
		s.Flush(r.Expired)
		if got, want := c.sums(), (Count{uint64(k.parts), k.packets, k.octets}); got != want || s.Splits() != uint64(k.parts-1) {
			t.Errorf("decoded %+v with %d splits, want %+v", got, s.Splits(), want)
		}
		for _, m := range c.messages {
			for _, got := range m.v5.Records {
				part := r
				part.Packets, part.Octets = uint64(got.DPkts), uint64(got.DOctets)
				compare5(t, &part, got)
			}
		}
	}
	s := newCollector(t).session(Config{Protocol: NetFlow5})
	r := record4()
	r.Octets = 1 << 60
	if why := s.Append(&r, r.Expired); why != TooLarge || s.Pending() != (Count{}) {
		t.Errorf("2^60 octets: %v, pending %+v", why, s.Pending())
	}
}

// TestWideInterfaces: an interface index above 16 bits is never cut short.
func TestWideInterfaces(t *testing.T) {
	c := newCollector(t)
	s := c.session(Config{Protocol: NetFlow5, Interfaces: map[uint32]uint16{70000: 7}})
	r := record4()
	for _, k := range [][2]uint32{{65535, 65536}, {70000, 1<<32 - 1}} {
		r.Input, r.Egress = k[0], k[1]
		s.Append(&r, r.Expired)
	}
	s.Flush(r.Expired)
	got := c.messages[0].v5.Records
	if got[0].Input != 65535 || got[0].Output != 0 || got[1].Input != 7 || got[1].Output != 0 || s.WideInterfaces() != 3 {
		t.Errorf("interfaces %d, %d and %d, %d; %d counted as wide",
			got[0].Input, got[0].Output, got[1].Input, got[1].Output, s.WideInterfaces())
	}
}

// TestUptimeWraps: sysUpTime and the times in records wrap at 2^32 ms, and what
// a collector computes with modular arithmetic is the true wall time.
func TestUptimeWraps(t *testing.T) {
	const wrap = flow.Time(1<<32) * 1e6
	for _, k := range []struct{ now, first, last flow.Time }{
		{wrap + 1000e6, wrap - 0x1000*1e6, wrap + 500e6},
		{wrap + 1000e6, wrap - 0x10000*1e6, wrap - 0x1000*1e6},
		{wrap, wrap - 1, wrap},
		{3*wrap + 5e6, 3*wrap - 1e6, 3 * wrap},
		{1e6, -2e6, -1}, // a replayed file that goes back behind its boot
	} {
		for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
			c := newCollector(t)
			s := c.session(Config{Protocol: p})
			r := record4()
			r.First, r.Last = k.first, k.last
			s.Append(&r, k.now)
			s.Flush(k.now)
			m := c.messages[len(c.messages)-1]
			header := int64(m.secs)*1000 + int64(m.nsecs)/1e6 // the header's wall time
			var first, last int64
			switch p {
			case NetFlow5:
				v := m.v5.Records[0]
				first, last = header-int64(m.uptime-v.First), header-int64(m.uptime-v.Last)
			case NetFlow9:
				v := m.records()[0]
				first, last = header-int64(m.uptime-uint32(v.uint(22))), header-int64(m.uptime-uint32(v.uint(21)))
			case IPFIX:
				v := m.records()[0]
				first, last = int64(v.uint(152)), int64(v.uint(153))
			}
			slack := int64(0)
			if p == NetFlow9 {
				slack = 999 // the header has whole seconds
			}
			for _, w := range []struct{ got, want int64 }{{first, wall(k.first)}, {last, wall(k.last)}} {
				if w.got > w.want || w.got < w.want-slack {
					t.Errorf("%v now %v: decoded %d, want %d", p, k.now, w.got, w.want)
				}
			}
		}
	}
}

// wall returns t in milliseconds since 1970.
func wall(t flow.Time) int64 {
	return testEpoch.UnixMilli() + int64(math.Floor(float64(t)/1e6))
}

// TestEpoch: the wall clock's offset is taken anew for each datagram, and is
// one for all of it.
func TestEpoch(t *testing.T) {
	c := newCollector(t)
	epoch := testEpoch
	s := c.session(Config{Protocol: IPFIX, Epoch: func() time.Time { return epoch }})
	r := record4()
	s.Append(&r, r.Expired)
	epoch = epoch.Add(time.Hour) // the clock is stepped under an open message
	s.Append(&r, r.Expired)
	s.Flush(r.Expired)
	s.Append(&r, r.Expired)
	s.Flush(r.Expired)
	rs := c.all()
	if rs[0].uint(152) != rs[1].uint(152) || rs[2].uint(152) != rs[0].uint(152)+3600e3 {
		t.Errorf("starts %d, %d, %d", rs[0].uint(152), rs[1].uint(152), rs[2].uint(152))
	}
	if d := c.messages[2].secs - c.messages[1].secs; d != 3600 {
		t.Errorf("export time moved by %d s", d)
	}
}

// TestFlushTime: a message leaves when full, or a second after its first
// record, not before.
func TestFlushTime(t *testing.T) {
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		c := newCollector(t)
		s := c.session(Config{Protocol: p})
		r := record4()
		s.Append(&r, 100e9)
		n := len(c.messages)
		s.Tick(100e9 + 999e6)
		s.Append(&r, 100e9+999e6)
		if len(c.messages) != n {
			t.Errorf("%v: a message left early", p)
		}
		s.Tick(101e9)
		if len(c.messages) != n+1 || s.Pending() != (Count{}) {
			t.Errorf("%v: no message after a second", p)
		}
	}
	c := newCollector(t)
	s := c.session(Config{Protocol: NetFlow5})
	r := record4()
	for range 30 {
		s.Append(&r, 0)
	}
	if len(c.messages) != 1 {
		t.Error("a full message waited")
	}
}

// replay returns the datagrams of an exporter whose time its records drive.
func replay(t *testing.T, p Protocol, rs []flow.Record, chunk int) []byte {
	return replayConfig(t, Config{Protocol: p}, rs, chunk)
}

func replayConfig(t *testing.T, cfg Config, rs []flow.Record, chunk int) []byte {
	f := &fakeSocket{}
	cfg.Rate, cfg.QueueRecords = -1, 50
	e := withSocket(t, f, cfg)
	run(t, e)
	for i := 0; i < len(rs); i += chunk {
		if err := e.PutWait(t.Context(), rs[i:min(len(rs), i+chunk)]); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := checkLedger(t, e); s.Sent.Records == 0 {
		t.Error("nothing sent")
	}
	return bytes.Join(f.sent, nil)
}

// TestReplay: the same records make the same octets, however they are handed
// over.
func TestReplay(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 8))
	var rs []flow.Record
	now := flow.Time(3600e9)
	for range 1000 {
		r := randomRecord(rnd)
		now += flow.Time(rnd.Int64N(3e8)) // messages leave both full and by time
		r.Last, r.First, r.Expired = now-1e9, now-2e9, now
		rs = append(rs, r)
	}
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		if !bytes.Equal(replay(t, p, rs, 1), replay(t, p, rs, 333)) {
			t.Errorf("%v: two replays differ", p)
		}
	}
}

func TestAppendAllocates(t *testing.T) {
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		s, err := NewSession(Config{Protocol: p, TemplatePackets: 3}, func(*Message) {})
		if err != nil {
			t.Fatal(err)
		}
		four, six := record4(), record6()
		if n := testing.AllocsPerRun(1000, func() {
			s.Append(&four, four.Expired)
			s.Append(&six, six.Expired)
		}); n > 0 {
			t.Errorf("%v: %v allocations", p, n)
		}
	}
	e := withSocket(t, &fakeSocket{}, Config{})
	rs := records(10)
	if n := testing.AllocsPerRun(100, func() { e.Put(rs) }); n > 0 {
		t.Errorf("Put: %v allocations", n)
	}
}

// TestSourceID: exporters differ unless told otherwise, and a replay's does
// not depend on the process.
func TestSourceID(t *testing.T) {
	seen := map[uint32]bool{}
	for _, cfg := range []Config{
		{Address: "a:1"}, {Address: "a:2"}, {Address: "a:1", Protocol: IPFIX}, {Address: "a:1", Name: "b"},
		{Address: "a:1", Now: liveNow}, {Address: "a:2", Now: liveNow},
	} {
		c, err := cfg.withDefaults()
		if err != nil || c.SourceID == 0 || seen[c.SourceID] {
			t.Errorf("source id %d, %v", c.SourceID, err)
		}
		seen[c.SourceID] = true
	}
	c, _ := Config{Address: "192.0.2.1:2055"}.withDefaults()
	if c.SourceID != 0x06a84217 {
		t.Errorf("source id %#x is not that of other processes", c.SourceID)
	}
}

// TestSequenceWraps: sequence numbers are modulo 2^32 (RFC 7011 §3.1).
func TestSequenceWraps(t *testing.T) {
	for _, p := range []Protocol{NetFlow5, IPFIX} {
		c := newCollector(t)
		s := c.session(Config{Protocol: p, Options: noOptions})
		s.sequence = 1<<32 - 3
		feed(s, 5)
		feed(s, 1)
		if got := c.messages[len(c.messages)-1].sequence; got != 2 {
			t.Errorf("%v: sequence %d after the wrap, want 2", p, got)
		}
	}
}
