package judge_test

import (
	"strings"
	"testing"
	"time"

	"cacheflow/test/judge"
)

const ours = `{"sourceIPv4Address":"10.0.0.1","destinationIPv4Address":"10.0.0.2","sourceTransportPort":5,"destinationTransportPort":53,"protocolIdentifier":17,"ipClassOfService":0,"packetDeltaCount":18446744073709551615,"octetDeltaCount":99,"flowStartMilliseconds":1700000000123,"flowEndMilliseconds":1700000001123}
{"options":true,"samplerId":1}
`

// TestCompare gives Compare one difference at a time.
func TestCompare(t *testing.T) {
	want, err := judge.ReadJSON(strings.NewReader(ours))
	if err != nil || len(want) != 1 {
		t.Fatalf("%d records, %v", len(want), err)
	}
	for name, c := range map[string]struct {
		element, value string // what the judge has otherwise
		tolerance      time.Duration
		difference     string
	}{
		"none":                 {"octetDeltaCount", "99", 0, ""},
		"more zeros":           {"vlanId", "0", 0, ""},
		"an unknown VLAN":      {"vlanId", "7", 0, "vlanId is 7 instead of "},
		"another next hop":     {"ipNextHopIPv4Address", "10.0.0.9", 0, "instead of"},
		"other octets":         {"octetDeltaCount", "98", 0, "records instead of"},
		"a start within":       {"flowStartMilliseconds", "1700000000123", time.Second, ""},
		"a start outside":      {"flowStartMilliseconds", "1700000001124", time.Second, "flowStartMilliseconds is"},
		"a second within":      {"flowStartSeconds", "1700000001", 0, ""},
		"a second outside":     {"flowEndSeconds", "1700000000", 0, "flowEndSeconds is"},
		"a longer flow within": {"flowEndMilliseconds", "1700000001124", time.Second, "the duration is 1001 ms"},
	} {
		t.Run(name, func(t *testing.T) {
			got := judge.Flow{}
			for element, value := range want[0] {
				got[element] = value
			}
			got[c.element] = c.value
			lines := judge.Compare([]judge.Flow{got}, want, c.tolerance)
			if all := strings.Join(lines, "\n"); (all == "") != (c.difference == "") || !strings.Contains(all, c.difference) {
				t.Errorf("got %q, want %q", all, c.difference)
			}
		})
	}
	if lines := judge.Compare(nil, want, 0); len(lines) != 1 {
		t.Errorf("a missing record gives %q", lines)
	}
	if lines := judge.Compare(append(want, want...), want, 0); len(lines) != 1 {
		t.Errorf("a repeated record gives %q", lines)
	}
}
