package control

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/render"

	"github.com/google/go-cmp/cmp"
)

var boot = time.Unix(1000, 0)

// names knows one interface.
func names(index uint32) string { return map[uint32]string{2: "eth0"}[index] }

// object returns what text holds, without the interfaces' names.
func object(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	delete(m, "ingressInterfaceName")
	delete(m, "egressInterfaceName")
	return m
}

// TestFlowIsARecord compares flows with the same records as they are written
// everywhere else, and with what reading them back gives.
func TestFlowIsARecord(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	sometimes := func(n uint64) uint64 { return n * r.Uint64N(2) }
	for i := range 2000 {
		rec := randomRecord(r, sometimes)
		c := Context{Boot: boot, Name: names}
		f := c.Flow(&rec)
		got, err := json.Marshal(&f)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := render.New(&b, render.JSON, boot, nil)
		_ = w.Record(&rec)
		_ = w.Flush()
		if d := cmp.Diff(object(t, b.Bytes()), object(t, got)); d != "" {
			t.Fatalf("record %d: %s", i, d)
		}
		var back Flow
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(&back); !bytes.Equal(again, got) {
			t.Fatalf("reading it back gives\n%s\nof\n%s", again, got)
		}
	}
}

func randomRecord(r *rand.Rand, sometimes func(uint64) uint64) flow.Record {
	rec := flow.Record{
		Packet: flow.Packet{
			Key: flow.Key{SrcPort: uint16(r.Uint32()), DstPort: uint16(r.Uint32()), Input: uint32(sometimes(2)), Protocol: []uint8{1, 6, 17, 58}[r.IntN(4)],
				ToS: uint8(sometimes(0xb8)), Version: []uint8{4, 6}[r.IntN(2)], Direction: flow.Direction(r.IntN(2))},
			TCPFlags: uint16(r.IntN(512)), MinTTL: 1, MaxTTL: 64, Packets: r.Uint64N(1 << 50), Octets: r.Uint64N(1 << 50),
			First: flow.Time(r.Int64N(1e15)), Last: flow.Time(r.Int64N(1e15)), MinLength: 20, MaxLength: 65535,
			SrcMAC: [6]byte{5: byte(sometimes(7))}, DstMAC: [6]byte{2, 5: byte(sometimes(9))}, FlowLabel: uint32(sometimes(0xfffff)),
			VLAN: uint16(sometimes(0xa064)), CustomerVLAN: uint16(sometimes(7)), Fragment: r.IntN(2) == 0, Egress: uint32(sometimes(3)),
			MPLS: [3][3]byte{{1: byte(sometimes(6))}, {2: 1}}, MPLSDepth: uint8(sometimes(9)),
		},
		Route: flow.Route{SrcPrefixLen: uint8(sometimes(24)), DstPrefixLen: uint8(sometimes(32)), Status: flow.Forwarded},
		End:   flow.EndReason(r.IntN(flow.EndReasons)),
	}
	for _, a := range []*[16]byte{&rec.Src, &rec.Dst} {
		a[0], a[3] = byte(r.Uint32()), byte(r.Uint32())
		if rec.Version == 6 {
			a[15] = byte(r.Uint32())
		}
	}
	if rec.NextHopVersion = []uint8{0, 4, 6}[r.IntN(3)]; rec.NextHopVersion != 0 {
		rec.NextHop[0] = byte(sometimes(0xfe))
	}
	return rec
}

// TestFlow pins one flow as text.
func TestFlow(t *testing.T) {
	rec := flow.Record{Packet: flow.Packet{
		Key:       flow.Key{Src: netip.MustParseAddr("2001:db8::1").As16(), SrcPort: 1, DstPort: 53, Protocol: 17, Version: 6, Direction: flow.Egress, Input: 2},
		FlowLabel: 0xfffff, Fragment: true, Packets: 1, Octets: 60, Last: flow.Time(1500 * time.Millisecond)}, Route: flow.Route{DstPrefixLen: 64}}
	want := `{"sourceIPv6Address":"2001:db8::1","destinationIPv6Address":"::","sourceTransportPort":1,"destinationTransportPort":53,` +
		`"protocolIdentifier":17,"ipClassOfService":0,"ipDiffServCodePoint":0,"tcpControlBits":0,"ingressInterface":2,"egressInterface":0,` +
		`"ingressInterfaceName":"eth0","flowDirection":1,"packetDeltaCount":1,"octetDeltaCount":60,` +
		`"flowStartMilliseconds":1000000,"flowEndMilliseconds":1001500,"minimumIpTotalLength":0,"maximumIpTotalLength":0,"minimumTTL":0,"maximumTTL":0,` +
		`"flowLabelIPv6":1048575,"fragmentFlags":32,"sourceIPv6PrefixLength":0,"destinationIPv6PrefixLength":64,"forwardingStatus":0,"flowEndReason":0,"ipVersion":6}`
	c := Context{Boot: boot, Name: names}
	f := c.Flow(&rec)
	if got, err := json.Marshal(&f); err != nil || string(got) != want {
		t.Errorf("got  %s\nwant %s\n%v", got, want, err)
	}
	c.Name = nil
	if f := c.Flow(&rec); f.IngressInterfaceName != "" {
		t.Errorf("nobody knows names, and it is %s", f.IngressInterfaceName)
	}
}
