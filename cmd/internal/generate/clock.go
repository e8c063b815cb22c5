package generate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"cacheflow/cmd/internal/manifest"
)

// Clock is what happens to the clocks of routers at a time. One that steps moves the wall time of
// headers and of absolute timestamps, and leaves sysUpTime alone; what is in the open message goes
// out before, by the old clock, and templates go out behind (RFC 3954 §7).
type Clock struct {
	Kind     manifest.ClockFault
	At       time.Duration // of the traffic's time since its start, whole seconds
	By       time.Duration // how far a step goes; 0 of a wrap
	Exporter uint32        // 0 is all
}

// uptimeWrap is when sysUpTime begins anew: after 2^32 ms, 49.7 days.
const uptimeWrap = (1 << 32) * time.Millisecond

var clockKinds = []manifest.ClockFault{manifest.Wrap, manifest.Step}

// ParseClock reads wrap,at=10m or step=-30s,at=10m, with exporter= behind it.
func ParseClock(text string) (c Clock, err error) {
	for i, item := range strings.Split(text, ",") {
		key, value, hasValue := strings.Cut(item, "=")
		switch {
		case i == 0:
			c.Kind = manifest.ClockFault(key)
			if hasValue {
				c.By, err = time.ParseDuration(value)
			}
		case key == "at":
			c.At, err = time.ParseDuration(value)
		case key == "exporter":
			c.Exporter, err = parseExporter(value)
		default:
			err = fmt.Errorf("unknown %q", key)
		}
		if err != nil {
			return c, fmt.Errorf("clock %q: %w", text, err)
		}
	}
	return c, c.check()
}

func (c *Clock) check() error {
	switch {
	case !slices.Contains(clockKinds, c.Kind):
		return fmt.Errorf("clock %q: want one of %q", c.Kind, clockKinds)
	case (c.Kind == manifest.Step) != (c.By != 0):
		return fmt.Errorf("clock %s by %v: want how far of a step only, as in step=-30s", c.Kind, c.By)
	case c.By%time.Millisecond != 0:
		return fmt.Errorf("clock step by %v: want whole milliseconds", c.By)
	case c.At <= 0 || c.At%time.Second != 0:
		return fmt.Errorf("clock %s at %v: want at= in whole seconds, more than 0", c.Kind, c.At)
	}
	return nil
}

// String returns what ParseClock reads.
func (c Clock) String() string {
	text := string(c.Kind)
	if c.By != 0 {
		text += "=" + c.By.String()
	}
	text += ",at=" + c.At.String()
	if c.Exporter != 0 {
		text += fmt.Sprintf(",exporter=%d", c.Exporter)
	}
	return text
}

// clocks returns what happens to the clocks of a router, in the order of time.
func (c *Config) clocks(number uint32) (all []Clock) {
	for _, k := range c.Clocks {
		if k.Exporter == 0 || k.Exporter == number {
			all = append(all, k)
		}
	}
	slices.SortStableFunc(all, func(a, b Clock) int { return cmp.Compare(a.At, b.At) })
	return all
}

// checkClocks finds what no router can do.
func (c *Config) checkClocks() error {
	numbers := []uint32{0} // all that have nothing of their own
	for _, k := range c.Clocks {
		numbers = append(numbers, k.Exporter)
	}
	for _, r := range c.Restarts {
		numbers = append(numbers, r.Exporter)
	}
	for _, number := range numbers {
		if err := c.checkRouterClocks(number); err != nil {
			return err
		}
	}
	return nil
}

// checkRouterClocks holds the clocks of one router against each other, its restarts and what 32
// bits of seconds can tell.
func (c *Config) checkRouterClocks(number uint32) error {
	wrapped, off := false, time.Duration(0)
	for _, k := range c.clocks(number) {
		off += k.By
		first, last := c.Start.Add(off-uptimeWrap), c.Start.Add(off+c.end()+maxFlush)
		switch {
		case k.Kind == manifest.Wrap && wrapped:
			return fmt.Errorf("clock %s: sysUpTime wraps once in 49.7 days, and has done so", k)
		case k.Kind == manifest.Wrap && slices.ContainsFunc(c.restarts(number), func(at time.Time) bool { return !at.After(c.Start.Add(k.At)) }):
			return fmt.Errorf("clock %s: the router restarts before it", k)
		case first.Unix() < 0 || last.Unix() > math.MaxUint32:
			return fmt.Errorf("clock %s: leaves the years 1970 to 2106, which are all that headers can tell", k)
		}
		wrapped = wrapped || k.Kind == manifest.Wrap
	}
	return nil
}

// maxFlush is more than the last flows take to leave behind the end of the traffic.
const maxFlush = time.Hour

// wrapAt returns when the sysUpTime of a router wraps.
func (c *Config) wrapAt(number uint32) (at time.Duration, wraps bool) {
	for _, k := range c.clocks(number) {
		if k.Kind == manifest.Wrap {
			return k.At, true
		}
	}
	return 0, false
}

// turn lets happen to the router's clocks what is due at a time.
func (r *router) turn(start, now time.Time) {
	for len(r.clocks) > 0 && !start.Add(r.clocks[0].At).After(now) {
		k := r.clocks[0]
		r.clocks = r.clocks[1:]
		at := start.Add(k.At)
		if k.Kind == manifest.Wrap {
			r.told = r.told.Add(uptimeWrap)
		} else {
			r.tick(since(r.Boot, at))
			r.session.Flush(r.now)
			r.off, r.told = r.off+k.By, r.told.Add(k.By)
		}
		line := manifest.Clock{Clock: k.Kind, Exporter: r.Exporter.Exporter, At: at.UTC(), Boot: r.told}
		if k.By != 0 {
			line.By = k.By.String()
		}
		r.turned = append(r.turned, line)
		if k.Kind == manifest.Step {
			r.session.SendTemplates(r.now)
		}
	}
}
