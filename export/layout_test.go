package export

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// layoutFields are the templates of routers: element and octets. Those of the ISR 1941,
// the ASR1001-X and the ASR 9000 are from captures of these devices; what none showed, IPv6
// on the first two, has the addresses exchanged.
var layoutFields = map[Layout]map[uint8]string{
	LayoutISR: {
		4: "8:4 12:4 10:4 7:2 11:2 5:1 4:1 6:1 61:1 243:2 56:6 15:4 1:4 2:4 95:4",
		6: "27:16 28:16 10:4 7:2 11:2 5:1 4:1 6:1 61:1 243:2 56:6 62:16 1:4 2:4 95:4",
	},
	LayoutASR1000: {
		4: "8:4 12:4 5:1 4:1 7:2 11:2 10:4 95:4 15:4 14:4 61:1 1:4 2:4 152:8 153:8",
		6: "27:16 28:16 5:1 4:1 7:2 11:2 10:4 95:4 62:16 14:4 61:1 1:4 2:4 152:8 153:8",
	},
	LayoutASR9000: {
		4: "2:4 1:4 8:4 12:4 10:4 14:4 21:4 22:4 7:2 11:2 16:4 17:4 18:4 9:1 13:1 4:1 6:1 5:1 61:1 89:1 48:2 234:4 235:4",
		6: "2:4 1:4 27:16 28:16 10:4 14:4 22:4 21:4 31:4 64:4 7:2 11:2 16:4 17:4 63:16 30:1 29:1 4:1 6:1 5:1 61:1 89:1 48:2 234:4 235:4",
	},
	LayoutNetFlowOriginal: {
		4: "5:1 4:1 8:4 12:4 7:2 11:2 10:4 48:4 16:2 17:2 15:4 9:1 13:1 6:1 14:4 1:4 2:4 22:4 21:4",
		6: "5:1 31:3 4:1 64:4 27:16 28:16 7:2 11:2 10:4 61:1 48:4 16:2 17:2 62:16 29:1 30:1 6:1 14:4 1:4 2:4 22:4 21:4",
	},
}

// layoutSizes are what routers say that a record takes.
var layoutSizes = map[Layout]map[uint8]int{LayoutNetFlowOriginal: {4: 53, 6: 97}}

// eachLayout runs f for each router's layout in each protocol that can have it.
func eachLayout(t *testing.T, f func(t *testing.T, cfg Config)) {
	for l := range layoutFields {
		for _, p := range bothTemplated {
			if p == NetFlow9 || l == LayoutISR || l == LayoutASR1000 {
				t.Run(fmt.Sprintf("%v %s", p, l), func(t *testing.T) { f(t, Config{Protocol: p, SourceID: 7, Fields: Fields{Layout: l}}) })
			}
		}
	}
}

func layoutRecords() []flow.Record {
	ingress := record4()
	ingress.Direction = flow.Ingress
	return []flow.Record{record4(), record6(), record4via6(), ingress}
}

// wantLayout returns the fields of r in a layout as numbers of the given length.
func wantLayout(r *flow.Record, fields string) map[uint16]any {
	all := map[uint16]any{243: r.VLAN & 4095, 16: r.SrcAS, 17: r.DstAS}
	for _, p := range bothTemplated {
		for id, v := range wantFields(p, r) {
			all[id] = v
		}
	}
	if r.Version == 4 && r.NextHopVersion == 6 {
		all[15] = make([]byte, 4)
	}
	w := map[uint16]any{}
	for _, f := range strings.Fields(fields) {
		var id uint16
		var octets int
		fmt.Sscanf(f, "%d:%d", &id, &octets)
		switch v := all[id].(type) {
		case nil: // what the cache does not know
			w[id] = make([]byte, octets)
		case uint64:
			if w[id] = v; octets == 4 {
				w[id] = uint32(v)
			}
		case uint32:
			switch w[id] = v; {
			case octets == 3:
				w[id] = []byte{byte(v >> 16), byte(v >> 8), byte(v)}
			case octets == 2 && v > math.MaxUint16:
				w[id] = uint16(23456) // RFC 6793 §9
			case octets == 2:
				w[id] = uint16(v)
			}
		default:
			w[id] = v
		}
	}
	return w
}

// TestLayouts: goflow2 finds the fields of routers in their order, and their values.
func TestLayouts(t *testing.T) {
	eachLayout(t, func(t *testing.T, cfg Config) {
		c := newCollector(t)
		s := c.session(cfg)
		records := layoutRecords()
		for i := range records {
			s.Append(&records[i], records[i].Expired)
		}
		s.Flush(records[0].Expired)
		templates := map[uint8]string{}
		for _, fields := range c.templateFields() {
			var text []string
			size, version := 0, uint8(4)
			for _, f := range fields {
				text = append(text, fmt.Sprintf("%d:%d", f.Type, f.Length))
				size += int(f.Length)
				if f.Type == 27 {
					version = 6
				}
			}
			templates[version] = strings.Join(text, " ")
			if want, ok := layoutSizes[cfg.Fields.Layout][version]; ok && size != want {
				t.Errorf("IPv%d has %d octets, want %d", version, size, want)
			}
		}
		for version, want := range layoutFields[cfg.Fields.Layout] {
			if templates[version] != want {
				t.Errorf("IPv%d has\n%s\nwant\n%s", version, templates[version], want)
			}
		}
		got := c.all()
		if len(got) != len(records) {
			t.Fatalf("%d records decoded of %d", len(got), len(records))
		}
		for i := range got {
			compareTo(t, wantLayout(&records[i], layoutFields[cfg.Fields.Layout][records[i].Version]), got[i])
		}
	})
}

