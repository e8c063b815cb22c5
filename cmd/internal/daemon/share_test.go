package daemon

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/config"
)

// randomKeys are of both IP versions and several protocols.
func randomKeys(r *rand.Rand, n int) (ks []flow.Key) {
	for range n {
		k := flow.Key{Version: 4, Protocol: []uint8{6, 17, 47}[r.IntN(3)], SrcPort: uint16(r.Uint32()), DstPort: uint16(r.IntN(1024)), ToS: uint8(r.Uint32()), Input: r.Uint32N(4)}
		size := 4
		if r.IntN(3) == 0 {
			k.Version, size = 6, 16
		}
		for i := range size {
			k.Src[i], k.Dst[i] = uint8(r.Uint32()), uint8(r.Uint32())
		}
		ks = append(ks, k)
	}
	return ks
}

func seedsOf(names ...string) (seeds []uint64) {
	for _, n := range names {
		seeds = append(seeds, nameSeed(n))
	}
	return seeds
}

// A model of who is up, of up to eight members: whatever comes and goes, a flow stays where
// it is unless its member goes, or the one comes that it belongs to; and who it belongs to
// depends on who is up alone.
func TestALossMovesItsShareOnly(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		var names []string
		for i := range 2 + r.IntN(7) {
			names = append(names, fmt.Sprintf("collector-%d", i))
		}
		seeds, keys := seedsOf(names...), randomKeys(r, 2000)
		all := uint64(1)<<len(names) - 1
		owners := map[uint64][]int{} // by who is up
		up, before := all, []int(nil)
		for range 50 {
			changed := uint64(1) << r.IntN(len(names))
			if up^changed == 0 {
				continue
			}
			came := up&changed == 0
			up ^= changed
			now := make([]int, len(keys))
			for i := range keys {
				now[i] = heaviest(conversation(&keys[i]), seeds, up)
				switch member := bits.TrailingZeros64(changed); {
				case up>>now[i]&1 == 0:
					t.Fatalf("seed %d: flow %d is at member %d, which is down", seed, i, now[i])
				case before == nil || now[i] == before[i]:
				case came && now[i] == member, !came && before[i] == member:
				default:
					t.Fatalf("seed %d: flow %d goes from %d to %d when %d changes", seed, i, before[i], now[i], member)
				}
			}
			if known := owners[up]; known != nil && !slices.Equal(known, now) {
				t.Fatalf("seed %d: with %b up, flows are not where they were before", seed, up)
			}
			owners[up], before = now, now
		}
	}
}

// Members get equal shares, of those of one that is down too, and the order of the list
// means nothing.
func TestSharesAreEven(t *testing.T) {
	const n = 100_000
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "192.0.2.3:2055", "d"}
	seeds, turned := seedsOf(names...), seedsOf(names[3], names[2], names[1], names[0])
	var four, three [4]int
	for _, k := range randomKeys(r, n) {
		h := conversation(&k)
		m := heaviest(h, seeds, 0b1111)
		four[m]++
		if m == 1 {
			three[heaviest(h, seeds, 0b1101)]++
		}
		if o := heaviest(h, turned, 0b1111); o != 3-m {
			t.Fatalf("with the names in another order %s gets what %s got", names[3-o], names[m])
		}
	}
	for i := range four {
		if d := four[i] - n/4; d < -n/100 || d > n/100 {
			t.Errorf("shares of four: %v", four)
		}
		if want := n / 12; i != 1 && (three[i] < want-n/100 || three[i] > want+n/100) {
			t.Errorf("shares of what one leaves to three: %v", three)
		}
	}
}

func TestConversationIsThatOfBothDirections(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	distinct := map[uint64]bool{}
	keys := randomKeys(r, 10_000)
	for _, k := range keys {
		back := k
		back.Src, back.Dst, back.SrcPort, back.DstPort = k.Dst, k.Src, k.DstPort, k.SrcPort
		back.ToS, back.Input, back.Direction = 7, 9, flow.Egress
		if conversation(&k) != conversation(&back) {
			t.Errorf("%+v and its reverse differ", k)
		}
		distinct[conversation(&k)] = true
	}
	if len(distinct) != len(keys) {
		t.Errorf("%d hashes of %d conversations", len(distinct), len(keys))
	}
	request := udp(netip.MustParseAddrPort("192.0.2.1:0"), netip.MustParseAddrPort("192.0.2.2:2048"), 1).Key
	reply := udp(netip.MustParseAddrPort("192.0.2.2:0"), netip.MustParseAddrPort("192.0.2.1:0"), 1).Key
	request.Protocol, reply.Protocol = flow.ProtocolICMP, flow.ProtocolICMP
	if conversation(&request) != conversation(&reply) {
		t.Error("echo request and reply differ")
	}
}

