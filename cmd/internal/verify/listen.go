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

// Listen receives datagrams on conn until ctx ends, or none with records has come for a time since
// the last one.
func Listen(ctx context.Context, conn *net.UDPConn, quiet time.Duration) (*Received, error) {
	// Many routers may send from one address.
	c := collector.New(collector.Config{
		MaxExporters: 1 << 16, MaxTemplates: 1 << 20, MaxFields: 1 << 24, MaxTotalFields: 1 << 24, MaxSessions: 1 << 16,
	})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &Received{}
	var idle *time.Timer
	err := c.Serve(ctx, conn, func(d *collector.Record) {
		if d.Options {
			return
		}
		r.heard = append(r.heard, heard{record(d), origin{d.From.Addr().Unmap(), d.Domain, true}})
		switch {
		case idle == nil:
			idle = time.AfterFunc(quiet, cancel)
		case len(r.heard)%16 == 0: // it need not be exact
			idle.Reset(quiet)
		}
	})
	if idle != nil {
		idle.Stop()
	}
	r.Collector = c.Stats()
	return r, err
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