// TestLayoutsSplit: a flow whose counters need more than four octets becomes several
// records, which differ in their counters alone and sum up to it.
func TestLayoutsSplit(t *testing.T) {
	eachLayout(t, func(t *testing.T, cfg Config) {
		for _, r := range layoutRecords() {
			c := newCollector(t)
			s := c.session(cfg)
			r.Packets, r.Octets = 5_000_000_000, 7_500_000_000_000
			if why := s.Append(&r, r.Expired); why != None {
				t.Fatal(why)
			}
			s.Flush(r.Expired)
			if got, want := c.sums(), (Count{1747, r.Packets, r.Octets}); got != want || s.Splits() != 1746 {
				t.Errorf("decoded %+v with %d splits, want %+v", got, s.Splits(), want)
			}
			parts := c.all()
			for i, got := range parts {
				if len(got[1]) != 4 || len(got[2]) != 4 {
					t.Fatalf("part %d has counters %x and %x", i, got[1], got[2])
				}
				got[1], got[2] = nil, nil
				if fmt.Sprint(got) != fmt.Sprint(parts[0]) {
					t.Fatalf("part %d is %v, the first %v", i, got, parts[0])
				}
			}
			if r.Octets = 1 << 60; s.Append(&r, r.Expired) != TooLarge || s.Pending() != (Count{}) {
				t.Errorf("2^60 octets were taken: %+v", s.Pending())
			}
		}
	})
}

// TestTsharkLayouts: tshark finds no fault in any layout, and reads what was put in.
func TestTsharkLayouts(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	eachLayout(t, func(t *testing.T, cfg Config) {
		t.Parallel()
		w := newPcap(t)
		cfg.TemplatePackets, cfg.Epoch = 8, func() time.Time { return testEpoch }
		s, err := NewSession(cfg, w.add)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		now := flow.Time(90000e9)
		for range 10 {
			for _, r := range layoutRecords() {
				now += 10e6
				s.Tick(now)
				s.Append(&r, now)
				want = append(want, fmt.Sprint(tsharkWantLayout(&r, layoutFields[cfg.Fields.Layout][r.Version])))
			}
		}
		s.Flush(now)
		compareTshark(t, w, want, nil)
	})
}

// tsharkNames are tshark's for what an element consists of.
var tsharkNames = map[string]string{
	"1": "octets", "2": "packets", "4": "protocol", "5": "tos", "6": "tcpflags", "7": "srcport", "8": "srcaddr", "9": "srcmask",
	"10": "inputint", "11": "dstport", "12": "dstaddr", "13": "dstmask", "14": "outputint", "15": "nexthop", "16": "srcas", "17": "dstas",
	"18": "bgpnexthop", "21": "timeend", "22": "timestart", "27": "srcaddrv6", "28": "dstaddrv6", "29": "srcmaskv6", "30": "dstmaskv6",
	"31": "ipv6flowlabel", "48": "sampler_id", "56": "srcmac", "61": "direction", "62": "nexthopv6", "63": "bgpnexthopv6", "64": "ipv6_exthdr",
	"89": "forwarding_status forwarding_status_forward_code", "95": "appl_id.classification_engine_id appl_id.selector_id",
	"152": "abstimestart", "153": "abstimeend", "234": "ingress_vrfid", "235": "egress_vrfid", "243": "dot1q_vlan_id",
}

// tsharkWantLayout returns what tshark should print for r.
func tsharkWantLayout(r *flow.Record, fields string) map[string]string {
	all := map[string]string{
		"srcas": "64500", "dstas": "65550", "bgpnexthop": "0.0.0.0", "bgpnexthopv6": "::", "sampler_id": "0", "ipv6_exthdr": "0x00000000",
		"appl_id.classification_engine_id": "0", "appl_id.selector_id": "00:00:00", "ingress_vrfid": "0", "egress_vrfid": "0",
		"dot1q_vlan_id": fmt.Sprint(r.VLAN & 4095), "nexthop": "0.0.0.0",
	}
	maps.Copy(all, tsharkWant(NetFlow9, r))
	maps.Copy(all, tsharkWant(IPFIX, r))
	if strings.Contains(fields, " 17:2 ") {
		all["dstas"] = "23456" // RFC 6793 §9
	}
	w := map[string]string{}
	for _, f := range strings.Fields(fields) {
		id, _, _ := strings.Cut(f, ":")
		for _, name := range strings.Fields(tsharkNames[id]) {
			w[name] = all[name]
		}
	}
	return w
}
