package generate_test

import (
	"runtime"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/export"
)

// A longer run allocates no more than a short one: neither packets nor records do.
func TestRecordsAllocateNothing(t *testing.T) {
	run := func(length time.Duration) (mallocs, records uint64) {
		c := config(t, "dns", export.NetFlow9)
		c.Routers, c.Duration = 1, length
		c.Send = func(int, []byte) error { return nil }
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := generate.Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs, s.Records
	}
	short, few := run(10 * time.Second)
	long, many := run(30 * time.Second)
	if each := (float64(long) - float64(short)) / float64(many-few); each > 0.05 || many < 2*few {
		t.Errorf("%.2f allocations for each of %d records more", each, many-few)
	}
}

// Nor do those of a capture, which is opened anew for each time that it is played. Rounds do: so the
// packets are close together, and flows are cut often.
func TestCaptureAllocatesNothing(t *testing.T) {
	all := frames(t, 30_000)
	for i := range all {
		all[i].at /= 20
	}
	path := write(t, all)
	run := func(times int) (mallocs, records uint64) {
		c := captured(t, export.NetFlow9, path)
		c.Cache.Active, c.Cache.Inactive = 500*time.Millisecond, 500*time.Millisecond
		c.Capture.Repeat, c.Send = times, func(int, []byte) error { return nil }
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s, err := generate.Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs, s.Records
	}
	once, few := run(1)
	often, many := run(4)
	if each := (float64(often) - float64(once)) / float64(many-few); each > 0.05 || many < 2*few {
		t.Errorf("%.2f allocations for each of %d records more", each, many-few)
	}
}
