package export

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// TestTsharkBiflow: tshark finds no fault, and reads the reverse elements.
func TestTsharkBiflow(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	w := newPcap(t)
	s, err := NewSession(Config{Protocol: IPFIX, TemplatePackets: 8, Fields: Fields{Biflow: true}, Epoch: func() time.Time { return testEpoch }}, w.add)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	now := flow.Time(4000e9)
	for range 20 {
		for _, pair := range conversations() {
			now += 10e6
			s.Append(&pair[0], now)
			s.Append(&pair[1], now)
			want = append(want, fmt.Sprint(tsharkWantBiflow(&pair[0], &pair[1])))
		}
	}
	s.Finish(now)
	compareTshark(t, w, want, nil)
}

// tsharkReverse are tshark's names of what a biflow has of both directions.
const tsharkReverse = "octets packets tos tcpflags srcmask dstmask srcmaskv6 dstmaskv6 inputint outputint nexthop nexthopv6 " +
	"abstimestart abstimeend length_min length_max flow_end_reason forwarding_status forwarding_status_consume_code " +
	"icmp_type_code_ipv4 icmp_ipv6_type icmp_ipv6_code ipv6flowlabel"

// tsharkWantBiflow returns what tshark should print.
func tsharkWantBiflow(initiator, responder *flow.Record) map[string]string {
	w, reverse := tsharkWant(IPFIX, initiator), tsharkWant(IPFIX, responder)
	w["biflow_direction"] = "1"
	reverse["forwarding_status_consume_code"] = reverse["forwarding_status_forward_code"]
	if initiator.Version == 4 && (initiator.NextHopVersion == 6 || responder.NextHopVersion == 6) {
		for _, d := range []map[string]string{w, reverse} { // both kinds of next hop
			for k, none := range map[string]string{"nexthop": "0.0.0.0", "nexthopv6": "::"} {
				if d[k] == "" {
					d[k] = none
				}
			}
		}
	}
	for _, k := range strings.Fields(tsharkReverse) {
		if v, ok := reverse[k]; ok {
			w["reverse "+k] = v
		}
	}
	return w
}
