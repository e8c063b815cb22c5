package export

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"cacheflow/cache/flow"
)

// The interoperability rules: what collectors are known to check, or to trip
// over. Each test cites its rule.

var bothTemplated = []Protocol{NetFlow9, IPFIX}

// feed gives s n records, one in three IPv6, one each 10 ms, and flushes.
func feed(s *Session, n int) {
	four, six := record4(), record6()
	now := four.Expired
	for i := range n {
		now += 10e6
		r := &four
		if i%3 == 2 && s.cfg.Protocol != NetFlow5 {
			r = &six
		}
		s.Tick(now)
		s.Append(r, now)
	}
	s.Flush(now)
}

// IR-1: v5 flow_sequence is the flows sent before this datagram; the next one
// is this plus count (nfdump, pmacct and ipfixcol2 check it).
func TestIR1(t *testing.T) {
	c := newCollector(t)
	feed(c.session(Config{Protocol: NetFlow5}), 1000)
	next := uint32(0)
	for i, m := range c.messages {
		if m.sequence != next {
			t.Fatalf("datagram %d: sequence %d, want %d", i, m.sequence, next)
		}
		next += uint32(m.count)
	}
	if next != 1000 || len(c.messages) < 30 {
		t.Errorf("%d records in %d datagrams", next, len(c.messages))
	}
}

// IR-2: the v9 sequence counts export packets, those with templates alone too
// (RFC 3954 §5.1).
func TestIR2(t *testing.T) {
	c := newCollector(t)
	feed(c.session(Config{Protocol: NetFlow9, TemplatePackets: 7}), 1000)
	for i, m := range c.messages {
		if m.sequence != uint32(i) {
			t.Fatalf("packet %d: sequence %d", i, m.sequence)
		}
	}
}

// IR-3: the IPFIX sequence counts the Data Records before this message, options
// data records included, template records not (RFC 7011 §3.1).
func TestIR3(t *testing.T) {
	c := newCollector(t)
	feed(c.session(Config{Protocol: IPFIX, TemplatePackets: 7, Sampling: Sampling{Interval: 100}}), 1000)
	next, options := uint32(0), 0
	for i, m := range c.messages {
		if m.sequence != next {
			t.Fatalf("message %d: sequence %d, want %d", i, m.sequence, next)
		}
		next += uint32(len(m.records()) + len(m.options()))
		options += len(m.options())
	}
	if options < 10 {
		t.Errorf("%d options data records: the test has not met the case", options)
	}
}

// IR-4: the v9 header's count is that of template, options template and all
// data records (RFC 3954 §5.1); goflow2, filebeat and pmacct stop there.
func TestIR4(t *testing.T) {
	c := newCollector(t)
	feed(c.session(Config{Protocol: NetFlow9, TemplatePackets: 7, Sampling: Sampling{Interval: 100}}), 1000)
	mixed := false
	for i, m := range c.messages {
		n := len(m.templateIDs()) + len(m.records()) + len(m.options())
		if int(m.count) != n {
			t.Errorf("packet %d: count %d, has %d records", i, m.count, n)
		}
		mixed = mixed || len(m.templateIDs()) == 4 && len(m.records()) > 0 && len(m.options()) == 1
	}
	if !mixed {
		t.Error("no packet with templates, options and data: the test has not met the case")
	}
}

// IR-5: no Last is later than the header's sysUpTime: nfdump would subtract
// below 0. The header's wall time is of the same instant.
func TestIR5(t *testing.T) {
	for _, p := range []Protocol{NetFlow5, NetFlow9} {
		c := newCollector(t)
		s := c.session(Config{Protocol: p})
		early, late := record4(), record4()
		late.Last = early.Last + 2_500_400_000 // 2.5 s ahead of "now"
		s.Append(&late, early.Last)
		s.Append(&early, early.Last)
		s.Flush(early.Last)
		m := c.messages[len(c.messages)-1]
		if want := uint32(late.Last.Milliseconds()); m.uptime != want {
			t.Errorf("%v: header sysUpTime %d, want that of the largest Last, %d", p, m.uptime, want)
		}
		if want := testEpoch.Add(time.Duration(late.Last)); m.secs != uint32(want.Unix()) {
			t.Errorf("%v: header time %d, want %d", p, m.secs, want.Unix())
		}
		// The next message is back at now.
		s.Append(&early, early.Last+1e9)
		s.Flush(early.Last + 1e9)
		if m := c.messages[len(c.messages)-1]; m.uptime != uint32((early.Last + 1e9).Milliseconds()) {
			t.Errorf("%v: header sysUpTime %d after the late one", p, m.uptime)
		}
	}
}

