//go:build linux

package kernel

import (
	"errors"
	"log/slog"
	"maps"
	"path"
	"slices"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/capture/link"
)

// Defaults and bounds of a Config.
const (
	// DefaultEntries is how many flows of one generation the kernel keeps for each
	// CPU where memory allows: entries of 1 MiB, of which the busiest stay in a CPU's own
	// cache, with details of as much.
	DefaultEntries = 16384
	// MaxGeneration is how long a generation lasts at most, and MinGeneration at
	// least: a flip takes the kernel 10 to 40 ms.
	MaxGeneration = time.Second
	MinGeneration = 50 * time.Millisecond
)

// Direction tells which frames of an interface are metered.
type Direction uint8

const (
	// Auto: arriving frames, and those leaving frames that did not arrive by a
	// selected interface: each packet once.
	Auto        Direction = iota
	IngressOnly           // arriving frames
	EgressOnly            // leaving frames
	// Both: arriving and leaving frames. What is forwarded between two selected
	// interfaces is then metered twice.
	Both
)

// Hook is how the program is attached.
type Hook uint8

const (
	AnyHook Hook = iota // tcx where the kernel has it, else clsact
	Clsact
)

// Decoder turns a frame into an observation. The frame and its octets are valid
// during the call only.
type Decoder interface {
	Decode(*capture.Frame, *flow.Packet) capture.Reason
}

// Config describes a capture.
type Config struct {
	// Interfaces are names or patterns, as link.Choose takes them.
	Interfaces []string
	Direction  Direction
	// Directions has another direction for some of them, by name or pattern as path.Match
	// takes it; a name goes before a pattern.
	Directions map[string]Direction
	Hook       Hook
	// Simple takes the simple flavour of the first level, which is dearer.
	Simple bool
	// Entries is how many flows of one generation are kept for each CPU: a power
	// of two; 0 means DefaultEntries, or less where that would take more than 1/64
	// of the memory.
	Entries int
	// Ring is the size of each CPU's log in octets, a power of two, or of its ring where that
	// has what leaves the sets; 0 means four times what the entries of one
	// generation take. Beside a log there is a ring of half its size, for fragments and
	// what else the decoder in user space reads. All logs together take 2 GiB at most.
	Ring int
	// ringsOnly has no logs, as where processors do not keep their stores in order; for
	// tests.
	ringsOnly bool
	// MaxFlows is how many flows a generation may have before it is closed early, so
	// that what is handed over at once does not push everything else out of the flow
	// cache; 0 sets no bound.
	MaxFlows int
	// Generation is how long a generation lasts at most; 0 means MaxGeneration. It
	// is to be no more than a quarter of the shortest timeout.
	Generation time.Duration
	// Now is the present on the process's timeline, which is CLOCK_MONOTONIC but for
	// its zero.
	Now func() flow.Time
	// Sampling chooses the frames that are metered, on each CPU by itself.
	Sampling capture.Sampling
	// Decoder reads what the program does not.
	Decoder Decoder
	// Log is told once what is captured and what that means; nil says nothing.
	Log *slog.Logger
}

// direction returns that of an interface.
func (c *Config) direction(name string) Direction {
	if d, ok := c.Directions[name]; ok {
		return d
	}
	for _, pattern := range slices.Sorted(maps.Keys(c.Directions)) {
		if ok, _ := path.Match(pattern, name); ok {
			return c.Directions[pattern]
		}
	}
	return c.Direction
}

// withDefaults returns c with its zero values filled in, or what is wrong in it.
func (c Config) withDefaults() (Config, error) {
	if c.Decoder == nil {
		return c, errors.New("capture without a decoder")
	}
	if err := link.CheckPatterns(c.Interfaces); err != nil {
		return c, err
	}
	c.Generation = generation(c.Generation)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		start := time.Now()
		c.Now = func() flow.Time { return flow.Time(time.Since(start)) }
	}
	return c, nil
}

// generation brings the length of a generation within its bounds; 0 is the default.
func generation(length time.Duration) time.Duration {
	if length == 0 {
		return MaxGeneration
	}
	return min(max(length, MinGeneration), MaxGeneration)
}
