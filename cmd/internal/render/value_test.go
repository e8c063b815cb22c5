package render

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"cacheflow/export"
)

func TestValues(t *testing.T) {
	for _, test := range []struct {
		kind       Kind
		wire, want string // hexadecimal; JSON
	}{
		{Octets, "00ff", `"00ff"`}, {Octets, "", `""`},
		{Unsigned, "ff", "255"}, {Unsigned, "010000", "65536"}, {Unsigned, "ffffffffffffffff", "18446744073709551615"},
		{Signed, "ff", "-1"}, {Signed, "7f", "127"}, {Signed, "800000", "-8388608"}, {Signed, "8000000000000000", "-9223372036854775808"},
		{Float, "3fc00000", "1.5"}, {Float, "3fb999999999999a", "0.1"}, {Float, "7fc00000", "null"}, {Float, "fff0000000000000", "null"},
		{Boolean, "01", "true"}, {Boolean, "02", "false"},
		{Text, "6574683000000000", `"eth0"`}, {Text, "c3a4e282ac", `"ä€"`}, {Text, "ff61", `"` + "\ufffd" + `a"`},
		{Text, "22005c0a1b7fc29b", `"\"\u0000\\\u000a\u001b\u007f\u009b"`},
		{MAC, "020000abcdef", `"02:00:00:ab:cd:ef"`},
		{IPv4, "c0000201", `"192.0.2.1"`}, {IPv6, "20010db8000000000000000000000001", `"2001:db8::1"`},
		{Seconds, "6553f100", "1700000000"}, {Milliseconds, "0000018bcfe56800", "1700000000000"},
		// 2023-11-14 22:13:20 and a half; a third of a second, which no fraction is.
		{Microseconds, "e8fe6f8080000000", "1700000000500000"}, {Nanoseconds, "e8fe6f8055555555", "1700000000333333333"},
		{Nanoseconds, "83aa7e8000000000", "0"}, {Nanoseconds, "83aa7e8000418937", "1000000"}, {Nanoseconds, "0000000000000000", "-2208988800000000000"},
	} {
		v, err := hex.DecodeString(test.wire)
		if err != nil {
			t.Fatal(err)
		}
		if !test.kind.Fits(len(v)) {
			t.Errorf("kind %d: %d octets do not fit", test.kind, len(v))
		}
		got := string(appendQuoted(nil, test.kind, v))
		if got != test.want || !json.Valid([]byte(got)) {
			t.Errorf("kind %d: %s is %s, want %s", test.kind, test.wire, got, test.want)
		}
	}
}

func TestFits(t *testing.T) {
	legal := map[Kind][]int{
		Unsigned: {1, 2, 3, 4, 5, 6, 7, 8}, Signed: {1, 2, 3, 4, 5, 6, 7, 8}, Float: {4, 8}, Boolean: {1}, MAC: {6}, IPv4: {4}, IPv6: {16},
		Seconds: {4}, Milliseconds: {8}, Microseconds: {8}, Nanoseconds: {8},
	}
	for k, want := range legal {
		var got []int
		for n := range 20 {
			if k.Fits(n) {
				got = append(got, n)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("kind %d: %s", k, diff)
		}
	}
}

// The registry is sorted, and has the names that goflow2 has for the same
// numbers, and the names and types that the exporter has.
func TestRegistry(t *testing.T) {
	kinds := map[export.Type]Kind{
		export.OctetArray: Octets, export.Unsigned8: Unsigned, export.Unsigned16: Unsigned, export.Unsigned32: Unsigned,
		export.Unsigned64: Unsigned, export.MACAddress: MAC, export.String: Text, export.IPv4Address: IPv4, export.IPv6Address: IPv6,
		export.DateTimeMilliseconds: Milliseconds, export.DateTimeMicroseconds: Microseconds, export.DateTimeNanoseconds: Nanoseconds,
	}
	for i, e := range registry {
		if i > 0 && registry[i-1].ID >= e.ID {
			t.Errorf("%d stands before %d", registry[i-1].ID, e.ID)
		}
		if name := netflow.IPFIXTypeToString(e.ID); name != e.Name && !strings.EqualFold(name, "Unassigned") {
			t.Errorf("%d is %s, goflow2 has %s", e.ID, e.Name, name)
		}
		if x, ok := export.ElementByID(e.ID); ok && (x.Name != e.Name || kinds[x.Type] != e.Kind) {
			t.Errorf("%d is %s of kind %d, the exporter has %s of type %d", e.ID, e.Name, e.Kind, x.Name, x.Type)
		}
	}
	if ElementByID(0) != nil || ElementByID(65535) != nil {
		t.Error("elements without a name")
	}
}

func TestExporterIsWrittenWhereItIsSet(t *testing.T) {
	d := &Decoded{Fields: []Field{{ElementByID(2), []byte{5}}}}
	for addr, want := range map[string]string{
		"":            `{"packetDeltaCount":5}`,
		"192.0.2.1":   `{"packetDeltaCount":5,"exporterIPv4Address":"192.0.2.1"}`,
		"2001:db8::1": `{"packetDeltaCount":5,"exporterIPv6Address":"2001:db8::1"}`,
	} {
		d.Exporter, _ = netip.ParseAddr(addr)
		if got := string(d.appendJSON(nil)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := string((&Decoded{Options: true}).appendJSON(nil)); got != `{"options":true}` {
		t.Error(got)
	}
}

// A decoded flow has the columns that it carries; options are in no row.
func TestDecodedInCSVAndTable(t *testing.T) {
	d := &Decoded{Fields: []Field{
		{ElementByID(8), []byte{192, 0, 2, 1}}, {ElementByID(12), []byte{192, 0, 2, 2}}, {ElementByID(4), []byte{1}},
		{ElementByID(2), []byte{5}}, {ElementByID(82), []byte("eth0")}, {NewElement("element999", Octets), []byte{1}},
	}}
	for format, want := range map[Format]string{
		CSV:   "192.0.2.1,192.0.2.2,,,,,1,,,,,,,5" + strings.Repeat(",", len(order)-14),
		Table: "00:00:00.000    0.000 ICMP   192.0.2.1 → 192.0.2.2 (0/0)                 -→-                 5         0 -        -",
	} {
		var out strings.Builder
		w := New(&out, format, boot, nil)
		w.Decoded(&Decoded{Options: true, Fields: d.Fields})
		w.Decoded(d)
		w.Flush()
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if got := lines[len(lines)-1]; got != want || len(lines) != 2 {
			t.Errorf("%v: %d lines\n%q, want\n%q", format, len(lines), got, want)
		}
	}
}
