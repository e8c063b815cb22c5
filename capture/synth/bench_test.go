package synth_test

import (
	"fmt"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture/synth"
)

// steady returns the source of a router with about 50 000 flows that live, read until
// they do: 3 200 conversations a second of two flows, of 8 s on average. Packets come in
// trains of a length.
func steady(tb testing.TB, train int) *synth.Source {
	p := profile()
	p.Conversations = 3200
	a := &p.Applications[0]
	a.Packets = synth.Distribution{Least: 60, Most: 100}
	a.Interval, a.Train, a.Answer, a.Reset = time.Second/10*time.Duration(train), train, 1, 0
	s := open(tb, synth.Config{Profile: p, End: flow.Time(1000 * time.Hour)})
	batch := make([]flow.Packet, 64)
	for horizon := flow.Time(0); horizon < flow.Time(20*time.Second); {
		_, horizon, _ = s.Read(batch)
	}
	return s
}

// trains are those that the benchmarks have: each packet on its own, and what a window of TCP
// sends at once.
var trains = []int{1, 4}

// BenchmarkRead makes packets of 50 000 flows that live.
func BenchmarkRead(b *testing.B) {
	for _, train := range trains {
		b.Run(fmt.Sprintf("train=%d", train), func(b *testing.B) {
			s := steady(b, train)
			batch := make([]flow.Packet, 64)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; {
				k, _, _ := s.Read(batch)
				n += k
			}
		})
	}
}

// Nothing allocates for a packet.
func TestReadAllocatesNothing(t *testing.T) {
	s := steady(t, 1)
	batch := make([]flow.Packet, 64)
	if n := testing.AllocsPerRun(1000, func() { s.Read(batch) }); n != 0 {
		t.Errorf("%v allocations for %d packets", n, len(batch))
	}
}
