package control

import (
	"math/rand/v2"
	"slices"
	"testing"

	"cacheflow/cache/flow"
)

// TestSelection compares a selection with sorting everything.
func TestSelection(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]flow.Record, 1000)
	for i := range all {
		all[i].Version = []uint8{4, 6}[r.IntN(2)]
		all[i].Packets, all[i].Octets, all[i].First = r.Uint64N(500), r.Uint64N(500), flow.Time(i)
	}
	for _, q := range []CacheQuery{{}, {Version: 4}, {Limit: -1}, {Limit: -1, Sort: ByBytes}, {Limit: 10}, {Limit: 10, Sort: ByBytes}, {Version: 6, Limit: 7, Sort: ByPackets}, {Limit: 5000, Sort: ByPackets}} {
		s := NewSelection(q)
		var want []flow.Record
		for i := range all {
			s.Add(&all[i])
			if q.Version == 0 || all[i].Version == q.Version {
				want = append(want, all[i])
			}
		}
		if s.Matched != len(want) {
			t.Errorf("%+v: matched %d of %d", q, s.Matched, len(want))
		}
		if q.Sort != Unsorted {
			slices.SortStableFunc(want, func(a, b flow.Record) int { return int(q.Sort.size(&b)) - int(q.Sort.size(&a)) })
		}
		switch {
		case q.Limit < 0:
			want = nil
		case q.Limit > 0:
			want = want[:min(q.Limit, len(want))]
		}
		got := s.Records()
		if len(got) != len(want) {
			t.Fatalf("%+v: %d flows, want %d", q, len(got), len(want))
		}
		for i := range got {
			if q.Sort == Unsorted && got[i] != want[i] || q.Sort != Unsorted && q.Sort.size(&got[i]) != q.Sort.size(&want[i]) {
				t.Errorf("%+v: flow %d is %d packets, %d octets", q, i, got[i].Packets, got[i].Octets)
			}
		}
	}
}
