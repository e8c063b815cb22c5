package collector

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// template256 describes two IPv4 addresses; data256 is one record of it.
const (
	template256 = "0002 0010 0100 0002 0008 0004 000c 0004\n"
	data256     = "0100 000c c0000201 c6336407\n"
)

// The malformed vectors of RFC 5471 §3.4 to §3.6 for IPFIX, with the reactions
// of RFC 7011 §9: each is counted by its reason, and what is not concerned is
// used.
var malformed10 = []struct {
	name    string
	sets    string // behind a valid header
	records int
	found   map[Reason]uint64
}{
	{"3.6.4 corrected", template256 + data256, 1, nil},
	{"3.6.4 set shorter than its fields", "0002 000c 0100 0002 0008 0004  000c 0004", 0,
		map[Reason]uint64{TruncatedTemplate: 1, ReservedSet: 1}},
	{"3.6.4 fewer fields than the set has", "0002 0010 0100 0001 0008 0004 000c 0004  0100 0008 c0000201", 1,
		map[Reason]uint64{TruncatedTemplate: 1}},
	{"3.6.4 more fields than the set has", "0002 0010 0100 0003 0008 0004 000c 0004\n" + data256, 0,
		map[Reason]uint64{TruncatedTemplate: 1, NoTemplate: 1}},
	{"3.6.4 enterprise number behind the set", "0002 000c 0100 0001 8008 0004", 0, map[Reason]uint64{TruncatedTemplate: 1}},
	{"3.6.4 no scope", "0003 000e 0100 0001 0000 0008 0004  0100 0008 c0000201", 0,
		map[Reason]uint64{BadScope: 1, NoTemplate: 1}},
	{"3.6.4 more scopes than fields", "0003 000e 0100 0001 0002 0008 0004", 0, map[Reason]uint64{BadScope: 1}},
	{"3.6.5 illegal reduced size", "0002 000c 0100 0001 0008 0002  0100 0006 c000", 1, map[Reason]uint64{IllegalLength: 1}},
	{"3.6.5 variable length behind the set", "0002 000c 0100 0001 0052 ffff  0100 0008 03 61 62 63  0100 0007 05 61 62", 1,
		map[Reason]uint64{TruncatedRecord: 1}},
	{"3.6.5 long variable length cut", "0002 000c 0100 0001 0052 ffff  0100 0006 ff 00", 0, map[Reason]uint64{TruncatedRecord: 1}},
	{"3.6.6 too few values", template256 + "0100 000a c0000201 c633", 0, map[Reason]uint64{BadPadding: 1}},
	{"3.6.6 too many values", template256 + "0100 0010 c0000201 c6336407 0a000001", 1, map[Reason]uint64{BadPadding: 1}},
	{"3.6.7 unknown set ids", template256 + "0004 0008 00000000  00ff 0004\n" + data256, 1, map[Reason]uint64{ReservedSet: 2}},
	{"NetFlow v9's set ids", "0000 0010 0100 0002 0008 0004 000c 0004  0001 0004", 0, map[Reason]uint64{ReservedSet: 2}},
	{"3.2.3 zeros between two data sets", template256 + "0100 000f c0000201 c6336407 000000\n" + data256, 2, nil},
	{"padding not zero", template256 + "0100 000d c0000201 c6336407 01", 1, map[Reason]uint64{BadPadding: 1}},
	{"template id 255", "0002 000c 00ff 0001 0008 0004\n" + template256 + data256, 1, map[Reason]uint64{BadTemplateID: 1}},
	{"withdrawal", template256 + "0002 0008 0100 0000\n" + data256, 1, map[Reason]uint64{Withdrawal: 1}},
	{"withdrawal of all", template256 + "0002 0008 0002 0000  0003 0008 0003 0000\n" + data256, 1, map[Reason]uint64{Withdrawal: 2}},
	{"withdrawal among templates", "0002 0018 0101 0000 0100 0002 0008 0004 000c 0004 0102 0000\n" + data256, 1,
		map[Reason]uint64{Withdrawal: 2}},
	{"empty records", "0002 000c 0100 0001 0052 0000  0100 0010 000000000000000000000000", 0,
		map[Reason]uint64{EmptyRecord: 1, NoTemplate: 1}},
	{"all fields variable", "0002 0010 0100 0002 0052 ffff 0053 ffff  0100 000a 01 61 00 00 01 62", 2, nil},
	{"data before its template", data256 + template256 + data256, 1, map[Reason]uint64{NoTemplate: 1}},
	{"3.4.6 flow keys of an unknown template, with too many bits", "0003 0012 0100 0002 0001 0091 0002 00ad 0008" +
		"0100 000e 0999 ffffffffffffffff", 1, nil},
	{"empty sets", "0002 0004 0003 0004" + template256 + "0100 0004", 0, nil},
}

