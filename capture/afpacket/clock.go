//go:build linux

package afpacket

import (
	"time"

	"cacheflow/cache/flow"
)

const (
	// slack is how far a horizon stays behind what the ring shows: a frame is
	// stamped before it gets its place there (by the driver's interrupt, on
	// another CPU). A stamp that is older still is moved up to the horizon.
	slack = flow.Time(5 * time.Millisecond)
	// jump is how far a stamp lies outside of what can be that it counts as a jump
	// of the clock.
	jump = flow.Time(time.Second)
)

// reading is the present on both clocks.
type reading struct {
	now flow.Time
	// offset is CLOCK_REALTIME less the timeline, in nanoseconds.
	offset int64
}

// read reads both clocks. Now is read around Realtime, and again where the two
// lie apart because the goroutine lost its CPU between them.
func (c *Clock) read() reading {
	var r reading
	for range 3 {
		before := c.Now()
		realtime := c.Realtime()
		r.now = c.Now()
		r.offset = realtime - int64(before+(r.now-before)/2)
		if r.now-before < flow.Time(20*time.Microsecond) {
			break
		}
	}
	return r
}

// stamp converts a stamp of the kernel's (seconds and nanoseconds of
// CLOCK_REALTIME) to the timeline. A step of the clock between the stamp and
// the reading shows as a time that cannot be: stamp moves it into [floor, now],
// and reports whether it did so by more than jump.
func (r *reading) stamp(sec, nsec uint32, floor flow.Time) (t flow.Time, jumped bool) {
	t = flow.Time(int64(sec)*int64(time.Second) + int64(nsec) - r.offset)
	switch {
	case t > r.now:
		return r.now, t > r.now+jump
	case t < floor:
		return floor, t < floor-jump
	}
	return t, false
}
