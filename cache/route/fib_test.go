//go:build linux

package route

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// model is a forwarding table that looks at each of its prefixes.
type model map[netip.Prefix]*route

func (m model) lookup(a netip.Addr) (best *route) {
	for p, r := range m {
		if p.Contains(a) && (best == nil || r.bits > best.bits) {
			best = r
		}
	}
	return best
}

// nested returns one of some hundred prefixes that nest, with lengths on both
// sides of where the array's parts meet.
func nested(r *rand.Rand) netip.Prefix {
	a := [4]byte{10, 1, byte(r.IntN(4) * 16), byte(r.IntN(2) * 128)}
	return netip.PrefixFrom(netip.AddrFrom4(a), []int{0, 8, 15, 16, 17, 19, 23, 24, 25, 32}[r.IntN(10)]).Masked()
}

// TestFIB compares an array with the model under insertions and removals at
// random, made as a table makes them.
func TestFIB(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	table, m := newRIB(v4, &specs{routes: make(map[spec]*route), down: func(uint32) bool { return false }}), model{}
	table.fib = newFIB(&table.trie)
	for step := range 5000 {
		p := nested(r)
		s := spec{version: 4, kind: unix.RTN_UNICAST, bits: uint8(p.Bits()), oif: 1 + r.Uint32N(5)}
		if old := m[p]; old != nil && r.IntN(4) != 0 {
			table.remove(p, &old.spec)
			delete(m, p)
		} else {
			table.add(p, &s, true)
			m[p] = table.trie.get(p)
		}
		for range 10 {
			a := netip.AddrFrom4([4]byte{10, 1, byte(r.IntN(64)), byte(r.IntN(256))})
			if got, want := table.fib.lookup(first4(netip.PrefixFrom(a, 32))), m.lookup(a); got != want {
				t.Fatalf("step %d, %v: got %+v, want %+v", step, a, got, want)
			}
		}
	}
}

// TestReadersMeetChanges has Readers look up while a route is replaced and a
// longer one comes and goes: each answer is the one before or after. Run with
// -race it shows that they share nothing else.
func TestReadersMeetChanges(t *testing.T) {
	updates := feed(largeTable)
	table, _ := loaded(updates)
	at := func(prefix string, oif uint32) update {
		p := netip.MustParsePrefix(prefix)
		return update{prefix: p, table: unix.RT_TABLE_MAIN, spec: spec{version: 4, kind: unix.RTN_UNICAST, bits: uint8(p.Bits()), oif: oif}}
	}
	apply := func(kind, flags uint16, u update) { table.tables.apply(kind, flags, &u) }
	k := flow.Key{Version: 4, Input: 1, Src: [16]byte{1, 2, 3, 4}, Dst: [16]byte{223, 1, 2, 3}}
	apply(unix.RTM_NEWROUTE, 0, at("223.0.0.0/8", 1))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			reader, r := &Reader{table: table}, flow.Route{}
			for {
				select {
				case <-done:
					return
				default:
				}
				egress := reader.Lookup(&k, 0, &r)
				if want := map[uint32]uint8{1: 8, 2: 8, 3: 24, 4: 30}[egress]; r.DstPrefixLen != want || r.Status != flow.Forwarded {
					t.Errorf("egress %d: %+v", egress, r)
					return
				}
			}
		})
	}
	for i := range 1000 {
		apply(unix.RTM_NEWROUTE, unix.NLM_F_REPLACE, at("223.0.0.0/8", 1+uint32(i%2)))
		apply(unix.RTM_NEWROUTE, 0, at("223.1.2.0/24", 3))
		apply(unix.RTM_NEWROUTE, 0, at("223.1.2.0/30", 4))
		apply(unix.RTM_DELROUTE, 0, at("223.1.2.0/24", 3))
		apply(unix.RTM_DELROUTE, 0, at("223.1.2.0/30", 4))
	}
	close(done)
	readers.Wait()
}

// TestBehind has no answer come from the copy once it may miss changes.
func TestBehind(t *testing.T) {
	for _, size := range []int{16, largeTable} {
		updates := feed(size)
		table, _ := loaded(updates)
		k := keys(updates, 1)[0]
		if m := table.view.Load().match(&k); m.trust != certain {
			t.Errorf("%d routes: %+v", size, m)
		}
		table.overrun()
		if v := table.view.Load(); v.match(&k).trust != doubtful || v.fib != nil || table.plan.due.IsZero() {
			t.Errorf("%d routes: not doubtful after an overrun", size)
		}
	}
}
