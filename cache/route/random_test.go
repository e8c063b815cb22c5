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
)

// TestRandom makes changes at random among few prefixes, so that they meet, and
// compares lookups at random with the kernel.
func TestRandom(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*rand.Rand) string
		asked  float64 // at most this part of the lookups
	}{
		{"plain", plainChange, 0},
		{"any", anyChange, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, route.Options{})
			r := rand.New(rand.NewPCG(5, 6))
			lookups := 0
			for round := range 15 {
				var lines bytes.Buffer
				for range 80 {
					fmt.Fprintln(&lines, c.change(r))
				}
				ipBatch(t, l.gateway, lines.Bytes())
				var keys []flow.Key
				for range 100 {
					keys = append(keys, probe(r, l.c1))
				}
				l.check(keys...)
				lookups += len(keys)
				if t.Failed() {
					t.Fatalf("round %d after:\n%s", round, lines.String())
				}
			}
			s := l.table.Stats()
			t.Logf("of %d lookups: %+v", lookups, s)
			if s.Routes[0] < 12 || s.Routes[1] < 8 {
				t.Error("too few of the changes were carried out")
			}
			if s.AskFailed != 0 || float64(s.Asked) > c.asked*float64(lookups) {
				t.Errorf("of %d lookups %d asked, %d failed", lookups, s.Asked, s.AskFailed)
			}
		})
	}
}

// prefix returns one of some dozens that nest, of either family.
func prefix(r *rand.Rand) netip.Prefix {
	if r.IntN(2) == 0 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(r.IntN(2)), byte(r.IntN(2) << 7)})
		return netip.PrefixFrom(a, []int{0, 32, 47, 48, 49, 56}[r.IntN(6)]).Masked()
	}
	a := netip.AddrFrom4([4]byte{172, byte(16 + r.IntN(2)), byte(r.IntN(2)), byte(r.IntN(2) << 7)})
	return netip.PrefixFrom(a, []int{0, 12, 15, 16, 23, 24, 25, 32}[r.IntN(8)]).Masked()
}

// gateways returns the servers' addresses of p's family.
func gateways(p netip.Prefix) (a, b string) {
	if p.Addr().Is6() {
		return "fd00:2::2", "fd00:3::2"
	}
	return "10.0.2.2", "10.0.3.2"
}

// pick returns one of the words.
func pick(r *rand.Rand, words ...string) string { return words[r.IntN(len(words))] }

// plainChange returns a command as a routing daemon or an administrator would
// give it: routes of one prefix differ by their metric.
func plainChange(r *rand.Rand) string {
	p := prefix(r)
	a, b := gateways(p)
	metric := " metric 7"
	if p.Addr().Is4() {
		metric = pick(r, "", " metric 7", " metric 8")
	}
	switch r.IntN(5) {
	case 0, 1:
		return fmt.Sprintf("route del %v%s", p, metric)
	case 2:
		return fmt.Sprintf("route replace %s %v%s", pick(r, "blackhole", "unreachable", "prohibit"), p, metric)
	}
	return fmt.Sprintf("route %s %v%s %s", pick(r, "add", "replace"), p, metric, pick(r, "via "+a, "via "+b, "dev s1", "dev t1"))
}

// anyChange returns a command of any kind: routes that are equal but for their
// next hop, several next hops, types of service.
func anyChange(r *rand.Rand) string {
	p := prefix(r)
	a, b := gateways(p)
	metric := pick(r, "", " metric 7", " metric 8")
	op := pick(r, "add", "add", "append", "prepend", "replace", "change", "del", "del", "del")
	switch {
	case op == "del" && r.IntN(2) == 0:
		return fmt.Sprintf("route del %v%s", p, metric)
	case op != "del" && r.IntN(4) == 0:
		return fmt.Sprintf("route %s %s %v%s", op, pick(r, "blackhole", "unreachable", "prohibit"), p, metric)
	case p.Addr().Is4() && r.IntN(10) == 0:
		metric += " tos 0x10"
	}
	hop := pick(r, "via "+a, "via "+b, "via "+a, "via "+b, "dev s1", "dev t1", "nexthop via "+a+" nexthop via "+b)
	return fmt.Sprintf("route %s %v%s %s", op, p, metric, hop)
}

// probe returns a key whose destination is near the prefixes.
func probe(r *rand.Rand, input uint32) flow.Key {
	p := prefix(r)
	for p.Bits() == 0 {
		p = prefix(r)
	}
	dst, src := p.Addr(), "10.0.1.2"
	for range r.IntN(3) {
		dst = dst.Next()
	}
	if dst.Is6() {
		src = "fd00:1::2"
	}
	k := keyOf(input, netip.MustParseAddr(src), dst)
	k.SrcPort = uint16(r.IntN(60000) + 1)
	return k
}
