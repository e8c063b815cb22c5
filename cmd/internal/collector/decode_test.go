package collector

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cmd/internal/render"
)

var (
	exporterA = netip.MustParseAddrPort("192.0.2.10:2055")
	exporterB = netip.MustParseAddrPort("192.0.2.11:2055")
	received  = time.Unix(1_700_000_000, 0)
)

// octetsOf reads hexadecimal digits; white space separates fields, and a # and
// what follows it on a line is a remark.
func octetsOf(t testing.TB, s string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fixLength sets the Length of an IPFIX message to its length.
func fixLength(b []byte) []byte {
	be.PutUint16(b[2:], uint16(len(b)))
	return b
}

// feed decodes datagrams of one exporter and returns their records as JSON
// lines.
func feed(t testing.TB, c *Collector, from netip.AddrPort, datagrams ...[]byte) string {
	t.Helper()
	var out bytes.Buffer
	w := render.New(&out, render.JSON, time.Time{}, nil)
	for _, b := range datagrams {
		if err := c.Decode(b, from, received, func(r *Record) { w.Decoded(&r.Decoded) }); err != nil {
			t.Errorf("%v: %x", err, b)
		}
	}
	w.Flush()
	return out.String()
}

// wantFound compares what the check found with want; what want does not name is
// 0.
func wantFound(t testing.TB, c *Collector, want map[Reason]uint64) {
	t.Helper()
	got := map[string]uint64{}
	for r, n := range c.Stats().Found {
		if n > 0 {
			got[Reason(r).String()] = n
		}
	}
	named := map[string]uint64{}
	for r, n := range want {
		named[r.String()] = n
	}
	if diff := cmp.Diff(named, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

const v5Header = `
	0005 0001        # version, count
	00015f90         # sysUpTime 90000 ms
	6553f100 1dcd6500 # 1700000000.5 s
	0000002a         # flow sequence 42
	01 02 4064       # engine type, engine id, sampling mode 1, 1:100
`

func TestNetFlow5(t *testing.T) {
	d := octetsOf(t, v5Header+`
		0a000001 0a000002 0a0000fe # source, destination, next hop
		0003 0007                  # input, output
		0000000b 00001092          # packets, octets
		0000ea60 00013880          # first 60000, last 80000
		c350 01bb 00 1b 06 10      # ports, pad, flags, protocol, tos
		fde8 0000 18 10 0000       # AS 65000, 0; masks; pad
	`)
	const want = `{"sourceIPv4Address":"10.0.0.1","destinationIPv4Address":"10.0.0.2","sourceTransportPort":50000,` +
		`"destinationTransportPort":443,"protocolIdentifier":6,"ipClassOfService":16,"tcpControlBits":27,` +
		`"ingressInterface":3,"egressInterface":7,"packetDeltaCount":11,"octetDeltaCount":4242,` +
		`"flowStartMilliseconds":1699999970500,"flowEndMilliseconds":1699999990500,` +
		`"ipNextHopIPv4Address":"10.0.0.254","sourceIPv4PrefixLength":24,"destinationIPv4PrefixLength":16,` +
		`"bgpSourceAsNumber":65000}` + "\n"
	c := New(Config{})
	if diff := cmp.Diff(want, feed(t, c, exporterA, d)); diff != "" {
		t.Error(diff)
	}
	want5 := []Exporter{{exporterA.Addr(), 5, 0x0102, received, 1, 0, 100}}
	if diff := cmp.Diff(want5, c.Exporters(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	wantFound(t, c, nil)
}

const v9Header = `
	0009 0002 00015f90 # version, count, sysUpTime 90000 ms
	6553f100 00000007  # 1700000000 s, sequence 7
	00000101           # source id
`

func TestNetFlow9(t *testing.T) {
	d := octetsOf(t, v9Header+`
		0000 0048 0100 0010 # template 256 of 16 fields
		0008 0004  000c 0004  0004 0001  0020 0002  0007 0002  000b 0002  0016 0004  0015 0004
		0001 0004  0002 0004  003a 0002  0046 0003  000a 0002  0059 0004  0038 0006  7fff 0001
		0100 0038
		c0000201 c6336407 01 0000 0000 0000 0000ea60 00013880
		00000054 00000001 0064 00e801 0002 00000040 000000000000 7b
		000000              # padding
	`)
	const want = `{"sourceIPv4Address":"192.0.2.1","destinationIPv4Address":"198.51.100.7","sourceTransportPort":0,` +
		`"destinationTransportPort":0,"protocolIdentifier":1,"ingressInterface":2,"packetDeltaCount":1,"octetDeltaCount":84,` +
		`"flowStartMilliseconds":1699999970000,"flowEndMilliseconds":1699999990000,"vlanId":100,` +
		`"mplsTopLabelStackSection":"00e801","icmpTypeCodeIPv4":0,"forwardingStatus":64,"element32767":"7b"}` + "\n"
	c := New(Config{})
	if diff := cmp.Diff(want, feed(t, c, exporterA, d)); diff != "" {
		t.Error(diff)
	}
	wantFound(t, c, nil)
}

const v10Header = `
	000a 0000 6553f100 # version, length, 1700000000 s
	00000007 00000101  # sequence, observation domain
`

func TestIPFIX(t *testing.T) {
	d := fixLength(octetsOf(t, v10Header+`
		0002 0050 0101 0010 # template 257 of 16 fields
		001b 0010  001c 0010  0004 0001  001f 0004  0001 0004  0002 0008  009a 0008  009b 0008
		0052 ffff           # interfaceName, variable
		8001 0004 0000 7279 # reverse octetDeltaCount (PEN 29305)
		80ff ffff 0000 0009 # enterprise 9
		00d2 0002           # paddingOctets
		00c3 0001  00c3 0001 # DSCP twice
		0138 0008  014c 0001 # 312, 332
		0101 0065
		20010db8000000000000000000000001 20010db8000000000000000000000002
		11 000abcde 00001000 0000000000000005
		e8fe6fff 80000000   # 1700000127.5 s
		e8fe7000 00000000   # 1700000128 s
		06 65 74 22 5c 1b 30 # et"\ESC0
		00000009
		ff 0003 c0ffee      # the long form of a length
		0000
		2e 2f
		00000000000005dc 01
		0000                # padding
	`))
	const want = `{"sourceIPv6Address":"2001:db8::1","destinationIPv6Address":"2001:db8::2","protocolIdentifier":17,` +
		`"ipDiffServCodePoint":46,"packetDeltaCount":5,"octetDeltaCount":4096,` +
		`"flowStartMilliseconds":1700000127500,"flowEndMilliseconds":1700000128000,"flowLabelIPv6":703710,` +
		`"interfaceName":"et\"\\\u001b0","reverseOctetDeltaCount":9,"enterprise9.255":"c0ffee",` +
		`"ipDiffServCodePoint#2":47,"dataLinkFrameSize":1500,"hashSelectedRangeMax":1}` + "\n"
	c := New(Config{})
	if diff := cmp.Diff(want, feed(t, c, exporterA, d)); diff != "" {
		t.Error(diff)
	}
	wantFound(t, c, nil)
}

func TestOptions(t *testing.T) {
	v9 := octetsOf(t, v9Header+`
		0001 001a 0102 0004 000c # options template 258: scope 4 octets, options 12
		0001 0004  0030 0001  0031 0001  0032 0004
		0102 0010 0a0f0173 01 02 000003e8 0000
	`)
	v10 := fixLength(octetsOf(t, v10Header+`
		0003 0022 0102 0005 0001 # options template 258: five fields, one a scope
		012e 0004  0130 0002  0131 0004  0132 0004  80ff 0001 00000009
		0102 0013 00000001 0001 00000001 00000063 aa
	`))
	for _, test := range []struct {
		datagram []byte
		want     string
		interval uint32
	}{
		{v9, `{"options":true,"scopeSystem":"0a0f0173","samplerId":1,"samplerMode":2,"samplerRandomInterval":1000}`, 1000},
		{v10, `{"options":true,"selectorId":1,"selectorAlgorithm":1,"samplingPacketInterval":1,"samplingPacketSpace":99,"enterprise9.255":"aa"}`, 100},
	} {
		c := New(Config{})
		if diff := cmp.Diff(test.want+"\n", feed(t, c, exporterA, test.datagram)); diff != "" {
			t.Error(diff)
		}
		if got := c.Exporters()[0].Sampling; got != test.interval {
			t.Errorf("sampling interval %d, want %d", got, test.interval)
		}
		if s := c.Stats(); s.Options != 1 || s.Records != 0 {
			t.Errorf("%d options, %d records", s.Options, s.Records)
		}
		wantFound(t, c, nil)
	}
}

// NetFlow v9 has one field for the type and code of either ICMP, unless an
// exporter uses IPFIX's.
func TestICMPv6InNetFlow9(t *testing.T) {
	const addresses = "20010db8000000000000000000000001"
	for _, test := range []struct{ sets, want string }{
		{"0000 0014 0100 0003 001b 0010 0004 0001 0020 0002  0100 0017" + addresses + "3a 8000", `"icmpTypeCodeIPv6":32768}`},
		{"0000 0018 0100 0004 001b 0010 0004 0001 0020 0002 008b 0002  0100 0019" + addresses + "3a 8000 8100", `"icmpTypeCodeIPv6":33024}`},
		{"0000 0014 0100 0003 001b 0010 0004 0001 0020 0002  0100 0017" + addresses + "01 0800", `"protocolIdentifier":1}`},
	} {
		c := New(Config{})
		if got := feed(t, c, exporterA, octetsOf(t, v9Header+test.sets)); !strings.HasSuffix(got, test.want+"\n") {
			t.Errorf("%s, want … %s", got, test.want)
		}
		wantFound(t, c, nil)
	}
}

// Juniper's options templates have a scope of no octets.
func TestEmptyScope(t *testing.T) {
	c := New(Config{})
	got := feed(t, c, exporterA, octetsOf(t, v9Header+`
		0001 0016 0102 0004 0008  0001 0000  0023 0001  0022 0004
		0102 000c 02 00000064 000000
	`))
	if want := `{"options":true,"scopeSystem":"","samplingAlgorithm":2,"samplingInterval":100}` + "\n"; got != want {
		t.Error(got)
	}
	wantFound(t, c, nil)
}
