package export

import (
	"math/rand/v2"
	"testing"

	"cacheflow/cache/flow"
)

func TestFieldByField(t *testing.T) {
	records := []flow.Record{record4(), record6(), record4via6(), record4(), record6()}
	icmp := record4()
	icmp.Protocol, icmp.SrcPort, icmp.DstPort = flow.ProtocolICMP, 0, 3<<8|1
	records = append(records, icmp)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		records = append(records, randomRecord(rnd))
	}
	for _, p := range []Protocol{NetFlow9, IPFIX} {
		c := newCollector(t)
		s := c.session(Config{Protocol: p, SourceID: 7})
		now := flow.Time(0)
		for i := range records {
			now = max(now, records[i].Expired)
			if why := s.Append(&records[i], now); why != None {
				t.Fatal(why)
			}
		}
		s.Flush(now)
		got := c.all()
		if len(got) != len(records) {
			t.Fatalf("%v: %d records decoded, want %d", p, len(got), len(records))
		}
		for i := range got {
			compare(t, p, &records[i], got[i])
		}
	}
}

func TestFieldByFieldV5(t *testing.T) {
	c := newCollector(t)
	s := c.session(Config{Protocol: NetFlow5, EngineType: 1, EngineID: 2})
	rnd := rand.New(rand.NewPCG(3, 4))
	var sent []flow.Record
	for i := range 500 {
		r := randomRecord(rnd)
		if i == 0 {
			r = record4()
		}
		r.Packets, r.Octets = r.Packets%(1<<32), r.Octets%(1<<32)
		switch why := s.Append(&r, 90000e9); {
		case why == None && r.Version == 4:
			sent = append(sent, r)
		case why != NotIPv4 || r.Version != 6:
			t.Fatalf("version %d: %v", r.Version, why)
		}
	}
	s.Flush(90000e9)
	i := 0
	for _, m := range c.messages {
		for _, r := range m.v5.Records {
			compare5(t, &sent[i], r)
			i++
		}
	}
	if i != len(sent) {
		t.Errorf("%d records decoded, want %d", i, len(sent))
	}
}

func TestElements(t *testing.T) {
	for i := range elements[1:] {
		if elements[i].ID >= elements[i+1].ID {
			t.Errorf("element %d stands before %d", elements[i].ID, elements[i+1].ID)
		}
	}
	if e, ok := ElementByID(153); !ok || e.Name != "flowEndMilliseconds" || e.Length != 8 {
		t.Errorf("element 153: %+v, %v", e, ok)
	}
	if _, ok := ElementByID(3); ok {
		t.Error("element 3 is not exported")
	}
}

// optionKinds is how many options there can be.
const optionKinds = 7

// everyLayout returns a configuration for each set of templates that there is.
func everyLayout() (cfgs []Config) {
	for _, p := range bothTemplated {
		cfgs = append(cfgs, Config{Protocol: p, WideTCPFlags: true})
		for l := range routerLayouts {
			if p == NetFlow9 || l.inIPFIX() {
				cfgs = append(cfgs, Config{Protocol: p, Fields: Fields{Layout: l}})
			}
		}
	}
	for _, c := range choices {
		for _, p := range c.protocols {
			cfgs = append(cfgs, Config{Protocol: p, Fields: c.Fields})
		}
	}
	for _, f := range biflowForms {
		cfgs = append(cfgs, Config{Protocol: IPFIX, WideTCPFlags: true, Fields: f, Sampling: Sampling{Interval: 10, Form: FormSelector}})
	}
	return cfgs
}

// TestTemplatesFit holds MinMTU to what it promises, and every field to its
// element's length (RFC 7011 §6.2: only integers may be shorter).
func TestTemplatesFit(t *testing.T) {
	for _, cfg := range everyLayout() {
		cfg, err := cfg.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		p := cfg.Protocol
		ts := newTemplates(&cfg)
		if last, first := len(ts.all)-1, int(optionsID(&cfg, 0)-templateBase(p, cfg.SourceID))-optionKinds+1; last >= first {
			t.Errorf("%v %+v: ids 0 to %d are of templates, %d on of options", p, cfg.Fields, last, first)
		}
		for _, tm := range ts.all {
			limit := MinMTU
			if tm.reverse != nil {
				limit = minBiflowMTU
			}
			if n := header9 + setHeader + pad4(max(len(tm.record), tm.size)); n > limit {
				t.Errorf("%v template %d needs %d octets", p, tm.id, n)
			}
			if n := be.Uint16(tm.record[2:]); n > 60 {
				t.Errorf("%v template %d has %d fields; tshark takes 60", p, tm.id, n)
			}
			for f := tm.record[4:]; len(f) > 0; f = f[4:] {
				id, length := be.Uint16(f), int(be.Uint16(f[2:]))
				if id&0x8000 != 0 {
					if f = f[4:]; be.Uint32(f) != 29305 {
						t.Errorf("%v template %d: element %d of enterprise %d", p, tm.id, id&0x7fff, be.Uint32(f))
					}
				}
				e, ok := ElementByID(id & 0x7fff)
				integer := e.Type >= Unsigned8 && e.Type <= Unsigned64
				if !ok || length > e.Length || length < e.Length && !integer && e.Type != OctetArray {
					if p == NetFlow9 && (id == flowLabelIPv6 || id == samplerID) {
						continue
					}
					t.Errorf("%v template %d: element %d (%s) of %d octets", p, tm.id, id, e.Name, length)
				}
			}
			r := record6()
			r.Version = 4
			b := tm.appendRecord(nil, &r, 0)
			for _, g := range tm.reverse {
				b = g.put(b, &r, 0)
			}
			if len(b) != tm.size {
				t.Errorf("%v template %d: record of %d octets, template says %d", p, tm.id, len(b), tm.size)
			}
		}
	}
}
