package top

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"cacheflow/cmd/internal/render"
)

var t0 = time.Unix(1_700_000_000, 0)

// flowOf returns a record of flow n that lasted from start to end, in seconds
// after t0.
func flowOf(n int, packets, octets uint64, start, end int64) *render.Row {
	return &render.Row{
		Src: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), Dst: netip.MustParseAddr("192.0.2.1"),
		SrcPort: 40000, DstPort: 443, Protocol: 6, Input: 2, Packets: packets, Octets: octets,
		Start: t0.UnixMilli() + 1000*start, End: t0.UnixMilli() + 1000*end,
	}
}

func TestLargestFirst(t *testing.T) {
	for _, order := range []Order{ByOctets, ByPackets} {
		top := New(Config{Order: order})
		top.Add(flowOf(1, 1, 900, 0, 10), t0)
		top.Add(flowOf(2, 50, 500, 0, 10), t0)
		top.Add(flowOf(3, 3, 600, 0, 10), t0)
		top.Add(flowOf(3, 4, 600, 10, 20), t0)
		s := top.Snapshot(2, t0)
		want := map[Order][]uint64{ByOctets: {1200, 900}, ByPackets: {500, 1200}}[order]
		var got []uint64
		for _, f := range s.Flows {
			got = append(got, f.Octets)
		}
		if !slices.Equal(got, want) || s.Active != 3 {
			t.Errorf("by %v: %v of %d, want %v of 3", order, got, s.Active, want)
		}
		if total := (Sum{4, 58, 2600}); s.Window != total || s.Total != total {
			t.Errorf("%+v", s)
		}
	}
}

// The rate is over the time that the flow's records span.
func TestRate(t *testing.T) {
	top := New(Config{})
	top.Add(flowOf(1, 10, 10_000, 0, 60), t0)
	top.Add(flowOf(1, 10, 30_000, 60, 100), t0)
	top.Add(flowOf(2, 1, 1000, 0, 0), t0)
	s := top.Snapshot(2, t0)
	if s.Flows[0].Rate != 40_000*8/100 || s.Flows[1].Rate != 8000 {
		t.Errorf("%d and %d bit/s", s.Flows[0].Rate, s.Flows[1].Rate)
	}
	if r := s.Flows[0].Row; r.End-r.Start != 100_000 || r.Octets != 40_000 {
		t.Errorf("%+v", r)
	}
}

func TestWindow(t *testing.T) {
	top := New(Config{Window: 10 * time.Second})
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	top.Add(flowOf(1, 1, 1, 0, 0), at(0))
	top.Add(flowOf(2, 1, 1, 0, 0), at(4.9))
	top.Add(flowOf(3, 1, 1, 0, 0), at(12))
	for _, test := range []struct {
		at     float64
		active int
	}{{12, 3}, {14.9, 3}, {15, 1}, {24.9, 1}, {25, 0}, {1000, 0}} {
		if s := top.Snapshot(9, at(test.at)); s.Active != test.active || s.Window.Records != uint64(test.active) || s.Total.Records != 3 {
			t.Errorf("after %v s: %+v", test.at, s)
		}
	}
	top.Add(flowOf(4, 1, 1, 0, 0), at(2000))
	if s := top.Snapshot(9, at(2000)); s.Active != 1 {
		t.Errorf("after a long silence: %+v", s)
	}
}

// A flood of flows is summed up, not kept; a flow that was there before it
// stays exact.
func TestMemoryIsBounded(t *testing.T) {
	top := New(Config{})
	rng := rand.New(rand.NewPCG(1, 2))
	before := heap()
	for i := range 300_000 {
		at := t0.Add(time.Duration(i) * 200 * time.Microsecond) // one minute in all
		top.Add(flowOf(1, 1, 1500, 0, 60), at)
		top.Add(flowOf(int(rng.Uint32N(1<<23))+2, 1, 40, 0, 0), at)
	}
	now := t0.Add(59 * time.Second)
	s := top.Snapshot(1, now)
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("%d octets of memory", grown)
	}
	if s.Flows[0].Packets != 300_000 || s.Window.Records != 600_000 || s.Active > 3*8192 {
		t.Errorf("%+v", s)
	}
	all := Sum{}
	for _, f := range top.Snapshot(1<<30, now).Flows {
		all.add(f.Sum)
	}
	if all.add(s.Others); all != s.Window {
		t.Errorf("flows and others have %+v, the window %+v", all, s.Window)
	}
	runtime.KeepAlive(top)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
