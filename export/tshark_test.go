package export

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// TestTshark: Wireshark's decoder finds no fault in a run with template
// refreshes and options, and reads every field as it was put in.
func TestTshark(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			w := newPcap(t)
			s, err := NewSession(Config{
				Protocol: p, TemplatePackets: 8, Sampling: Sampling{Interval: 100},
				Epoch: func() time.Time { return testEpoch },
			}, w.add)
			if err != nil {
				t.Fatal(err)
			}
			want := tsharkFeed(t, s)
			compareTshark(t, w, want, nil)
		})
	}
}

// compareTshark holds what tshark reads in w to what it should; edit makes a record
// comparable, and may be nil.
func compareTshark(t *testing.T, w *pcap, want []string, edit func(map[string]string)) {
	t.Helper()
	if complaints := tshark(t, w, "-Y", faults); complaints != "" {
		t.Errorf("tshark complains:\n%.2000s", complaints)
	}
	var packets []any
	if err := json.Unmarshal([]byte(tshark(t, w, "-T", "json", "--no-duplicate-keys")), &packets); err != nil {
		t.Fatal(err)
	}
	var got []string
	collect(packets, func(r map[string]string) {
		if edit != nil {
			edit(r)
		}
		got = append(got, fmt.Sprint(r))
	})
	slices.Sort(got)
	slices.Sort(want)
	if len(got) != len(want) {
		t.Fatalf("tshark decodes %d records of %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("tshark has\n%s\nwant\n%s", got[i], want[i])
		}
	}
}

// faults selects what tshark has something against.
const faults = "_ws.malformed || _ws.expert || cflow.no_template_found || cflow.unexpected_sequence_number || !cflow"

