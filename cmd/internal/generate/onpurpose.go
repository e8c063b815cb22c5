package generate

import (
	"cmp"
	"fmt"
	"time"
)

// checkOnPurpose finds what is to go wrong on purpose and cannot, or would never be seen.
func (c *Config) checkOnPurpose() error {
	for _, f := range c.Faults {
		if err := cmp.Or(f.check(), c.happens("fault", f, f.Exporter, f.From)); err != nil {
			return err
		}
	}
	for _, f := range c.Templates {
		if err := cmp.Or(f.check(c.Export.Protocol), c.happens("templates", f, f.Exporter, f.From)); err != nil {
			return err
		}
	}
	for _, f := range c.Records {
		if err := cmp.Or(f.check(), c.happens("records", f, f.Exporter, f.From)); err != nil {
			return err
		}
	}
	for _, r := range c.Restarts {
		if err := cmp.Or(r.check(), c.happens("restart", r, r.Exporter, r.At)); err != nil {
			return err
		}
	}
	for _, k := range c.Clocks {
		if err := cmp.Or(k.check(), c.happens("clock", k, k.Exporter, k.At)); err != nil {
			return err
		}
	}
	return c.checkClocks()
}

// happens holds what is to go wrong, of a kind, against the routers that there are and the traffic.
func (c *Config) happens(kind string, what fmt.Stringer, exporter uint32, from time.Duration) error {
	switch {
	case exporter > uint32(c.Routers):
		return fmt.Errorf("%s %s: want an exporter up to %d, which is how many there are", kind, what, c.Routers)
	case from >= c.end():
		return fmt.Errorf("%s %s: the traffic ends at %v", kind, what, c.end())
	}
	return nil
}

// end returns when the traffic ends since its start; a capture may end before.
func (c *Config) end() time.Duration { return cmp.Or(c.Duration, maxDuration) }

// waiting returns an error for what a capture was too short for; how long a profile's traffic
// is was known before.
func (g *generator) waiting() error {
	if g.feed == nil {
		return nil
	}
	for _, r := range g.routers {
		if len(r.restarts) > 0 {
			return fmt.Errorf("no restart of router %d at %v: the capture ends before it", r.Exporter.Exporter, r.restarts[0].Sub(g.cfg.Start))
		}
		if len(r.clocks) > 0 {
			return fmt.Errorf("no clock %s at router %d: the capture ends before it", r.clocks[0], r.Exporter.Exporter)
		}
	}
	c, last := &g.cfg, g.stats.Passed
	return cmp.Or(tooLate("fault", c.Faults, last), tooLate("templates", c.Templates, last), tooLate("records", c.Records, last))
}

// onPurpose is what goes wrong from a time on.
type onPurpose interface {
	fmt.Stringer
	from() time.Duration
}

// tooLate returns an error for the first, of a kind, that begins behind the last datagram.
func tooLate[F onPurpose](kind string, all []F, last time.Duration) error {
	for _, f := range all {
		if f.from() > last {
			return fmt.Errorf("no %s %s: the capture's last datagram leaves at %v", kind, f, last)
		}
	}
	return nil
}
