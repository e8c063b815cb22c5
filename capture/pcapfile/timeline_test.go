package pcapfile

import (
	"math"
	"slices"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// TestTimeline gives stamps in seconds; times and horizons are seconds since
// the first packet, which is one hour after the boot instant.
func TestTimeline(t *testing.T) {
	const first = 1_700_000_000
	for _, c := range []struct {
		name     string
		stamps   []int64 // after the first, which is 0
		times    []int64
		horizons []int64
		jumps    uint64
	}{
		{"forward", []int64{1, 2, 3600}, []int64{1, 2, 3600}, []int64{1, 2, 3600}, 0},
		{"back", []int64{10, 5, 11}, []int64{10, 5, 11}, []int64{10, 10, 11}, 0},
		{"back before the first", []int64{-3600}, []int64{-3600}, []int64{0}, 0},
		{"back before the boot instant", []int64{-3601, -first, 1}, []int64{-3600, -3600, 1}, []int64{0, 0, 1}, 0},
		{"an hour ahead", []int64{3600}, []int64{3600}, []int64{3600}, 0},
		{"2038 once", []int64{5, 447_000_000, 6, 7}, []int64{5, 5, 6, 7}, []int64{5, 5, 6, 7}, 1},
		{"2038 at the end", []int64{5, 447_000_000}, []int64{5, 5}, []int64{5, 5}, 1},
		{"a second agrees", []int64{5, 10_000, 10_001, 10_002}, []int64{5, 5, 10_001, 10_002}, []int64{5, 5, 10_001, 10_002}, 1},
		{"a second agrees from behind", []int64{5, 10_000, 9_000}, []int64{5, 5, 9_000}, []int64{5, 5, 9_000}, 1},
		{"the second goes elsewhere", []int64{10_000, 20_000, 20_001}, []int64{0, 0, 20_001}, []int64{0, 0, 20_001}, 2},
		{"not the next one agrees", []int64{10_000, 1, 10_001, 2}, []int64{0, 1, 1, 2}, []int64{0, 1, 1, 2}, 2},
		{"believed, then back", []int64{10_000, 10_001, 1}, []int64{0, 10_001, 1}, []int64{0, 10_001, 10_001}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := little().pcap(magicMicro, 1).packet(first, 999_999, udpFrame(1))
			for _, s := range c.stamps {
				w.packet(uint32(first+s), 999_999, udpFrame(1))
			}
			r := read(t, open(t, w.Bytes()), 1)
			var times, horizons []int64
			start := flow.Time(time.Hour + 999_999*time.Microsecond)
			for i := range c.stamps {
				seconds := func(at flow.Time) int64 {
					if at == 0 {
						return -3600 // the boot instant
					}
					return int64((at - start) / flow.Time(time.Second))
				}
				times = append(times, seconds(r.packets[i+1].First))
				horizons = append(horizons, seconds(r.horizons[i+1]))
			}
			if !slices.Equal(times, c.times) || !slices.Equal(horizons, c.horizons) {
				t.Errorf("times %v, horizons %v, want %v, %v", times, horizons, c.times, c.horizons)
			}
			if r.counters[0].ClockJumps != c.jumps {
				t.Errorf("%d clock jumps, want %d", r.counters[0].ClockJumps, c.jumps)
			}
			if r.packets[0].First != start || !r.boot.Equal(time.Unix(first-3600, 0)) {
				t.Errorf("first packet at %v after %v", time.Duration(r.packets[0].First), r.boot)
			}
		})
	}
}

// TestJumpOfIgnored: a stamp is judged, but a jump is counted of metered frames
// only.
func TestJumpOfIgnored(t *testing.T) {
	w := little().pcap(magicMicro, 1).packet(1e9, 0, udpFrame(1)).packet(2e9, 0, arpFrame).packet(2e9, 0, udpFrame(2))
	r := read(t, open(t, w.Bytes()), 10)
	if c := r.counters[0]; c.ClockJumps != 0 || c.Metered != 2 || c.Observed != 3 {
		t.Errorf("%+v", c)
	}
	if at := time.Duration(r.packets[1].First); at != 1e9*time.Second+time.Hour {
		t.Errorf("the second packet is at %v", at)
	}
}