func TestMalformedIPFIX(t *testing.T) {
	for _, test := range malformed10 {
		t.Run(test.name, func(t *testing.T) {
			c := New(Config{})
			got := feed(t, c, exporterA, fixLength(octetsOf(t, v10Header+test.sets)))
			if n := strings.Count(got, "\n"); n != test.records {
				t.Errorf("%d records, want %d:\n%s", n, test.records, got)
			}
			wantFound(t, c, test.found)
		})
	}
}

var malformed9 = []struct {
	name    string
	sets    string
	records int
	found   map[Reason]uint64
}{
	{"good", "0000 0010 0100 0002 0008 0004 000c 0004\n" + data256, 1, nil},
	{"no fields", "0000 0008 0100 0000  0100 0008 00000000", 0, map[Reason]uint64{EmptyRecord: 1, NoTemplate: 1}},
	{"count too small", "0000 0010 0100 0002 0008 0004 000c 0004\n" + data256 + data256, 2, map[Reason]uint64{CountMismatch: 1}},
	{"count too large", "0000 0010 0100 0002 0008 0004 000c 0004", 0, map[Reason]uint64{CountMismatch: 1}},
	{"bit 15 is no enterprise bit", "0000 000c 0100 0001 8008 0004  0100 0008 c0000201", 1, nil},
	{"65535 is no variable length", "0000 000c 0100 0001 0052 ffff  0100 0008 03616263", 0,
		map[Reason]uint64{BadPadding: 1, CountMismatch: 1}},
	{"scope length not of specifiers", "0001 0012 0100 0003 0004 0001 0004 0022 0004", 0, map[Reason]uint64{BadScope: 1}},
	{"scope behind the set", "0001 000e 0100 0008 0000 0001 0004", 0, map[Reason]uint64{TruncatedTemplate: 1}},
	{"options header cut", "0001 0008 0100 0004", 0, map[Reason]uint64{TruncatedTemplate: 1}},
	{"IPFIX's set ids", "0002 0004 0003 0004", 0, map[Reason]uint64{ReservedSet: 2}},
	{"five fields of no octets", "0000 0020 0100 0006 0052 0000 0052 0000 0052 0000 0052 0000 0052 0000 0001 0001", 0,
		map[Reason]uint64{EmptyRecord: 1, CountMismatch: 1}},
}

func TestMalformedNetFlow9(t *testing.T) {
	for _, test := range malformed9 {
		t.Run(test.name, func(t *testing.T) {
			c := New(Config{})
			got := feed(t, c, exporterA, octetsOf(t, v9Header+test.sets))
			if n := strings.Count(got, "\n"); n != test.records {
				t.Errorf("%d records, want %d:\n%s", n, test.records, got)
			}
			wantFound(t, c, test.found)
		})
	}
}