// announcing yields the sets of one announcement of a sampler.
func announcing(t *testing.T, cfg Config) (*collector, *decoded) {
	c := newCollector(t)
	feed(c.session(cfg), 1)
	return c, &c.messages[0]
}

var samplers = []Config{
	{Protocol: NetFlow9, Sampling: Sampling{Interval: 100}},
	{Protocol: NetFlow9, Sampling: Sampling{Interval: 65535, Random: true}},
	{Protocol: IPFIX, Sampling: Sampling{Interval: 2}},
	{Protocol: IPFIX, Sampling: Sampling{Interval: 100, Random: true}},
}

// IR-6: one Options Template Record in a set, one sampler record in a set:
// nfdump reads only the first of each.
func TestIR6(t *testing.T) {
	for _, cfg := range samplers {
		_, m := announcing(t, cfg)
		templates, records := 0, 0
		for _, set := range m.sets {
			switch s := set.(type) {
			case netflow.NFv9OptionsTemplateFlowSet:
				templates += len(s.Records)
				if len(s.Records) != 1 {
					t.Errorf("%v: %d options templates in a set", cfg.Protocol, len(s.Records))
				}
			case netflow.IPFIXOptionsTemplateFlowSet:
				templates += len(s.Records)
				if len(s.Records) != 1 {
					t.Errorf("%v: %d options templates in a set", cfg.Protocol, len(s.Records))
				}
			case netflow.OptionsDataFlowSet:
				if fieldsOf(s.Records[0].OptionsValues)[samplingInterval] == nil {
					continue // flow keys, which nfdump does not read
				}
				records += len(s.Records)
				if len(s.Records) != 1 {
					t.Errorf("%v: %d sampler records in a set", cfg.Protocol, len(s.Records))
				}
			}
		}
		if templates < 1 || records != 1 {
			t.Errorf("%v: %d options templates and %d records", cfg.Protocol, templates, records)
		}
	}
}

// optionFields returns the scope and option fields of m's options template.
func optionFields(t *testing.T, m *decoded) (scopes, fields []netflow.Field) {
	t.Helper()
	for _, set := range m.sets {
		switch s := set.(type) {
		case netflow.NFv9OptionsTemplateFlowSet:
			return s.Records[0].Scopes, s.Records[0].Options
		case netflow.IPFIXOptionsTemplateFlowSet:
			return s.Records[0].Scopes, s.Records[0].Options
		}
	}
	t.Fatal("no options template")
	return nil, nil
}

// IR-7: sampling options carry the algorithm beside the interval, and in v9 the
// scope is System (1). That every frame is metered is announced as well.
func TestIR7(t *testing.T) {
	for _, cfg := range samplers {
		_, m := announcing(t, cfg)
		scopes, fields := optionFields(t, m)
		var ids []uint16
		for _, f := range fields {
			ids = append(ids, f.Type)
		}
		scope, want := uint16(1), []uint16{34, 35}
		if cfg.Protocol == IPFIX {
			scope = 149
		}
		if !slices.Equal(ids, want) || len(scopes) != 1 || scopes[0].Type != scope || scopes[0].Length != 4 {
			t.Errorf("%v: scope %v, options %v; want scope %d, options %v", cfg.Protocol, scopes, ids, scope, want)
		}
		algorithm := uint64(1)
		if cfg.Sampling.Random {
			algorithm = 2
		}
		if o := m.options()[0]; o.uint(34) != uint64(cfg.Sampling.Interval) || o.uint(35) != algorithm {
			t.Errorf("%v %+v: sampler record %v", cfg.Protocol, cfg.Sampling, o)
		}
	}
	for _, p := range bothTemplated {
		_, m := announcing(t, Config{Protocol: p})
		if o := m.options()[0]; o.uint(34) != 1 || o.uint(35) != 1 {
			t.Errorf("%v: sampler record %v where every frame is metered", p, o)
		}
	}
}

// IR-8: the sampling interval has four octets: goflow2 fails the datagram
// otherwise.
func TestIR8(t *testing.T) {
	for _, cfg := range samplers {
		_, m := announcing(t, cfg)
		_, fields := optionFields(t, m)
		if i := slices.IndexFunc(fields, func(f netflow.Field) bool { return f.Type == 34 }); i < 0 || fields[i].Length != 4 {
			t.Errorf("%v: no interval of four octets in %v", cfg.Protocol, fields)
		}
	}
}

// templateFields returns the fields of every template that c has seen.
func (c *collector) templateFields() map[uint16][]netflow.Field {
	all := map[uint16][]netflow.Field{}
	for _, m := range c.messages {
		for _, set := range m.sets {
			if s, ok := set.(netflow.TemplateFlowSet); ok {
				for _, r := range s.Records {
					all[r.TemplateId] = r.Fields
				}
			}
		}
	}
	return all
}

