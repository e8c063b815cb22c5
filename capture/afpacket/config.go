//go:build linux

package afpacket

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/capture/link"
)

// Defaults and bounds of a Config.
const (
	// DefaultRingMemory is 64 MiB a worker: some 250 ms at a million frames/s.
	DefaultRingMemory = 64 << 20
	// DefaultSnap holds the deepest chain of headers that is worth reading: an
	// Ethernet header, eight tags or labels, IPv6 with 140 octets of extension
	// headers, and TCP.
	DefaultSnap = 256
	// MinSnap holds an Ethernet header, two tags, IPv4 with all options and TCP.
	MinSnap = 104
	// MaxWorkers is what a fanout group takes (PACKET_FANOUT_MAX before 5.9).
	MaxWorkers = 256
)

// Direction tells which frames of an interface are metered.
type Direction uint8

const (
	// Auto: both directions where one interface is selected; arriving frames
	// alone where several are, because a packet socket cannot know whether a
	// leaving frame came in by another selected one. Once several were, that
	// stays.
	Auto Direction = iota
	// IngressOnly: arriving frames alone.
	IngressOnly
	// Both: both directions, whatever the number of interfaces. What is
	// forwarded between two selected ones is then metered twice.
	Both
)

// Decoder turns a frame into an observation. The frame and its octets are valid
// during the call only.
type Decoder interface {
	Decode(*capture.Frame, *flow.Packet) capture.Reason
}

// Clock is where a capture takes the time from.
type Clock struct {
	// Now is the present on the process's timeline. It never goes back.
	Now func() flow.Time
	// Realtime is CLOCK_REALTIME in nanoseconds since 1970: the clock of the
	// kernel's stamps, which may be set.
	Realtime func() int64
}

// Config describes a capture.
type Config struct {
	// Interfaces are names or patterns as path.Match takes them ("ppp*").
	// Empty: where the host forwards, every interface that is up and has an
	// address, except lo and what lies below another selected one; otherwise
	// the interfaces of the default routes.
	Interfaces []string
	Direction  Direction
	// Changing says that Select may be called: a part of the ring memory is then kept
	// for interfaces that it adds.
	Changing bool
	// Workers is the number of sources; 0 means the CPUs.
	Workers int
	// RingMemory is what the rings of one worker take together, in octets,
	// whatever the number of interfaces; 0 means DefaultRingMemory.
	RingMemory int
	// Snap is how many octets of a frame are kept; 0 means DefaultSnap.
	Snap int
	// Sampling chooses the frames that are metered, for each worker by itself.
	Sampling capture.Sampling
	// Seed keys the hash that spreads flows over workers, and what a random sampler
	// chooses; take it at random.
	Seed uint32
	// Clock gives the time; its zero value is a timeline that starts now.
	Clock Clock
	// Decoder makes one decoder for each worker.
	Decoder func() Decoder
	// Log is told once what is captured and what that means; nil says nothing.
	Log *slog.Logger
}

// withDefaults returns c with its zero values filled in, or what is wrong in it.
func (c Config) withDefaults() (Config, error) {
	if c.Decoder == nil {
		return c, errors.New("capture without a decoder")
	}
	if err := link.CheckPatterns(c.Interfaces); err != nil {
		return c, err
	}
	if err := c.Sampling.Validate(); err != nil {
		return c, err
	}
	if c.Workers == 0 {
		c.Workers = min(runtime.NumCPU(), MaxWorkers)
	}
	if c.RingMemory == 0 {
		c.RingMemory = DefaultRingMemory
	}
	if c.Snap == 0 {
		c.Snap = DefaultSnap
	}
	switch {
	case c.Workers < 1 || c.Workers > MaxWorkers:
		return c, fmt.Errorf("%d capture workers: must be 1 to %d", c.Workers, MaxWorkers)
	case c.RingMemory < minRing():
		return c, fmt.Errorf("ring memory of %d octets: must be at least %d", c.RingMemory, minRing())
	case c.Snap < MinSnap || c.Snap > 65535:
		return c, fmt.Errorf("snap length of %d octets: must be %d to 65535", c.Snap, MinSnap)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock.Now == nil {
		start := time.Now()
		c.Clock.Now = func() flow.Time { return flow.Time(time.Since(start)) }
	}
	if c.Clock.Realtime == nil {
		c.Clock.Realtime = func() int64 { return time.Now().UnixNano() }
	}
	return c, nil
}
