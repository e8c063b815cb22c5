//go:build linux

package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// feed returns n distinct IPv4 routes with the prefix lengths of the Internet's
// table (60 % /24, a thousandth longer), spread over the unicast space.
func feed(n int) []update {
	r := rand.New(rand.NewPCG(1, 2))
	lengths := []struct{ until, bits int }{{600, 24}, {720, 23}, {840, 22}, {900, 21}, {950, 20}, {980, 19}, {988, 18}, {994, 17}, {998, 16}, {999, 13}, {1000, 29}}
	seen := make(map[netip.Prefix]bool, n)
	updates := make([]update, 0, n)
	for len(updates) < n {
		bits, x := 0, r.IntN(1000)
		for i := 0; bits == 0; i++ {
			if x < lengths[i].until {
				bits = lengths[i].bits
			}
		}
		a := 1<<24 + r.Uint32N(223<<24)
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), bits).Masked()
		if seen[p] || a>>24 == 127 {
			continue
		}
		seen[p] = true
		s := spec{version: 4, kind: unix.RTN_UNICAST, bits: uint8(bits), oif: 2, gwVersion: 4}
		s.gw[3] = byte(r.Uint32N(32))
		updates = append(updates, update{prefix: p, table: unix.RT_TABLE_MAIN, spec: s})
	}
	return updates
}

// loaded returns a Table without sockets that holds the routes, and a Reader.
func loaded(updates []update) (*Table, *Reader) {
	t := &Table{}
	t.tables = newTables(t.links.down)
	for i := range updates {
		t.tables.apply(unix.RTM_NEWROUTE, 0, &updates[i])
	}
	local := update{prefix: netip.MustParsePrefix("127.0.0.0/8"), table: unix.RT_TABLE_LOCAL, spec: spec{version: 4, kind: unix.RTN_LOCAL, bits: 8}}
	t.tables.apply(unix.RTM_NEWROUTE, 0, &local)
	t.tables.publish()
	t.publish()
	return t, &Reader{table: t}
}

// keys returns n keys whose addresses are within the routes'.
func keys(updates []update, n int) []flow.Key {
	r := rand.New(rand.NewPCG(3, 4))
	keys := make([]flow.Key, n)
	for i := range keys {
		k := &keys[i]
		k.Version, k.Input, k.Protocol = 4, 1, flow.ProtocolTCP
		for _, a := range []*[16]byte{&k.Src, &k.Dst} {
			b := updates[r.IntN(len(updates))].prefix.Addr().As4()
			b[3] |= byte(r.Uint32())
			copy(a[:], b[:])
		}
	}
	return keys
}

// BenchmarkLookup1M looks up both addresses of new flows in a table of a million
// IPv4 routes, of as many flows in turn as the name says. Addresses are spread
// over the whole table: no two flows share a cache line of it, so that the cost
// grows with their number as far as the processor's caches and TLB are exceeded.
func BenchmarkLookup1M(b *testing.B) {
	updates := feed(1_000_000)
	_, r := loaded(updates)
	for _, flows := range []int{1 << 10, 1 << 12, 1 << 16} {
		keys := keys(updates, flows)
		b.Run(fmt.Sprintf("flows=%d", flows), func(b *testing.B) {
			var route flow.Route
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Lookup(&keys[i&(flows-1)], 0, &route)
			}
		})
	}
}

// BenchmarkLoad1M enters a million IPv4 routes.
func BenchmarkLoad1M(b *testing.B) {
	updates := feed(1_000_000)
	var t *Table
	before := heap()
	for b.Loop() {
		t, _ = loaded(updates)
	}
	b.ReportMetric(float64(heap()-before)/1e6, "MB")
	runtime.KeepAlive(t)
	runtime.KeepAlive(updates)
}

// BenchmarkUpdate1M withdraws and announces a route in a table of a million.
func BenchmarkUpdate1M(b *testing.B) {
	updates := feed(1_000_000)
	t, _ := loaded(updates)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		u := &updates[i%len(updates)]
		t.tables.apply(unix.RTM_DELROUTE, 0, u)
		t.tables.apply(unix.RTM_NEWROUTE, 0, u)
	}
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// TestLookupDoesNotAllocate covers the answers from the copy.
func TestLookupDoesNotAllocate(t *testing.T) {
	for _, size := range []int{largeTable / 2, largeTable} {
		updates := feed(size)
		_, r := loaded(updates)
		keys := keys(updates, 256)
		var route flow.Route
		i := 0
		if n := testing.AllocsPerRun(1000, func() { r.Lookup(&keys[i&255], 0, &route); i++ }); n != 0 {
			t.Errorf("%d routes: %v allocations a lookup", size, n)
		}
		if r.asked.Load() != 0 {
			t.Errorf("%d routes: the kernel was asked", size)
		}
	}
}
