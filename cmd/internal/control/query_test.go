package control

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// TestSelection compares a selection with sorting everything.
func TestSelection(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]flow.Record, 1000)
	for i := range all {
		all[i].Version = []uint8{4, 6}[r.IntN(2)]
		all[i].Packets, all[i].Octets, all[i].First = r.Uint64N(500), r.Uint64N(500), flow.Time(i)
	}
	for _, q := range []CacheQuery{{}, {Version: 4}, {Limit: -1}, {Limit: -1, Sort: ByBytes}, {Limit: 10}, {Limit: 10, Sort: ByBytes}, {Version: 6, Limit: 7, Sort: ByPackets}, {Limit: 5000, Sort: ByPackets}} {
		s := NewSelection(q)
		var want []flow.Record
		for i := range all {
			s.Add(&all[i])
			if q.Version == 0 || all[i].Version == q.Version {
				want = append(want, all[i])
			}
		}
		if s.Matched != len(want) {
			t.Errorf("%+v: matched %d of %d", q, s.Matched, len(want))
		}
		if q.Sort != Unsorted {
			slices.SortStableFunc(want, func(a, b flow.Record) int { return int(q.Sort.size(&b)) - int(q.Sort.size(&a)) })
		}
		switch {
		case q.Limit < 0:
			want = nil
		case q.Limit > 0:
			want = want[:min(q.Limit, len(want))]
		}
		got := s.Records()
		if len(got) != len(want) {
			t.Fatalf("%+v: %d flows, want %d", q, len(got), len(want))
		}
		for i := range got {
			if q.Sort == Unsorted && got[i] != want[i] || q.Sort != Unsorted && q.Sort.size(&got[i]) != q.Sort.size(&want[i]) {
				t.Errorf("%+v: flow %d is %d packets, %d octets", q, i, got[i].Packets, got[i].Octets)
			}
		}
	}
}

func TestFlowJSON(t *testing.T) {
	c := Context{Boot: time.Unix(1000, 0), Name: func(i uint32) string { return map[uint32]string{2: "eth0"}[i] }}
	v4 := flow.Record{Packet: flow.Packet{
		Key:     flow.Key{Src: [16]byte{10, 0, 0, 1}, Dst: [16]byte{192, 0, 2, 1}, DstPort: 0x0800, Protocol: 1, ToS: 0xc0, Version: 4, Input: 2},
		Packets: 3, Octets: 252, First: flow.Time(time.Second), Last: flow.Time(1500 * time.Millisecond),
		MinTTL: 63, MaxTTL: 64, MinLength: 84, MaxLength: 84, VLAN: 0xa064, SrcMAC: [6]byte{2, 0, 0, 0, 0, 1},
		MPLS: [3][3]byte{{0, 6, 0x41}}, MPLSDepth: 1, Egress: 3,
	}, Route: flow.Route{NextHop: [16]byte{0xfe, 0x80, 15: 1}, NextHopVersion: 6, DstPrefixLen: 24, Status: flow.Forwarded}, End: flow.IdleTimeout}
	want := `{"sourceIPv4Address":"10.0.0.1","destinationIPv4Address":"192.0.2.1","sourceTransportPort":0,"destinationTransportPort":2048,` +
		`"protocolIdentifier":1,"ipClassOfService":192,"ingressInterface":2,"egressInterface":3,"flowDirection":0,"icmpTypeCodeIPv4":2048,` +
		`"ingressInterfaceName":"eth0","packetDeltaCount":3,"octetDeltaCount":252,"flowStartMilliseconds":1001000,"flowEndMilliseconds":1001500,` +
		`"tcpControlBits":0,"minimumTTL":63,"maximumTTL":64,"minimumIpTotalLength":84,"maximumIpTotalLength":84,` +
		`"sourceMacAddress":"02:00:00:00:00:01","destinationMacAddress":"00:00:00:00:00:00","vlanId":100,"dot1qPriority":5,` +
		`"mplsTopLabelStackSection":"000641","mplsLabelStackDepth":1,"ipNextHopIPv6Address":"fe80::1","destinationIPv4PrefixLength":24,` +
		`"forwardingStatus":64,"flowEndReason":1}`
	check := func(r *flow.Record, want string) {
		t.Helper()
		b, err := json.Marshal(c.Flow(r))
		if err != nil || string(b) != want {
			t.Errorf("got  %s\nwant %s\n%v", b, want, err)
		}
		var back Flow
		if err := json.Unmarshal(b, &back); err != nil {
			t.Error(err)
		}
		if again, _ := json.Marshal(back); string(again) != string(b) {
			t.Errorf("reading it back gives %s", again)
		}
	}
	check(&v4, want)
	v6 := flow.Record{Packet: flow.Packet{
		Key:       flow.Key{Src: netip.MustParseAddr("2001:db8::1").As16(), SrcPort: 1, DstPort: 53, Protocol: 17, Version: 6, Direction: flow.Egress},
		FlowLabel: 0xfffff, Fragment: true, MPLSDepth: 9, Packets: 1, Octets: 60}}
	want6 := `{"sourceIPv6Address":"2001:db8::1","destinationIPv6Address":"::","sourceTransportPort":1,"destinationTransportPort":53,` +
		`"protocolIdentifier":17,"ipClassOfService":0,"ingressInterface":0,"egressInterface":0,"flowDirection":1,` +
		`"packetDeltaCount":1,"octetDeltaCount":60,"flowStartMilliseconds":1000000,"flowEndMilliseconds":1000000,` +
		`"tcpControlBits":0,"minimumTTL":0,"maximumTTL":0,"minimumIpTotalLength":0,"maximumIpTotalLength":0,` +
		`"mplsTopLabelStackSection":"000000","mplsLabelStackSection2":"000000","mplsLabelStackSection3":"000000","mplsLabelStackDepth":9,` +
		`"flowLabelIPv6":1048575,"fragment":true,"forwardingStatus":0}`
	check(&v6, want6)
}
