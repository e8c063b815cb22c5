package generate

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture/synth"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// Config describes the routers and what they do.
type Config struct {
	Profile *synth.Profile
	// Name is the profile's in the manifest.
	Name string
	// Capture is in place of Profile where it is not nil.
	Capture *Capture
	Seed    uint64
	// Routers is how many there are, 1 to MaxRouters.
	Routers int
	// Start is when the traffic begins, on its own time, a whole second; it goes on for Duration,
	// or until the capture ends; 0 is all of a capture.
	Start    time.Time
	Duration time.Duration
	// Cache describes the table of each router, but for its Router, Seed, Alloc and Emit.
	Cache cache.Config
	// Export describes the messages of each router: Protocol, MTU, templates, options. Its Address
	// is for the ledger only; identity and times are set by the generator.
	Export export.Config
	// Sources are the addresses that the routers send from, one each; empty leaves it to the
	// kernel.
	Sources []netip.Addr
	Pace    Pace
	// Faults are done on purpose; a datagram has the first one that hits it.
	Faults []Fault
	// Templates are faults of the templates, before those of datagrams.
	Templates []TemplateFault
	// Records are faults of flow records, before they are put into datagrams.
	Records  []RecordFault
	Restarts []Restart
	Clocks   []Clock
	// Send sends a datagram of a router, counted from 0, which it must copy; an error ends all.
	Send func(router int, datagram []byte) error
	// Manifest is where the manifest goes, compressed unless it is to be plain; nil writes none.
	Manifest      io.Writer
	PlainManifest bool
	// Progress is called after each datagram; nil is never called.
	Progress func(*Stats)
}

// MaxRouters is how many engines NetFlow v5 can tell apart.
const MaxRouters = 1<<16 - 1

// Stats is what was done so far.
type Stats struct {
	// Passed is how much of the traffic's time.
	Passed time.Duration
	// Read is how many octets of capture files were read, of Size; 0 where it is not known.
	Read, Size int64
	Datagrams  uint64 // those that were dropped on purpose among them
	Records    uint64
	Octets     uint64 // of datagrams
	// Faults counts the datagrams that a fault hit, Changed the records.
	Faults, Changed uint64
	// Undecodable counts records that a collector cannot decode, for want of their template.
	Undecodable uint64
	// NotCarried counts records that the protocol cannot carry, by why.
	NotCarried [export.Reasons]uint64
	// Ledger is the account of all routers together, once Run has returned.
	Ledger *ledger.Ledger
}

// Check reports what cannot be, without a look at capture files. Run does so first.
func (c *Config) Check() error {
	switch {
	case c.Routers < 1 || c.Routers > MaxRouters:
		return fmt.Errorf("%d routers: want 1 to %d", c.Routers, MaxRouters)
	case c.Duration < 0 || c.Duration == 0 && c.Capture == nil || c.Duration > maxDuration:
		return fmt.Errorf("a duration of %v: want more than 0, at most %v", c.Duration, maxDuration)
	case c.Start.Nanosecond() != 0 || c.Start.Unix() < int64(uptimeWrap/time.Second):
		return errors.New("the start must be a whole second, later than February 1970")
	case len(c.Sources) != 0 && len(c.Sources) < c.Routers:
		return fmt.Errorf("%d source addresses for %d routers", len(c.Sources), c.Routers)
	}
	if c.Capture != nil {
		if err := c.Capture.Check(); err != nil {
			return err
		}
	}
	return c.checkOnPurpose()
}

// Routers have been up for some time when the traffic starts, so that their sysUpTimes differ.
// It does not wrap within maxDuration, but where a Clock says so.
const (
	minUptime   = time.Hour
	maxUptime   = 20 * 24 * time.Hour
	maxDuration = 29 * 24 * time.Hour
)

// uptime returns how long a router has been up at the start.
func (c *Config) uptime(number uint32) time.Duration {
	if at, wraps := c.wrapAt(number); wraps {
		return uptimeWrap - at
	}
	r := rand.New(rand.NewPCG(c.Seed, 1<<32|uint64(number))) // no router's traffic has this sequence
	return minUptime + time.Duration(r.Int64N(int64((maxUptime-minUptime)/time.Second)))*time.Second
}

// exporter returns how the manifest describes a router.
func (c *Config) exporter(number uint32) manifest.Exporter {
	x := manifest.Exporter{Exporter: number, Domain: number, Boot: c.Start.Add(-c.uptime(number)).UTC()}
	if len(c.Sources) > 0 {
		x.Address = c.Sources[number-1]
	}
	return x
}

// session returns the configuration of a router's messages.
func (c *Config) session(x *manifest.Exporter, epoch func() time.Time) export.Config {
	e := c.Export
	e.SourceID, e.EngineType, e.EngineID = x.Domain, uint8(x.Domain>>8), uint8(x.Domain)
	e.Now, e.Epoch = nil, epoch
	if c.Capture == nil {
		e.Fields.ASNumbers = hasAS(c.Profile)
		e.InterfaceTable = func() []export.Interface { return interfaces(c.Profile) }
	}
	return e
}

// interfaces are those of the profile's networks.
func interfaces(p *synth.Profile) (all []export.Interface) {
	seen := map[uint32]bool{}
	for i := range p.Networks {
		n := &p.Networks[i]
		if !seen[n.Interface] {
			seen[n.Interface] = true
			all = append(all, export.Interface{Index: n.Interface, Name: fmt.Sprintf("if%d", n.Interface), Description: n.Name})
		}
	}
	return all
}

// since returns a time of the traffic on the timeline of a router.
func since(boot, t time.Time) flow.Time { return flow.Time(t.Sub(boot)) }
