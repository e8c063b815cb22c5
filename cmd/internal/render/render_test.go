package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cache/flow"
)

var boot = time.UnixMilli(1_700_000_000_000)

func tcp4() *flow.Record {
	r := &flow.Record{End: flow.IdleTimeout}
	r.Version, r.Protocol, r.ToS = 4, flow.ProtocolTCP, 0xb8
	copy(r.Src[:], []byte{192, 0, 2, 1})
	copy(r.Dst[:], []byte{198, 51, 100, 7})
	r.SrcPort, r.DstPort, r.Input, r.Egress = 40000, 443, 2, 3
	r.Packets, r.Octets = 10, 5400
	r.First, r.Last = flow.Time(3600*time.Second), flow.Time(3601*time.Second+234567*time.Microsecond)
	r.MinLength, r.MaxLength, r.MinTTL, r.MaxTTL = 40, 1500, 63, 64
	r.TCPFlags = flow.SYN | flow.ACK | flow.PSH | flow.FIN | flow.NS
	r.SrcMAC, r.DstMAC = [6]byte{2, 0, 0, 0, 0xab, 1}, [6]byte{2, 0, 0, 0, 0xab, 2}
	r.VLAN, r.CustomerVLAN = 5<<13|100, 1<<12|200
	r.MPLS, r.MPLSDepth = [3][3]byte{{0, 0x3e, 0x80}, {0, 0x3e, 0x91}}, 2
	r.NextHopVersion, r.SrcPrefixLen, r.DstPrefixLen, r.Status = 4, 24, 0, flow.Forwarded
	copy(r.NextHop[:], []byte{203, 0, 113, 1})
	return r
}

func ping6() *flow.Record {
	r := &flow.Record{End: flow.ActiveTimeout}
	r.Version, r.Protocol, r.DstPort = 6, flow.ProtocolICMPv6, 128<<8
	r.Src, r.Dst = netip.MustParseAddr("2001:db8::1").As16(), netip.MustParseAddr("fe80::2").As16()
	r.Packets, r.Octets, r.FlowLabel, r.Fragment = 1, 104, 0xabcde, true
	r.SrcPrefixLen, r.DstPrefixLen, r.Status = 64, 128, flow.TerminatedHere
	return r
}