// TestUntimed: a simple packet has the time of the packet before.
func TestUntimed(t *testing.T) {
	w := little().section().describe(1, 0).enhanced(0, 1_700_000_000_000_000, udpFrame(1)).simple(42, udpFrame(2))
	got := short(read(t, open(t, w.Bytes()), 10))
	if want := []seen{{1, 1, time.Hour}, {2, 1, time.Hour}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	got = short(read(t, open(t, little().section().describe(1, 0).simple(42, udpFrame(1)).Bytes()), 10))
	if want := []seen{{1, 1, time.Hour}}; !slices.Equal(got, want) {
		t.Errorf("without any stamp: %v, want %v", got, want)
	}
}

// TestNoPacket: files without a packet end at once.
func TestNoPacket(t *testing.T) {
	r := read(t, open(t, little().pcap(magicMicro, 1).Bytes(), little().section().Bytes()), 10)
	if r.err != nil || len(r.packets)+len(r.counters) != 0 || !r.boot.Equal(time.Unix(0, 0)) {
		t.Errorf("%+v", r)
	}
}

// TestStampClock holds all units to arithmetic that cannot overflow.
func TestStampClock(t *testing.T) {
	for _, c := range []struct {
		resolution uint8
		offset     int64
		ticks      uint64
		want       int64
	}{
		{6, 0, 0, 0},
		{0, 0, 7, 7e9},
		{3, 0, 1234, 1_234_000_000},
		{6, 0, math.MaxUint64, maxStamp},
		{9, 0, math.MaxUint64, maxStamp},
		{9, 0, maxStamp + 1, maxStamp},
		{10, 0, math.MaxUint64, math.MaxUint64 / 10},
		{12, 0, 1_999, 1},
		{28, 0, math.MaxUint64, 1},
		{0x80, 0, 7, 7e9},
		{0x80 | 1, 0, 3, 1_500_000_000},
		{0x80 | 30, 0, 1<<30 + 1<<29, 1_500_000_000},
		{0x80 | 32, 0, math.MaxUint64, 4294967295_999_999_999},
		{0x80 | 63, 0, 1 << 63, 1e9},
		{0x80 | 64, 0, 1 << 63, 500_000_000},
		{0x80 | 65, 0, 1 << 63, 250_000_000},
		{0x80 | 127, 0, math.MaxUint64, 0},
		{6, 5, 1e6, 6e9},
		{6, -5, 1e6, 0},
		{6, math.MaxInt64, 1e6, maxStamp},
		{6, math.MinInt64, 1e6, 0},
		{6, maxStamp / 1_000_000_000, 1e6, maxStamp},
	} {
		clock := microseconds
		if err := clock.setResolution(c.resolution); err != nil {
			t.Fatal(err)
		}
		clock.offset = c.offset
		if got := clock.nanoseconds(c.ticks); got != c.want {
			t.Errorf("%d ticks of %#x with offset %d: %d ns, want %d", c.ticks, c.resolution, c.offset, got, c.want)
		}
	}
}

// FuzzTimeline: times never go below the boot instant, nor the horizon back,
// and no stamp overflows.
func FuzzTimeline(f *testing.F) {
	f.Add(int64(0), int64(maxStamp), int64(0), int64(maxStamp))
	f.Add(int64(maxStamp), int64(0), int64(maxStamp), int64(1))
	f.Fuzz(func(t *testing.T, first, a, b, c int64) {
		clamp := func(s int64) int64 { return max(0, min(s, maxStamp)) }
		line := newTimeline(clamp(first))
		for _, s := range []int64{first, a, b, c} {
			before := line.largest
			at, jump := line.at(clamp(s))
			if at < 0 || line.largest < before || at > line.largest {
				t.Fatalf("time %d, horizon %d, before %d", at, line.largest, before)
			}
			if jump && (at != before || line.largest != before) {
				t.Fatalf("a jump moves the horizon from %d to %d, time %d", before, line.largest, at)
			}
		}
	})
}