// Gateways of other versions and machines must agree: what these flows are hashed to stays.
// (The figures are of a Python program.)
func TestSharesStay(t *testing.T) {
	seeds := seedsOf("alpha", "beta", "gamma")
	got := ""
	for i := range uint16(24) {
		k := udp(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 1000+i), netip.MustParseAddrPort("[2001:db8::1]:53"), 1).Key
		got += strconv.Itoa(heaviest(conversation(&k), seeds, 0b111))
	}
	if want := "122022101111012122100221"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// share is a group whose members share records out.
func share(name string, exporters ...string) config.Group {
	return config.Group{Name: name, Mode: config.GroupShare, Exporters: exporters}
}

// failover is a group that prefers its first member, which it returns to after a while.
func failover(name string, back time.Duration, exporters ...string) config.Group {
	return config.Group{Name: name, Mode: config.GroupFailover, Exporters: exporters, Return: back}
}

// Each record of a batch goes to one taker, in order, and nothing is allocated for it.
func TestSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	g := &group{seeds: seedsOf("a", "b", "c")}
	rs := make([]flow.Record, outBatch)
	for i, k := range randomKeys(r, outBatch) {
		rs[i].Key, rs[i].Packets, rs[i].Octets = k, uint64(i+1), 1000
	}
	var p splitter
	for takers := range uint64(8) {
		if takers == 0 {
			continue
		}
		g.takers.Store(takers)
		var got []uint64
		var total cache.Sum
		p.split(g, g.takers.Load(), rs, func(member int, part []flow.Record, sum cache.Sum) {
			addSum(&total, sum)
			last := uint64(0)
			for i := range part {
				if part[i].Packets <= last || heaviest(conversation(&part[i].Key), g.seeds, takers) != member {
					t.Errorf("takers %b: record %d is at member %d", takers, part[i].Packets, member)
				}
				last = part[i].Packets
				got = append(got, last)
			}
		})
		slices.Sort(got)
		if len(slices.Compact(got)) != len(rs) || total != sumOf(rs) {
			t.Errorf("takers %b: %d of %d records, %+v", takers, len(got), len(rs), total)
		}
	}
	var n cache.Sum
	if allocs := testing.AllocsPerRun(100, func() {
		p.split(g, g.takers.Load(), rs, func(_ int, _ []flow.Record, sum cache.Sum) { addSum(&n, sum) })
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// BenchmarkSplit is what sharing costs a record.
func BenchmarkSplit(b *testing.B) {
	g := &group{seeds: seedsOf("a", "b", "c")}
	g.takers.Store(0b111)
	rs := make([]flow.Record, outBatch)
	for i, k := range randomKeys(rand.New(rand.NewPCG(7, 8)), outBatch) {
		rs[i].Key = k
	}
	var p splitter
	var n cache.Sum
	b.ReportAllocs()
	for b.Loop() {
		p.split(g, g.takers.Load(), rs, func(_ int, _ []flow.Record, sum cache.Sum) { addSum(&n, sum) })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*outBatch), "ns/record")
}

// Second by second, the first member that is up gets the records, and keeps them until a
// better one has been up for three seconds; who comes for the first time need not wait.
func TestChoose(t *testing.T) {
	for _, k := range []struct{ name, up, want string }{ // which members are up, in bits, and who gets records
		{"nobody", "000", "aaa"},
		{"all", "777", "aaa"},
		{"the second comes first", "02233", "abbaa"},
		{"the first goes and comes", "336633377", "aabbbbbaa"},
		{"the first comes and goes", "326332323333", "abbbbbbbbbba"},
		{"it comes while the others are gone", "3620133", "abbaaaa"},
		{"the third stands in", "7446677", "acccccb"},
		{"all go, the last comes back", "704446", "aacccc"},
	} {
		g := &group{configured: config.Group{Mode: config.GroupFailover, Return: 3 * time.Second}, members: make(exporterSet, 3), since: make([]time.Time, 3)}
		g.takers.Store(1)
		began, got := time.Now(), ""
		for second, digit := range k.up {
			now := began.Add(time.Duration(second) * time.Second)
			g.takers.Store(g.choose(g.track(uint64(digit-'0'), now), now))
			got += string(rune('a' + bits.TrailingZeros64(g.takers.Load())))
		}
		if got != k.want {
			t.Errorf("%s: up %s: got %s, want %s", k.name, k.up, got, k.want)
		}
	}
}
