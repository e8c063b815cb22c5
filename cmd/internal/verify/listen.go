package verify

import (
	"context"
	"net"
	"time"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/manifest"
)

// Received is what was received, before anybody looks into the manifest.
type Received struct {
	Collector collector.Stats
	heard     []heard
}

type heard struct {
	manifest.Record
	origin
}

// Listen receives datagrams on conn until ctx ends, or for a time since the first one none has come.
func Listen(ctx context.Context, conn *net.UDPConn, quiet time.Duration) (*Received, error) {
	// Many routers may send from one address.
	c := collector.New(collector.Config{
		MaxExporters: 1 << 16, MaxTemplates: 1 << 20, MaxFields: 1 << 24, MaxTotalFields: 1 << 24, MaxSessions: 1 << 16,
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go untilQuiet(ctx, c, quiet, cancel)
	r := &Received{}
	err := c.Serve(ctx, conn, func(d *collector.Record) {
		if d.Options {
			return
		}
		r.heard = append(r.heard, heard{record(d), origin{d.From.Addr().Unmap(), d.Domain, true}})
	})
	r.Collector = c.Stats()
	return r, err
}

// untilQuiet calls stop once no datagram, of whatever kind, has come for a time since the first one.
func untilQuiet(ctx context.Context, c *collector.Collector, quiet time.Duration, stop func()) {
	tick := time.NewTicker(max(quiet/16, time.Millisecond)) // it need not be exact
	defer tick.Stop()
	seen, last := uint64(0), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if n := c.Stats().Datagrams; n != seen {
				seen, last = n, now
			} else if seen > 0 && now.Sub(last) >= quiet {
				stop()
				return
			}
		}
	}
}

// Stored returns it as the exporters of a manifest sent it.
func (r *Received) Stored(all []manifest.Exporter) *Stored {
	s := &Stored{Format: "received", Shows: shown}
	who := newExporters(all)
	for i := range r.heard {
		s.add(r.heard[i].Record, who, r.heard[i].origin)
	}
	return s
}
