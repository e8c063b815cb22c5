package daemon

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/export"
)

// A swap is exact: each record goes to those that are in the set when it is
// delivered, and what the shard says that it handed to whom is what they were put.
func TestSwapIsExact(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		s, err := newShard(nil, testCache(), &ownExports{}, exporterSet.put)
		if err != nil {
			t.Fatal(err)
		}
		var all exporterSet
		for i := range 6 {
			e, err := export.New(export.Config{Name: strconv.Itoa(i), Address: "192.0.2.1:2055", QueueRecords: 50})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, &exporter{Exporter: e})
		}
		truth := map[*exporter]uint64{}
		for at := range flow.Time(200) {
			set := slices.DeleteFunc(slices.Clone(all), func(*exporter) bool { return r.IntN(2) == 0 })
			s.swap(outlets{copied: set})
			flows := r.IntN(8)
			s.step(newFlows(flows, at), at)
			s.clear(flows)
			for _, e := range set {
				truth[e] += uint64(flows)
			}
		}
		handed := map[*exporter]cache.Sum{}
		s.addHanded(handed)
		for _, e := range all {
			shard := handed[e].Flows + e.handed.Flows
			if made := e.Stats().Made.Records; shard != truth[e] || made != truth[e] {
				t.Errorf("seed %d: exporter %s was handed %d by the shard, put %d; the truth is %d", seed, e, shard, made, truth[e])
			}
		}
	}
}

// newFlows returns a packet of each of n flows.
func newFlows(n int, at flow.Time) (ps []flow.Packet) {
	src, dst := netip.MustParseAddrPort("192.0.2.1:9"), netip.MustParseAddr("192.0.2.2")
	for i := range n {
		ps = append(ps, udp(src, netip.AddrPortFrom(dst, uint16(i)), at))
	}
	return ps
}