// IR-9: IPFIX timestamps are 152 and 153, the only form that every collector
// reads right.
func TestIR9(t *testing.T) {
	c := newCollector(t)
	feed(c.session(Config{Protocol: IPFIX}), 10)
	for id, fields := range c.templateFields() {
		var times []uint16
		for _, f := range fields {
			if f.Type >= 150 && f.Type <= 161 || f.Type == 21 || f.Type == 22 {
				times = append(times, f.Type)
			}
		}
		if !slices.Equal(times, []uint16{152, 153}) {
			t.Errorf("template %d: times %v", id, times)
		}
	}
}

// IR-10: ICMP has source port 0 and type×256 + code in the destination port,
// and in element 32 (NetFlow v9's ICMP_TYPE, for both versions), or in IPFIX 32
// or 139, too.
func TestIR10(t *testing.T) {
	unreachable := record4()
	unreachable.Protocol, unreachable.SrcPort, unreachable.DstPort = flow.ProtocolICMP, 0, 3<<8|13
	echo := record6()
	for _, p := range bothTemplated {
		c := newCollector(t)
		s := c.session(Config{Protocol: p})
		s.Append(&unreachable, unreachable.Expired)
		s.Append(&echo, echo.Expired)
		s.Flush(echo.Expired)
		rs := c.all()
		if r := rs[0]; r.uint(7) != 0 || r.uint(11) != 3<<8|13 || r.uint(32) != 3<<8|13 {
			t.Errorf("%v: ICMP: ports %d, %d, type and code %d", p, r.uint(7), r.uint(11), r.uint(32))
		}
		id := uint16(32)
		if p == IPFIX {
			id = 139
		}
		if r := rs[1]; r.uint(7) != 0 || r.uint(11) != 128<<8 || r.uint(id) != 128<<8 {
			t.Errorf("%v: ICMPv6: ports %d, %d, type and code %d", p, r.uint(7), r.uint(11), r.uint(id))
		}
	}
	c := newCollector(t)
	s := c.session(Config{Protocol: NetFlow5})
	s.Append(&unreachable, unreachable.Expired)
	s.Flush(unreachable.Expired)
	if r := c.messages[0].v5.Records[0]; r.SrcPort != 0 || r.DstPort != 3<<8|13 {
		t.Errorf("netflow5: ICMP: ports %d, %d", r.SrcPort, r.DstPort)
	}
}

// IR-11: every template has a field of fixed length, and its shortest record
// exceeds four octets: vflow takes less for padding.
func TestIR11(t *testing.T) {
	for _, p := range bothTemplated {
		c := newCollector(t)
		feed(c.session(Config{Protocol: p, Sampling: Sampling{Interval: 100}}), 10)
		for id, fields := range c.templateFields() {
			size, fixed := 0, 0
			for _, f := range fields {
				if f.Length != 0xffff {
					fixed++
					size += int(f.Length)
				}
			}
			if fixed == 0 || size <= 4 {
				t.Errorf("%v template %d: %d fixed fields, %d octets", p, id, fixed, size)
			}
		}
		_, m := announcing(t, Config{Protocol: p, Sampling: Sampling{Interval: 100}})
		scopes, fields := optionFields(t, m)
		size := 0
		for _, f := range append(scopes, fields...) {
			size += int(f.Length)
		}
		if size <= 4 {
			t.Errorf("%v options: %d octets", p, size)
		}
	}
}

// IR-12: padding is zeros, at most three octets and fewer than the shortest
// record (RFC 7011 §3.3.1); each set starts at four octets.
func TestIR12(t *testing.T) {
	for _, p := range bothTemplated {
		sizes := map[uint16]int{}
		padded := 0
		sink := func(m *Message) {
			header := formats[p].header
			for b := m.Data[header:]; len(b) > 0; {
				id, length := be.Uint16(b), int(be.Uint16(b[2:]))
				if (len(m.Data)-len(b))%4 != 0 || length < 4 || length > len(b) {
					t.Fatalf("%v: set %d of %d octets at %d of %d", p, id, length, len(m.Data)-len(b), len(m.Data))
				}
				if n := sizes[id]; n > 0 {
					pad := b[4+(length-4)/n*n : length]
					padded += len(pad)
					if len(pad) > 3 || len(pad) >= n || slices.ContainsFunc(pad, func(c byte) bool { return c != 0 }) {
						t.Errorf("%v: set %d padded with %x, record of %d octets", p, id, pad, n)
					}
				}
				b = b[length:]
			}
		}
		s, err := NewSession(Config{Protocol: p, Sampling: Sampling{Interval: 100}}, sink)
		if err != nil {
			t.Fatal(err)
		}
		for _, tm := range s.templates.all {
			sizes[tm.id] = tm.size
		}
		sizes[s.options[0].id] = s.options[0].size
		for i := range s.buf[:cap(s.buf)] {
			s.buf[:cap(s.buf)][i] = 0xee // stale octets that padding must not show
		}
		feed(s, 1000)
		if padded == 0 {
			t.Errorf("%v: nothing was padded: the test has not met the case", p)
		}
	}
}

