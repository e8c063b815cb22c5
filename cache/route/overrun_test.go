//go:build linux

package route_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"cacheflow/cache/flow"
	"cacheflow/cache/route"
	"cacheflow/test/netns"
)

// ipBatch runs lines of iproute2 commands; those that fail are passed over.
func ipBatch(t testing.TB, ns *netns.NS, lines []byte) {
	t.Helper()
	cmd := ns.Command("ip", "-force", "-batch", "-")
	cmd.Stdin = bytes.NewReader(lines)
	cmd.Run()
}

// TestOverrun has the kernel drop notifications: more changes than its buffer
// holds come while nobody reads. The answers are right while the table is
// behind, and it ends up with all routes.
func TestOverrun(t *testing.T) {
	l := newLab(t, route.Options{ReceiveBuffer: 1}) // the kernel makes it its least, 2304 octets
	const routes = 3000
	var add bytes.Buffer
	for i := range routes {
		fmt.Fprintf(&add, "route add 172.%d.%d.0/24 via 10.0.%d.2\n", 16+i>>8, i&255, 2+i%2)
	}
	before := l.table.Stats()
	ipBatch(t, l.gateway, add.Bytes())
	var keys []flow.Key
	for i := range 50 {
		keys = append(keys, key(l.c1, "10.0.1.2", fmt.Sprintf("172.%d.%d.7", 16+i%12, i*5)))
	}
	eventually(t, "an overrun", func() bool { return l.table.Stats().Overruns > before.Overruns })
	check(t, l.gateway, l.table, l.reader, keys...)
	eventually(t, "all routes", func() bool { return l.table.Stats().Routes[0] == before.Routes[0]+routes })
	eventually(t, "a resync", func() bool { return l.table.Stats().Resyncs > before.Resyncs })
	check(t, l.gateway, l.table, l.reader, keys...)
	asked := l.table.Stats().Asked
	eventually(t, "answers from the copy", func() bool {
		before := asked
		check(t, l.gateway, l.table, l.reader, keys...)
		asked = l.table.Stats().Asked
		return asked == before
	})
	t.Logf("%+v", l.table.Stats())
}

// TestRandom makes changes at random among few prefixes, so that they meet, and
// compares lookups at random with the kernel.
func TestRandom(t *testing.T) {
	l := newLab(t, route.Options{})
	l.gateway.Sysctl("net/ipv6/conf/c1/accept_ra", "0")
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 12 {
		var lines bytes.Buffer
		for range 120 {
			fmt.Fprintln(&lines, change(r))
		}
		ipBatch(t, l.gateway, lines.Bytes())
		var keys []flow.Key
		for range 100 {
			keys = append(keys, probe(r, l.c1))
		}
		l.check(keys...)
		if t.Failed() {
			t.Fatalf("round %d after:\n%s", round, lines.String())
		}
	}
	s := l.table.Stats()
	t.Logf("%+v", s)
	if s.AskFailed != 0 || s.Asked > 1000 {
		t.Errorf("of 1200 lookups %d asked, %d failed", s.Asked, s.AskFailed)
	}
}

// prefix returns one of some dozens that nest, of either family.
func prefix(r *rand.Rand, six bool) netip.Prefix {
	if six {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(r.IntN(2)), byte(r.IntN(2) << 7)})
		return netip.PrefixFrom(a, []int{0, 32, 47, 48, 49, 56}[r.IntN(6)]).Masked()
	}
	a := netip.AddrFrom4([4]byte{172, byte(16 + r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(2) << 7)})
	return netip.PrefixFrom(a, []int{0, 12, 15, 16, 23, 24, 25, 32}[r.IntN(8)]).Masked()
}

// change returns a command that changes a route.
func change(r *rand.Rand) string {
	six := r.IntN(2) == 0
	p := prefix(r, six)
	metric := []string{"", " metric 7", " metric 8"}[r.IntN(3)]
	flag, a, b := "", "10.0.2.2", "10.0.3.2"
	if six {
		flag, a, b = "-6 ", "fd00:2::2", "fd00:3::2"
	}
	op := []string{"add", "add", "append", "prepend", "replace", "change", "del", "del", "del"}[r.IntN(9)]
	if op == "del" && r.IntN(2) == 0 {
		return fmt.Sprintf("%sroute del %v%s", flag, p, metric)
	}
	hop := []string{
		"via " + a, "via " + b, "via " + a, "via " + b, "dev s1", "dev t1",
		"nexthop via " + a + " nexthop via " + b,
	}[r.IntN(7)]
	if kind := r.IntN(12); kind < 3 && op != "del" {
		return fmt.Sprintf("%sroute %s %s %v%s", flag, op, []string{"blackhole", "unreachable", "prohibit"}[kind], p, metric)
	}
	if !six && r.IntN(10) == 0 {
		metric += " tos 0x10"
	}
	return fmt.Sprintf("%sroute %s %v%s %s", flag, op, p, metric, hop)
}

// probe returns a key whose destination is near the prefixes.
func probe(r *rand.Rand, input uint32) flow.Key {
	src, six := netip.MustParseAddr("10.0.1.2"), r.IntN(2) == 0
	if six {
		src = netip.MustParseAddr("fd00:1::2")
	}
	dst := prefix(r, six).Addr()
	for range r.IntN(3) {
		dst = dst.Next()
	}
	if !dst.Is6() && dst.As4()[0] == 0 || dst == netip.IPv6Unspecified() {
		dst = prefix(r, six).Addr()
	}
	k := keyOf(input, src, dst)
	k.SrcPort = uint16(r.IntN(60000) + 1)
	return k
}
