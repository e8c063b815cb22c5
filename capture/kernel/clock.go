//go:build linux

package kernel

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// clock turns the program's time, in jiffies, into the timeline. The kernel counts
// jiffies by CLOCK_MONOTONIC, so that they differ by a constant; a tick begins at
// its time, and all that happens during the tick is stamped with it.
type clock struct {
	now  func() flow.Time
	read func() (uint32, error)
	tick flow.Time // 1/HZ

	// At a reading, jiffies were base, and that tick had begun no later than at.
	base uint32
	at   flow.Time
	// latest is the present at the reading: no stamp lies behind it.
	latest flow.Time
}

func newClock(now func() flow.Time, read func() (uint32, error)) (clock, error) {
	t, err := tick()
	if err != nil {
		return clock{}, err
	}
	c := clock{now: now, read: read, tick: t}
	return c, c.sample()
}

// tick returns 1/HZ, which is the resolution of the coarse clocks (KTIME_LOW_RES).
func tick() (flow.Time, error) {
	var res unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &res); err != nil {
		return 0, fmt.Errorf("the kernel's tick: %w", err)
	}
	t := time.Duration(res.Nano())
	if t < 100*time.Microsecond || t > 100*time.Millisecond {
		return 0, fmt.Errorf("the kernel's tick is %v", t)
	}
	return flow.Time(t), nil
}

// jiffies returns the present in jiffies, as far as it can be known without asking.
func (c *clock) jiffies() uint32 { return c.base + uint32((c.now()-c.at)/c.tick) }

// sample reads both clocks. Of all readings the one that bounds the beginning of a
// tick best is kept, unless it contradicts this one.
func (c *clock) sample() error {
	before := c.now()
	j, err := c.read()
	if err != nil {
		return err
	}
	after := c.now()
	earlier := c.at + flow.Time(int32(j-c.base))*c.tick // where this tick began by the reading that is kept
	if c.at == 0 || earlier > after || earlier+c.tick < before {
		earlier = after
	}
	c.base, c.at, c.latest = j, min(earlier, after), after
	return nil
}

// time returns when the tick j began.
func (c *clock) time(j uint32) flow.Time {
	return min(c.at+flow.Time(int32(j-c.base))*c.tick, c.latest)
}
