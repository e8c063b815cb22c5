//go:build linux

package daemon

import (
	"context"
	"errors"
	"runtime"
	"time"

	"cacheflow/cache"
	"cacheflow/capture"
	"cacheflow/capture/afpacket"
	"cacheflow/capture/kernel"
)

// CaptureMode chooses the Observation Point.
type CaptureMode uint8

const (
	CaptureAuto     CaptureMode = iota // eBPF where the kernel and the rights allow it, else AF_PACKET
	CaptureEBPF                        // eBPF, or no start
	CaptureClsact                      // the same, attached by clsact also where there is tcx
	CaptureSimple                      // the same, with plain hash maps in the kernel
	CaptureAFPacket                    // AF_PACKET
)

// Direction chooses at which side of the interfaces packets are metered.
type Direction = kernel.Direction

const (
	DirectionAuto    = kernel.Auto // each packet once, as far as the capture can
	DirectionIngress = kernel.IngressOnly
	DirectionEgress  = kernel.EgressOnly // eBPF only
	DirectionBoth    = kernel.Both
)

// Capture selects what is metered, and how.
type Capture struct {
	Mode CaptureMode
	// Interfaces are names or patterns; none: those that link.Choose chooses.
	Interfaces []string
	Direction  Direction
	// Directions has another direction for some interfaces, by name or pattern; eBPF
	// only.
	Directions map[string]Direction
	Sampling   capture.Sampling
	// FirstLevel and FirstRing are eBPF's, as kernel.Config has Entries and Ring.
	FirstLevel, FirstRing int
	// Workers and RingMemory are AF_PACKET's, as afpacket.Config has them.
	Workers, RingMemory int
}

// An observer is a capture that is under way. Run follows the interfaces, and Stop
// has the sources end.
type observer interface {
	Run(context.Context) error
	Stop() error
}

// prepareCapture decides how to capture, and returns how many sources there will
// be. start begins the capture and gives each shard its source.
func (s *session) prepareCapture() (workers int, start func() error, err error) {
	c := &s.Live.Capture
	var because error
	if c.Mode != CaptureAFPacket {
		k, err := kernel.Open(s.kernelConfig())
		if err == nil {
			s.patience = &patience{now: s.now}
			return 1, func() error {
				s.capture, s.shards[0].source = k, k.Source()
				s.reselect = func(next *Live) error {
					c := &next.Capture
					k.SetGeneration(generation(&next.Cache))
					return k.Select(c.Interfaces, c.Direction, c.Directions)
				}
				return k.Start()
			}, nil
		}
		if c.Mode != CaptureAuto {
			return 0, nil, err
		}
		because = err
	}
	if c.Direction == DirectionEgress || len(c.Directions) > 0 {
		err := errors.New("direction egress, and a direction for single interfaces, take the eBPF capture")
		return 0, nil, errors.Join(err, because)
	}
	workers = c.Workers
	if workers == 0 {
		workers = min(runtime.NumCPU(), afpacket.MaxWorkers)
	}
	return workers, func() error {
		if err := s.openAFPacket(workers); err != nil {
			return err
		}
		if because != nil {
			s.Log.Info("no counting inside the kernel, packets are captured by AF_PACKET", "because", because)
		}
		return nil
	}, nil
}

func (s *session) openAFPacket(workers int) error {
	c := &s.Live.Capture
	a, err := afpacket.Open(afpacket.Config{
		Interfaces: c.Interfaces, Workers: workers, RingMemory: c.RingMemory, Sampling: c.Sampling, Changing: s.Live.Reload != nil,
		Direction: map[Direction]afpacket.Direction{
			DirectionAuto: afpacket.Auto, DirectionIngress: afpacket.IngressOnly, DirectionBoth: afpacket.Both,
		}[c.Direction],
		Clock:   afpacket.Clock{Now: s.now, Realtime: func() int64 { return time.Now().UnixNano() }},
		Seed:    uint32(random()),
		Log:     s.Log,
		Decoder: func() afpacket.Decoder { return capture.NewDecoder(s.Fragments) },
	})
	if err != nil {
		return err
	}
	s.capture = a
	s.reselect = func(next *Live) error { return a.Select(next.Capture.Interfaces) }
	for i, source := range a.Sources() {
		s.shards[i].source = source
	}
	return nil
}

func (s *session) kernelConfig() kernel.Config {
	c := &s.Live.Capture
	hook := kernel.AnyHook
	if c.Mode == CaptureClsact {
		hook = kernel.Clsact
	}
	return kernel.Config{
		Hook: hook, Simple: c.Mode == CaptureSimple, Interfaces: c.Interfaces, Sampling: c.Sampling,
		Direction: c.Direction, Directions: c.Directions,
		MaxFlows: s.Live.Cache.Entries / 2,
		Entries:  c.FirstLevel, Ring: c.FirstRing,
		Generation: generation(&s.Live.Cache),
		Now:        s.now,
		Decoder:    capture.NewDecoder(s.Fragments),
		Log:        s.Log,
	}
}

// generation is how long a generation of the kernel's cache lasts at most.
func generation(c *cache.Config) time.Duration { return min(c.Active, c.Inactive) / 4 }