// A datagram that is malformed as a whole leaves nothing behind: not the
// template in its first set, and no sequence number.
func TestRefusedDatagrams(t *testing.T) {
	good := fixLength(octetsOf(t, v10Header+template256+data256))
	length := func(n uint16) []byte {
		b := bytes.Clone(good)
		be.PutUint16(b[2:], n)
		return b
	}
	five := octetsOf(t, v5Header+strings.Repeat("00", record5))
	count := func(n uint16) []byte {
		b := bytes.Clone(five)
		be.PutUint16(b[2:], n)
		return b
	}
	for _, test := range []struct {
		name     string
		datagram []byte
		want     Reason
	}{
		{"nothing", nil, TruncatedHeader},
		{"one octet", good[:1], TruncatedHeader},
		{"IPFIX header cut", good[:15], TruncatedHeader},
		{"v9 header cut", octetsOf(t, v9Header)[:19], TruncatedHeader},
		{"v5 header cut", five[:23], TruncatedHeader},
		{"version 8", []byte{0, 8, 0, 0}, UnknownVersion},
		{"3.6.5 datagram shorter than Length", good[:len(good)-1], LengthMismatch},
		{"3.6.4 Length below the datagram's", length(28), LengthMismatch},
		{"Length below the header's", length(15), LengthMismatch},
		{"v5 record cut", five[:len(five)-1], LengthMismatch},
		{"v5 trailing octet", append(bytes.Clone(five), 0), LengthMismatch},
		{"v5 count 2 with one record", count(2), LengthMismatch},
		{"v5 count 0", count(0), BadCount},
		{"v5 count 31", count(31), BadCount},
		{"set of 3 octets", fixLength(octetsOf(t, v10Header+template256+"0100 0003")), BadSetLength},
		{"set of 0 octets", fixLength(octetsOf(t, v10Header+template256+"0100 0000")), BadSetLength},
		{"set behind the message", fixLength(octetsOf(t, v10Header+template256+"0100 0005")), BadSetLength},
		{"set header cut", fixLength(octetsOf(t, v10Header+template256+"0100 00")), BadSetLength},
		{"v9 set behind the datagram", octetsOf(t, v9Header+"0000 ffff 0100 0002"), BadSetLength},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := New(Config{})
			err := c.Decode(test.datagram, exporterA, received, func(*Record) { t.Error("a record") })
			var reason Reason
			if !errors.As(err, &reason) || reason != test.want {
				t.Errorf("%v, want %v", err, test.want)
			}
			wantFound(t, c, map[Reason]uint64{test.want: 1})
			if s := c.Stats(); s.Datagrams != 1 || s.Refused() != 1 || s.Templates != 0 || len(c.Exporters()) != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestEveryReasonHasItsName(t *testing.T) {
	seen := map[string]bool{}
	for r := range Reasons {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d: %q", r, r)
		}
		seen[r.String()] = true
	}
}

// Exporters are told apart by their address, whatever their domain says, and an
// IPv4 address is one also where a dual-stack socket maps it.
func TestTemplatesAreIsolated(t *testing.T) {
	c := New(Config{})
	addresses := fixLength(octetsOf(t, v10Header+template256))
	counters := fixLength(octetsOf(t, v10Header+"0002 0010 0100 0002 0001 0004 0002 0004"))
	data := fixLength(octetsOf(t, v10Header+data256))
	feed(t, c, exporterA, addresses)
	feed(t, c, exporterB, counters)
	if got := feed(t, c, exporterA, data); !strings.HasPrefix(got, `{"sourceIPv4Address":"192.0.2.1"`) {
		t.Error(got)
	}
	mapped := netip.AddrPortFrom(netip.AddrFrom16(exporterB.Addr().As16()), 4444)
	if got := feed(t, c, mapped, data); got != `{"packetDeltaCount":3325256711,"octetDeltaCount":3221225985}`+"\n" {
		t.Error(got)
	}
	other := bytes.Clone(data)
	other[15]++ // another observation domain
	feed(t, c, exporterA, other)
	v9 := octetsOf(t, v9Header+data256)
	feed(t, c, exporterA, v9)
	wantFound(t, c, map[Reason]uint64{NoTemplate: 2})
}

func TestRedefinitionReplaces(t *testing.T) {
	c := New(Config{})
	got := feed(t, c, exporterA, fixLength(octetsOf(t, v10Header+template256+data256+
		"0002 0010 0100 0002 0001 0004 0002 0004"+data256+
		"0003 0012 0100 0002 0001 0095 0004 0052 0004"+data256)))
	want := `{"sourceIPv4Address":"192.0.2.1","destinationIPv4Address":"198.51.100.7"}
{"packetDeltaCount":3325256711,"octetDeltaCount":3221225985}
{"options":true,"observationDomainId":3221225985,"interfaceName":"` + "\ufffd" + `3d\u0007"}
`
	if got != want {
		t.Error(got)
	}
	if c.fields != 2 || c.exporters.len() != 1 {
		t.Errorf("%d fields are accounted for", c.fields)
	}
}
