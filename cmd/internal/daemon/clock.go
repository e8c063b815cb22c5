package daemon

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"cacheflow/cache/flow"
)

// Clock is the live timeline: CLOCK_MONOTONIC, counted from the process's boot
// instant, which is a whole second of wall time. A step of the wall clock does
// not move it; Epoch follows the step.
type Clock struct {
	// Boot is the boot instant as the wall clock told it then.
	Boot time.Time
	// zero is the boot instant with Go's reading of CLOCK_MONOTONIC, which costs
	// no system call.
	zero time.Time
}

// NewClock starts a timeline at the last whole second.
func NewClock() Clock {
	now := time.Now()
	boot := now.Truncate(time.Second) // without the monotonic reading
	return Clock{Boot: boot, zero: now.Add(-now.Round(0).Sub(boot))}
}

// Now returns the present on the timeline.
func (c Clock) Now() flow.Time { return flow.Time(time.Since(c.zero)) }

// Epoch returns the wall time, in nanoseconds since 1970, of the timeline's
// zero, as the wall clock tells it now.
func (c Clock) Epoch() int64 {
	now := time.Now() // one reading of both clocks: nothing can hold us up between two
	return now.UnixNano() - int64(now.Sub(c.zero))
}

// epoch is a Clock's Epoch, taken anew each minute: a step of the wall clock
// shows in the export after a minute at most, and reading it costs nothing.
type epoch struct {
	clock Clock
	mu    sync.Mutex
	wall  time.Time
	until flow.Time
}

// time returns the wall time of the timeline's zero. Any goroutine may call it.
func (e *epoch) time() time.Time {
	now := e.clock.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if now >= e.until {
		e.wall = time.Unix(0, e.clock.Epoch())
		e.until = now.Add(time.Minute)
	}
	return e.wall
}

const (
	// lookPeriod is how often the wall clock is looked at.
	lookPeriod = time.Second
	// jump is how far it moves against the timeline between two looks that it counts
	// as a jump.
	jump = time.Second
)

// watchClock tells of each jump of the wall clock until ctx is done: somebody set
// it, or the host slept. What is exported follows with epoch. now is a Clock's Epoch.
func watchClock(ctx context.Context, now func() int64, log *slog.Logger) error {
	look := time.NewTicker(lookPeriod)
	defer look.Stop()
	for last := now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		present := now()
		if by := time.Duration(present - last); by.Abs() >= jump {
			log.Warn("the wall clock jumped; exported times follow within a minute", "by", by.Round(100*time.Millisecond))
		}
		last = present
	}
}