func lines(t *testing.T, f Format, rs ...*flow.Record) string {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, f, boot, func(i uint32) string { return map[uint32]string{2: "eth0", 3: "wlan0"}[i] })
	for _, r := range rs {
		if err := w.Record(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestJSON(t *testing.T) {
	const want = `{"sourceIPv4Address":"192.0.2.1","destinationIPv4Address":"198.51.100.7",` +
		`"sourceTransportPort":40000,"destinationTransportPort":443,"protocolIdentifier":6,"ipClassOfService":184,` +
		`"ipDiffServCodePoint":46,"tcpControlBits":283,"ingressInterface":2,"egressInterface":3,"flowDirection":0,` +
		`"packetDeltaCount":10,"octetDeltaCount":5400,"flowStartMilliseconds":1700003600000,"flowEndMilliseconds":1700003601234,` +
		`"minimumIpTotalLength":40,"maximumIpTotalLength":1500,"minimumTTL":63,"maximumTTL":64,` +
		`"sourceMacAddress":"02:00:00:00:ab:01","destinationMacAddress":"02:00:00:00:ab:02",` +
		`"vlanId":100,"dot1qPriority":5,"dot1qCustomerVlanId":200,` +
		`"mplsTopLabelStackSection":"003e80","mplsLabelStackSection2":"003e91","mplsLabelStackDepth":2,` +
		`"ipNextHopIPv4Address":"203.0.113.1","sourceIPv4PrefixLength":24,"destinationIPv4PrefixLength":0,` +
		`"forwardingStatus":64,"flowEndReason":1,"ipVersion":4}` + "\n" +
		`{"sourceIPv6Address":"2001:db8::1","destinationIPv6Address":"fe80::2",` +
		`"sourceTransportPort":0,"destinationTransportPort":32768,"protocolIdentifier":58,"ipClassOfService":0,` +
		`"ipDiffServCodePoint":0,"tcpControlBits":0,"ingressInterface":0,"egressInterface":0,"flowDirection":0,` +
		`"packetDeltaCount":1,"octetDeltaCount":104,"flowStartMilliseconds":1700000000000,"flowEndMilliseconds":1700000000000,` +
		`"minimumIpTotalLength":0,"maximumIpTotalLength":0,"minimumTTL":0,"maximumTTL":0,` +
		`"icmpTypeCodeIPv6":32768,"flowLabelIPv6":703710,"fragmentFlags":32,` +
		`"sourceIPv6PrefixLength":64,"destinationIPv6PrefixLength":128,"forwardingStatus":195,"flowEndReason":2,"ipVersion":6}` + "\n"
	if diff := cmp.Diff(want, lines(t, JSON, tcp4(), ping6())); diff != "" {
		t.Error(diff)
	}
}

// An echo reply is type 0, code 0: a zero that is not "none".
func TestEchoReplyHasItsTypeAndCode(t *testing.T) {
	r := ping6()
	r.Version, r.Protocol, r.DstPort = 4, flow.ProtocolICMP, 0
	if got := lines(t, JSON, r); !strings.Contains(got, `"icmpTypeCodeIPv4":0,`) {
		t.Error(got)
	}
}

// A tag belongs to the side at which it was seen.
func TestVLANOfAnEgressFlow(t *testing.T) {
	r := tcp4()
	r.Direction = flow.Egress
	if got := lines(t, JSON, r); !strings.Contains(got, `"postVlanId":100,`) || strings.Contains(got, `"vlanId"`) {
		t.Error(got)
	}
}

func randomRecord(rng *rand.Rand) *flow.Record {
	r := &flow.Record{}
	random := func(b []byte) {
		if rng.IntN(4) == 0 {
			return
		}
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	r.Version = []uint8{4, 6}[rng.IntN(2)]
	n := map[uint8]int{4: 4, 6: 16}[r.Version]
	random(r.Src[:n])
	random(r.Dst[:n])
	r.Protocol = []uint8{1, 6, 17, 58, 132, 255}[rng.IntN(6)]
	r.SrcPort, r.DstPort = uint16(rng.Uint32()), uint16(rng.Uint32())
	r.Packets, r.Octets = rng.Uint64(), rng.Uint64()
	r.First = flow.Time(rng.Int64N(1 << 62))
	r.Last = r.First.Add(time.Duration(rng.Int64N(1 << 50)))
	r.TCPFlags, r.FlowLabel = uint16(rng.Uint32()), rng.Uint32()&0xfffff
	r.Direction = flow.Direction(rng.IntN(2))
	r.VLAN, r.CustomerVLAN = uint16(rng.Uint32()), uint16(rng.Uint32())
	random(r.SrcMAC[:])
	random(r.DstMAC[:])
	random(r.MPLS[0][:])
	random(r.MPLS[2][:])
	r.NextHopVersion = []uint8{0, 4, 6}[rng.IntN(3)]
	random(r.NextHop[:map[uint8]int{0: 0, 4: 4, 6: 16}[r.NextHopVersion]])
	r.Status, r.End = flow.ForwardingStatus(rng.Uint32()), flow.EndReason(rng.IntN(6))
	return r
}

// encoding/json and encoding/csv judge both forms, and find the same values.
func TestJSONAndCSVAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	rs := make([]*flow.Record, 500)
	for i := range rs {
		rs[i] = randomRecord(rng)
	}
	rows, err := csv.NewReader(strings.NewReader(lines(t, CSV, rs...))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(rs)+1 {
		t.Fatalf("%d rows, want %d and a header", len(rows), len(rs))
	}
	objects := json.NewDecoder(strings.NewReader(lines(t, JSON, rs...)))
	objects.UseNumber()
	for i := range rs {
		var fromJSON map[string]any
		if err := objects.Decode(&fromJSON); err != nil {
			t.Fatal(err)
		}
		fromCSV := map[string]any{}
		for c, name := range rows[0] {
			cell := rows[i+1][c]
			if cell == "" {
				continue
			}
			if _, isText := fromJSON[name].(string); isText {
				fromCSV[name] = cell
			} else {
				fromCSV[name] = json.Number(cell)
			}
		}
		if diff := cmp.Diff(fromJSON, fromCSV); diff != "" {
			t.Fatalf("record %d: %s", i, diff)
		}
	}
	if err := objects.Decode(new(any)); err != io.EOF {
		t.Errorf("after the last record: %v", err)
	}
}

func TestTable(t *testing.T) {
	long := ping6()
	long.Protocol, long.SrcPort, long.DstPort = flow.ProtocolUDP, 12345, 53
	long.Src = netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678").As16()
	long.Octets, long.Packets, long.First, long.End = 12_345_678_901, 23_456_789, 0, flow.LackOfResources
	next := tcp4()
	next.First, next.Last = next.First.Add(24*time.Hour), next.Last.Add(24*time.Hour)
	const want = "" +
		"Start         Seconds Proto  Source → Destination                        In→Out        Packets    Octets Flags    End\n" +
		"-- 2023-11-14 UTC\n" +
		"23:13:20.000    1.234 TCP    192.0.2.1:40000 → 198.51.100.7:443          eth0→wlan0         10      5400 ...AP.SF idle\n" +
		"22:13:20.000    0.000 ICMPv6 2001:db8::1 → fe80::2 (128/0)               -→Local             1       104 -        active\n" +
		"22:13:20.000    0.000 UDP    [2001:db8:1234:5678:9abc:def0:1234:5678]:12345 → [fe80::2]:53\n" +
		"                                                                         -→Local        23456K 12345678K -        full\n" +
		"-- 2023-11-15 UTC\n" +
		"23:13:20.000    1.234 TCP    192.0.2.1:40000 → 198.51.100.7:443          eth0→wlan0         10      5400 ...AP.SF idle\n"
	got := lines(t, Table, tcp4(), ping6(), long, next)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(line); n > 121 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestInterfaceNamesAreCutToTheColumn(t *testing.T) {
	r := &Row{Input: 1, Output: 2}
	got := string(r.AppendHops(nil, widthHops, func(uint32) string { return "enp0s31f6.4094" }))
	if got != "enp0s31f6.40…" {
		t.Error(got)
	}
}

func TestFormats(t *testing.T) {
	for f := None; f <= CSV; f++ {
		if got, err := ParseFormat(f.String()); err != nil || got != f {
			t.Errorf("ParseFormat(%v) = %v, %v", f, got, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("xml is a format")
	}
	if got := lines(t, None, tcp4()); got != "" {
		t.Errorf("none writes %q", got)
	}
}

type failing struct{ n int }

func (f *failing) Write(b []byte) (int, error) { f.n++; return 0, io.ErrClosedPipe }

func TestFirstErrorIsKept(t *testing.T) {
	var out failing
	w := New(&out, JSON, boot, nil)
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = w.Record(tcp4())
	}
	if err != io.ErrClosedPipe || w.Flush() != io.ErrClosedPipe || out.n != 1 {
		t.Errorf("%v, then %v, after %d writes", err, w.Flush(), out.n)
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	for _, f := range []Format{JSON, CSV, Table} {
		w := New(io.Discard, f, boot, nil)
		r, p := tcp4(), ping6()
		if n := testing.AllocsPerRun(1000, func() {
			w.Record(r)
			w.Record(p)
		}); n != 0 {
			t.Errorf("%v: %v allocations", f, n)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, f := range []Format{JSON, CSV, Table} {
		b.Run(f.String(), func(b *testing.B) {
			w := New(io.Discard, f, boot, nil)
			rs := [...]*flow.Record{tcp4(), ping6()}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				w.Record(rs[i&1])
			}
		})
	}
}
