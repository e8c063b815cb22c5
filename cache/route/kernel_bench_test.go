//go:build linux

package route_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"cacheflow/cache/flow"
	"cacheflow/cache/route"
	"cacheflow/test/netns"
)

// host is a namespace with one interface, 10.0.0.1/24 and fd00::1/64.
func host(b *testing.B) *netns.NS {
	ns, peer := netns.New(b), netns.New(b)
	netns.Veth(b, netns.End{NS: ns, Name: "h0", Addrs: []string{"10.0.0.1/24", "fd00::1/64"}}, netns.End{NS: peer, Name: "p0"})
	return ns
}

// million is a namespace with a million IPv4 routes through one interface.
func million(b *testing.B) *netns.NS {
	ns := host(b)
	var lines bytes.Buffer
	for i := range 1_000_000 {
		n := 0x10_0000 + i // 16.0.0.0/24 and on
		fmt.Fprintf(&lines, "route add %d.%d.%d.0/24 via 10.0.0.%d\n", n>>16, n>>8&255, n&255, 2+i%32)
	}
	ipBatch(b, ns, lines.Bytes())
	return ns
}

// BenchmarkReadKernel1M loads the Table of a namespace with a million routes. Making
// the routes takes much longer than reading them.
func BenchmarkReadKernel1M(b *testing.B) {
	ns := million(b)
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for b.Loop() {
		table, reader := open(b, ns, route.Options{})
		if err := table.Load(); err != nil {
			b.Fatal(err)
		}
		if n := table.Stats().Routes[0]; n < 1_000_000 {
			b.Errorf("%d routes", n)
		}
		k := key(0, "10.0.0.1", "16.0.7.9")
		var r flow.Route
		if reader.Lookup(&k, 0, &r); r.DstPrefixLen != 24 {
			b.Errorf("%+v", r)
		}
		if err := table.Run(canceled); err != nil { // it closes what the Table has open
			b.Error(err)
		}
	}
}

// BenchmarkAsk has the kernel choose among two next hops, for each family.
func BenchmarkAsk(b *testing.B) {
	ns := host(b)
	ns.MustRun("ip", "route", "add", "203.0.113.0/24", "nexthop", "via", "10.0.0.2", "nexthop", "via", "10.0.0.3")
	ns.MustRun("ip", "route", "add", "2001:db8::/64", "nexthop", "via", "fd00::2", "nexthop", "via", "fd00::3")
	table, reader := start(b, ns, route.Options{})
	for _, k := range []flow.Key{key(0, "10.0.0.1", "203.0.113.1"), key(0, "fd00::1", "2001:db8::1")} {
		b.Run(fmt.Sprintf("IPv%d", k.Version), func(b *testing.B) {
			var r flow.Route
			b.ReportAllocs()
			for b.Loop() {
				reader.Lookup(&k, 0, &r)
			}
			if r.Status != flow.Forwarded || r.NextHopVersion != k.Version {
				b.Errorf("%+v", r)
			}
		})
	}
	if s := table.Stats(); s.Asked == 0 || s.AskFailed != 0 {
		b.Errorf("%+v", s)
	}
}
