//go:build linux

package route_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cacheflow/cache/flow"
	"cacheflow/cache/route"
	"cacheflow/test/netns"
)

// The judge is iproute2: what `ip route get` says becomes of a packet, and what
// `ip route get fibmatch` says is the route behind it.

// verdict is what the judge says of a key, in the project's words.
type verdict struct {
	Status  flow.ForwardingStatus
	Egress  string
	NextHop netip.Addr
	// Bits is the prefix length of the matched route, -1 where the judge does not
	// tell: it has no words for a route that is an error.
	Bits int
}

// reply is one object of `ip -j route get`.
type reply struct {
	Type, Dst, Dev, Gateway string
	Via                     struct{ Host string }
}

var (
	failedLine = regexp.MustCompile(`(?m)^(.*)\nCommand failed -:(\d+)$`)
	verdicts   = map[string]flow.ForwardingStatus{
		"RTNETLINK answers: Network is unreachable": flow.Unroutable,
		"RTNETLINK answers: No route to host":       flow.Unroutable,
		"RTNETLINK answers: Permission denied":      flow.DroppedByPolicy,
		"RTNETLINK answers: Invalid argument":       flow.Dropped,
	}
)

// judge asks iproute2 about the keys.
func judge(t testing.TB, ns *netns.NS, table *route.Table, keys []flow.Key) []verdict {
	t.Helper()
	get := batch(t, ns, table, keys, "")
	match := batch(t, ns, table, keys, "fibmatch ")
	verdicts := make([]verdict, len(keys))
	for i := range keys {
		v := &verdicts[i]
		*v = get[i]
		if v.Bits = match[i].Bits; v.Status.IsDropped() {
			v.Bits = -1
		}
	}
	return verdicts
}

func batch(t testing.TB, ns *netns.NS, table *route.Table, keys []flow.Key, option string) []verdict {
	t.Helper()
	var in, out, errs bytes.Buffer
	for i := range keys {
		k := &keys[i]
		fmt.Fprintf(&in, "route get %s%v from %v", option, k.DstAddr(), k.SrcAddr())
		if k.Input != 0 {
			fmt.Fprintf(&in, " iif %s", table.InterfaceName(k.Input))
		}
		if k.ToS>>2 != 0 {
			fmt.Fprintf(&in, " tos %#x", k.ToS&^3)
		}
		switch k.Protocol {
		case flow.ProtocolTCP, flow.ProtocolUDP:
			fmt.Fprintf(&in, " ipproto %d sport %d dport %d", k.Protocol, k.SrcPort, k.DstPort)
		case flow.ProtocolICMP, flow.ProtocolICMPv6:
			fmt.Fprintf(&in, " ipproto %d", k.Protocol)
		}
		in.WriteByte('\n')
	}
	cmd := ns.Command("ip", "-j", "-force", "-batch", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &errs
	cmd.Run() // its status only says that some lines failed
	failed := make(map[int]flow.ForwardingStatus)
	for _, m := range failedLine.FindAllStringSubmatch(errs.String(), -1) {
		line, _ := strconv.Atoi(m[2])
		status, ok := verdicts[m[1]]
		if !ok {
			t.Fatalf("the judge failed: %s", m[0])
		}
		failed[line-1] = status
	}
	answers := json.NewDecoder(&out)
	all := make([]verdict, len(keys))
	for i := range keys {
		if status, ok := failed[i]; ok {
			all[i] = verdict{Status: status, Bits: -1}
			continue
		}
		var r []reply
		if err := answers.Decode(&r); err != nil || len(r) != 1 {
			t.Fatalf("the judge's answer %d: %v %v\n%s", i, r, err, errs.String())
		}
		all[i] = r[0].verdict(t, &keys[i])
	}
	return all
}

func (r *reply) verdict(t testing.TB, k *flow.Key) verdict {
	t.Helper()
	v := verdict{Egress: r.Dev}
	switch r.Type {
	case "", "unicast":
		v.Status = flow.Forwarded
	case "local", "anycast":
		v.Status, v.Egress = flow.TerminatedHere, ""
	case "broadcast", "multicast":
		v.Status = flow.Forwarded
		if k.Input != 0 {
			v.Status, v.Egress = flow.Unroutable, ""
		}
	default:
		t.Fatalf("the judge says %q", r.Type)
	}
	if host := r.Gateway + r.Via.Host; host != "" {
		v.NextHop = netip.MustParseAddr(host)
	}
	switch _, bits, ok := strings.Cut(r.Dst, "/"); {
	case ok:
		v.Bits, _ = strconv.Atoi(bits)
	case r.Dst != "default":
		v.Bits = map[uint8]int{4: 32, 6: 128}[k.Version]
	}
	return v
}

// check compares the Reader's answers about the keys with the judge's and
// returns them.
func check(t testing.TB, ns *netns.NS, table *route.Table, reader *route.Reader, keys ...flow.Key) []verdict {
	t.Helper()
	want := judge(t, ns, table, keys)
	got := make([]verdict, len(keys))
	for i := range keys {
		k := &keys[i]
		var r flow.Route
		egress := reader.Lookup(k, 0, &r)
		v := verdict{Status: r.Status, Egress: table.InterfaceName(egress), NextHop: r.NextHopAddr(), Bits: int(r.DstPrefixLen)}
		if got[i] = v; want[i].Bits < 0 {
			v.Bits = -1
		}
		if v != want[i] {
			t.Errorf("%v from %v iif %q proto %d ports %d, %d:\n got %+v\nwant %+v",
				k.DstAddr(), k.SrcAddr(), table.InterfaceName(k.Input), k.Protocol, k.SrcPort, k.DstPort, v, want[i])
		}
	}
	return got
}
