package generate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// Restart is a router that loses its power: what is in its cache and in its open message is lost,
// and it comes back at once with a new boot time, sequence numbers from the start, and templates
// first. The address and port that it sends from stay the same, and so does its traffic.
type Restart struct {
	At       time.Duration // of the traffic's time since its start, whole seconds
	Exporter uint32        // 0 is all
}

// ParseRestart reads 30s, or 30s,exporter=2.
func ParseRestart(text string) (r Restart, err error) {
	at, of, _ := strings.Cut(text, ",")
	if r.At, err = time.ParseDuration(at); err == nil && of != "" {
		if key, number, _ := strings.Cut(of, "="); key == "exporter" {
			r.Exporter, err = parseExporter(number)
		} else {
			err = fmt.Errorf("unknown %q", of)
		}
	}
	if err != nil {
		return r, fmt.Errorf("restart %q: %w", text, err)
	}
	return r, r.check()
}

func (r *Restart) check() error {
	if r.At <= 0 || r.At%time.Second != 0 {
		return fmt.Errorf("restart at %v: want whole seconds, more than 0", r.At)
	}
	return nil
}

// String returns what ParseRestart reads.
func (r Restart) String() string {
	if r.Exporter == 0 {
		return r.At.String()
	}
	return fmt.Sprintf("%v,exporter=%d", r.At, r.Exporter)
}

// restarts returns when a router restarts, in the order of time: once at a time, so that a round
// has no more than one.
func (c *Config) restarts(number uint32) (at []time.Time) {
	for _, r := range c.Restarts {
		if r.Exporter == 0 || r.Exporter == number {
			at = append(at, c.Start.Add(r.At))
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return slices.Compact(at)
}

// restart loses what the router has, and begins anew.
func (r *router) restart(at time.Time) (err error) {
	r.out.restart = &manifest.Restart{Restart: at.UTC(), Exporter: r.Exporter.Exporter}
	lost := &r.out.restart.Count
	lose := func(s ledger.Sum) {
		lost.Add(s.Packets, s.Octets)
		r.account.lost.Add(s)
	}
	for i := range r.open {
		lose(r.open[i].sum)
	}
	r.open = r.open[:0]
	r.emit = func(f *flow.Record) {
		s := sumOf(f)
		r.account.ended.Add(s)
		r.account.handed.Add(s)
		r.account.made.Add(s)
		lose(s)
	}
	for r.table.Flush(flushed) > 0 {
	}
	r.emit = r.export
	r.Boot, r.now, r.told = at.UTC(), 0, at.UTC().Add(r.off)
	r.session, err = export.NewSession(r.messages, r.send)
	return err
}