// IR-13: template ids are unique across the observation domains of one
// exporter: vflow stores templates by address and id alone.
func TestIR13(t *testing.T) {
	owner := map[uint16]string{}
	for _, p := range bothTemplated {
		for domain := uint32(1); domain <= 200; domain += 7 {
			c := newCollector(t)
			feed(c.session(Config{Protocol: p, SourceID: domain, Options: OptionIntervals{FlowKeys: Off}}), 1)
			ids := c.messages[0].templateIDs()
			if len(ids) != 4 {
				t.Fatalf("%v: templates %v", p, ids)
			}
			for _, id := range ids {
				if owner[id] != "" || id < 256 {
					t.Errorf("template id %d of %v domain %d was used by %s", id, p, domain, owner[id])
				}
				owner[id] = p.String()
			}
		}
	}
	for _, domain := range []uint32{0, 1, idRuns - 1, idRuns, 1<<32 - 1} {
		for _, p := range bothTemplated {
			if b := templateBase(p, domain); b < 256 || int(b)+idsPerDomain/2 > 1<<16 {
				t.Errorf("%v domain %d: ids from %d", p, domain, b)
			}
		}
	}
}

// IR-14: one UDP source port for each collector as long as the process lives,
// also when the collector refuses and comes back: RFC 7011 §8.4 tells sessions
// apart by it.
func TestIR14(t *testing.T) {
	t.Parallel()
	port := unusedPort(t)
	e := startExporter(t, Config{Protocol: NetFlow9, Address: port})
	r := record4()
	from := map[string]int{}
	for range 3 {
		for range 20 { // nobody listens: refused
			e.Put([]flow.Record{r})
			waitQuiet(t, e)
		}
		conn, err := net.ListenPacket("udp", port)
		if err != nil {
			t.Fatal(err)
		}
		e.Put([]flow.Record{r, r})
		buf := make([]byte, 2000)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, addr, err := conn.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		from[addr.String()]++
		conn.Close()
	}
	local, _ := e.LocalAddr()
	if from[local.String()] != 3 {
		t.Errorf("datagrams came from %v, LocalAddr is %v", from, local)
	}
	if err := e.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// IR-15: no template withdrawal on UDP (RFC 7011 §8.4), not even at the end.
func TestIR15(t *testing.T) {
	for _, p := range bothTemplated {
		c := newCollector(t)
		s := c.session(Config{Protocol: p, TemplatePackets: 3})
		feed(s, 300)
		s.SendTemplates(1e15)
		s.Flush(2e15)
		for i, m := range c.messages {
			for _, set := range m.sets {
				if s, ok := set.(netflow.TemplateFlowSet); ok {
					for _, r := range s.Records {
						if r.FieldCount == 0 || r.TemplateId < 256 {
							t.Errorf("%v message %d withdraws template %d", p, i, r.TemplateId)
						}
					}
				}
			}
		}
	}
}

// IR-17: the v5 sampling word is set from the first datagram on and never
// changes: nfcapd reads it once.
func TestIR17(t *testing.T) {
	for _, c := range []struct {
		sampling Sampling
		word     uint16
	}{
		{Sampling{}, 0},
		{Sampling{Interval: 1, Random: true}, 0},
		{Sampling{Interval: 2}, 1<<14 | 2},
		{Sampling{Interval: 100}, 1<<14 | 100},
		{Sampling{Interval: 100, Random: true}, 2<<14 | 100},
		{Sampling{Interval: 100, Random: true, NoMode: true}, 100},
		{Sampling{Interval: 16383}, 1<<14 | 16383},
	} {
		col := newCollector(t)
		feed(col.session(Config{Protocol: NetFlow5, Sampling: c.sampling}), 100)
		for i, m := range col.messages {
			if m.v5.SamplingInterval != c.word {
				t.Errorf("%+v: datagram %d has sampling word %#x, want %#x", c.sampling, i, m.v5.SamplingInterval, c.word)
			}
		}
	}
	if _, err := New(Config{Protocol: NetFlow5, Address: "192.0.2.1:2055", Sampling: Sampling{Interval: 16384}}); err == nil {
		t.Error("an interval above 14 bits was accepted")
	}
}