// TestTsharkSees: the judge is awake: with a datagram lost it complains.
func TestTsharkSees(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	for _, p := range bothTemplated {
		w := newPcap(t)
		n := 0
		s, err := NewSession(Config{Protocol: p}, func(m *Message) {
			if n++; n != 5 {
				w.add(m)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		feed(s, 200)
		if tshark(t, w, "-Y", faults) == "" {
			t.Errorf("%v: a lost datagram went unnoticed", p)
		}
	}
}

// tsharkFeed gives s records and returns what tshark should say.
func tsharkFeed(t *testing.T, s *Session) (want []string) {
	rnd := rand.New(rand.NewPCG(11, 12))
	now := flow.Time(90000e9)
	for range 200 {
		r := randomRecord(rnd)
		r.Packets, r.Octets = r.Packets&(1<<32-1), r.Octets&(1<<32-1)
		now += 10e6
		s.Tick(now)
		if s.Append(&r, now) == None {
			want = append(want, fmt.Sprint(tsharkWant(s.cfg.Protocol, &r)))
		}
	}
	s.Flush(now)
	return want
}

func tshark(t *testing.T, w *pcap, args ...string) string {
	t.Helper()
	cmd := exec.Command("tshark", append([]string{"-r", w.f.Name(), "-d", "udp.port==2055,cflow"}, args...)...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// collect calls f with the fields of each record in tshark's JSON tree.
func collect(tree any, f func(map[string]string)) {
	switch x := tree.(type) {
	case []any:
		for _, v := range x {
			collect(v, f)
		}
	case map[string]any:
		for k, v := range x {
			if m, ok := v.(map[string]any); ok && (strings.HasPrefix(k, "Flow ") || strings.HasPrefix(k, "pdu ")) {
				r := map[string]string{}
				leaves("", m, r)
				if _, isFlow := r["packets"]; isFlow { // not an options record
					f(r)
				}
			} else {
				collect(v, f)
			}
		}
	}
}

// leaves flattens a record. What is there twice is so once in the reverse direction.
// Left out is what tshark derives from other fields, the labels (one name for three
// values; their sum is in the tree's names), and what is not the record's.
func leaves(direction string, m map[string]any, r map[string]string) {
	for k, v := range m {
		if k == "cflow.tcpflags_tree" {
			continue
		}
		both, ok := v.([]any)
		if !ok {
			leaf(direction, k, v, r)
			continue
		}
		leaf(direction, k, both[0], r)
		leaf("reverse ", k, both[1], r)
	}
}

func leaf(direction, k string, v any, r map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		if strings.HasPrefix(k, "MPLS-Label") {
			r[k[:11]] = strings.Fields(k)[1]
		} else {
			leaves(direction, v, r)
		}
	case string:
		k = strings.TrimPrefix(k, "cflow.")
		if k != "timedelta" && k != "padding" {
			r[direction+k] = v
		}
	}
}

// tsharkWant returns what tshark should print for r.
func tsharkWant(p Protocol, r *flow.Record) map[string]string {
	d := func(n any) string { return fmt.Sprintf("%d", n) }
	x := func(n any) string { return fmt.Sprintf("0x%02x", n) }
	uptime := func(t flow.Time) string { return fmt.Sprintf("%d.%03d000000", t/1e9, t/1e6%1000) }
	w := map[string]string{
		"srcport": d(r.SrcPort), "dstport": d(r.DstPort), "protocol": d(r.Protocol), "tos": x(r.ToS),
		"inputint": d(r.Input), "outputint": d(r.Egress), "packets": d(r.Packets), "octets": d(r.Octets),
		"timestart": uptime(r.First), "timeend": uptime(r.Last), "tcpflags": x(byte(r.TCPFlags)),
		"srcaddr": r.SrcAddr().String(), "dstaddr": r.DstAddr().String(), "nexthop": r.NextHopAddr().String(),
		"srcmask": d(r.SrcPrefixLen), "dstmask": d(r.DstPrefixLen),
	}
	if p == NetFlow5 {
		tsharkWant5(w, r)
		return w
	}
	maps.Copy(w, map[string]string{
		"ip_version": d(r.Version), "direction": d(r.Direction),
		"length_min": d(r.MinLength), "length_max": d(r.MaxLength), "ttl_min": d(r.MinTTL), "ttl_max": d(r.MaxTTL),
		"ip_dscp": d(r.DSCP()), "ip_fragment_flags": x(moreFragments(r.Fragment)), "flow_end_reason": d(r.End),
		"forwarding_status": d(r.Status >> 6), "forwarding_status_forward_code": d(r.Status & 63),
		"srcmac": mac(r.SrcMAC), "dstmac": mac(r.DstMAC), "vlanid": d(r.VLAN & 4095), "post_vlanid": "0", "dot1q_priority": d(r.VLAN >> 13),
		"dot1q_customer_vlan_id": d(r.CustomerVLAN & 4095), "dot1q_customer_priority": d(r.CustomerVLAN >> 13),
		"MPLS-Label1": "74565", "MPLS-Label2": "144470", "MPLS-Label3": "214375", "mpls_label_depth": d(r.MPLSDepth),
	})
	if r.Direction == flow.Egress {
		w["vlanid"], w["post_vlanid"] = w["post_vlanid"], w["vlanid"]
	}
	icmp := uint16(0)
	if r.IsICMP() {
		icmp = r.DstPort
	}
	rename := func(from, to string) { w[to] = w[from]; delete(w, from) }
	if r.Version == 4 {
		w["icmp_type_code_ipv4"] = fmt.Sprintf("0x%04x", icmp)
	} else {
		if p == IPFIX {
			w["icmp_ipv6_type"], w["icmp_ipv6_code"] = d(icmp>>8), d(icmp&255)
		} else {
			w["icmp_type_code_ipv4"] = fmt.Sprintf("0x%04x", icmp)
		}
		w["ipv6flowlabel"] = d(r.FlowLabel)
		rename("srcaddr", "srcaddrv6")
		rename("dstaddr", "dstaddrv6")
		rename("srcmask", "srcmaskv6")
		rename("dstmask", "dstmaskv6")
	}
	if r.NextHopVersion == 6 {
		rename("nexthop", "nexthopv6")
	}
	if p == IPFIX {
		abs := func(t flow.Time) string {
			return time.UnixMilli(wall(t)).UTC().Format("Jan _2, 2006 15:04:05.000000000 UTC")
		}
		delete(w, "timestart")
		delete(w, "timeend")
		w["abstimestart"], w["abstimeend"] = abs(r.First), abs(r.Last)
	}
	return w
}

// tsharkWant5 turns w into what NetFlow v5 has room for.
func tsharkWant5(w map[string]string, r *flow.Record) {
	w["srcas"], w["dstas"] = "64500", "23456" // RFC 6793 §9
	if r.Input > 65535 {
		w["inputint"] = "0"
	}
	if r.Egress > 65535 {
		w["outputint"] = "0"
	}
	if r.NextHopVersion != 4 {
		w["nexthop"] = "0.0.0.0"
	}
}

func mac(a [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5])
}
