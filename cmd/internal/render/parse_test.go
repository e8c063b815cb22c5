package render

import (
	"bytes"
	"strings"
	"testing"
)

// TestParse: what JSON has of a value is read back as that value.
func TestParse(t *testing.T) {
	for kind, values := range map[Kind][]string{
		Octets: {"", "0a"}, Unsigned: {"0", "18446744073709551615"}, Signed: {"-9223372036854775808", "7"},
		Float: {"0.5", "-1e-300"}, Boolean: {"true", "false"}, Text: {"eth0", "süd"}, MAC: {"02:00:00:00:00:01"},
		IPv4: {"192.0.2.1"}, IPv6: {"2001:db8::1", "::ffff:1.2.3.4"}, Seconds: {"0", "4294967295"}, Milliseconds: {"1700000000123"},
		Microseconds: {"1700000000123457"}, Nanoseconds: {"1700000000123456789", "-1000000000"},
	} {
		for _, text := range values {
			v, ok := kind.Parse(text)
			if !ok || !kind.Fits(len(v)) {
				t.Errorf("kind %d: %s becomes %x, %v", kind, text, v, ok)
				continue
			}
			if got := string(appendValue(nil, kind, v)); got != text {
				t.Errorf("kind %d: %s instead of %s", kind, got, text)
			}
		}
	}
	for kind, text := range map[Kind]string{
		Octets: "x", Unsigned: "-1", Signed: "1.5", Float: "x", Boolean: "2", MAC: "02:00:00:00:00:00:00:01",
		IPv4: "::1", IPv6: "192.0.2.1", Seconds: "4294967296", Milliseconds: "", Microseconds: "x", Nanoseconds: "x",
	} {
		if v, ok := kind.Parse(text); ok {
			t.Errorf("kind %d: %q is read as %x", kind, text, v)
		}
	}
}

func TestElementByName(t *testing.T) {
	for _, name := range order {
		if e := ElementByName(name); e == nil || e.Name != name || e != elementByName(name) {
			t.Errorf("%s: %v", name, e)
		}
	}
	if e := ElementByName("element1"); e != nil {
		t.Error(e)
	}
}

// TestParseIsText: nothing that stands in quotes could end them.
func TestParseIsText(t *testing.T) {
	v, _ := Text.Parse("a\"\x00\\\n")
	if b := appendValue(nil, Text, v); bytes.ContainsAny(b, "\n\x00") || strings.Contains(string(b), `a"`) {
		t.Errorf("%q", b)
	}
}
