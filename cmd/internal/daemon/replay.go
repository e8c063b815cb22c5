package daemon

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/render"
	"cacheflow/export"
)

// Replay meters a source that ends, on the source's own time, and waits for
// whoever takes the records: nothing is dropped for want of room.
type Replay struct {
	Source capture.Source
	// Boot is the wall time of the source's flow.Time 0.
	Boot time.Time
	// Cache describes the table; its Router should be nil or the source: the routes of
	// this host say nothing about a file.
	Cache     cache.Config
	Exporters []export.Config // Now and Epoch are set by Run
	// Groups share records out. A replay waits for whoever takes them, so one that fails
	// over is its first exporter, and the others are left out.
	Groups []config.Group
	// Output takes the records, in the order in which they left; nil takes none.
	Output func([]flow.Record) error
	// Progress is called now and then with the number of packets so far; nil is
	// never called.
	Progress func(packets uint64)
	// Drain is how long the exporters may take at the start, to reach their
	// collectors, and at the end, to send what is queued.
	Drain time.Duration
}

// Run replays until the source ends or ctx does. The ledger is that of the
// quiet end, also where it returns an error beside it.
func (r *Replay) Run(ctx context.Context) (*ledger.Ledger, error) {
	m := &Meter{cache: r.Cache, epoch: func() time.Time { return r.Boot }}
	var reached sync.WaitGroup
	var err error
	if m.exporters, err = r.newExporters(m, &reached); err != nil {
		return nil, err
	}
	s, err := r.newShard(ctx, m)
	if err != nil {
		return nil, err
	}
	m.shards = []*shard{s}
	m.now = func() flow.Time { return s.horizon }

	m.exporters.start(&m.running)
	if err = r.wait(ctx, &reached); err == nil {
		err = s.run(ctx)
	} else {
		close(s.stopped) // it will not run, and is asked for its part of the ledger
	}
	drain, cancel := context.WithTimeout(ctx, r.Drain)
	defer cancel()
	l, lerr := m.drain(drain)
	if lerr != nil {
		return nil, lerr
	}
	return l, cmp.Or(err, ctx.Err(), m.exporters.written())
}

// newExporters makes those that are run. Each is done with reached once it has reached its collector.
func (r *Replay) newExporters(m *Meter, reached *sync.WaitGroup) (exporters exporterSet, err error) {
	losses := losses{meter: m}
	for _, c := range r.Exporters {
		if r.isSpare(c.Name) {
			continue
		}
		c.Now, c.Epoch = nil, m.epoch
		c.Connected = sync.OnceFunc(reached.Done) // it may connect again
		c.Line = render.AppendJSON
		c.Unmetered = losses.unmetered // at the end only: until then it depends on who is faster
		reached.Add(1)
		e, err := export.New(c)
		if err != nil {
			return nil, err
		}
		exporters = append(exporters, &exporter{Exporter: e, configured: c})
	}
	return exporters, nil
}

// newShard makes the one shard, which waits for the exporters until ctx is done.
func (r *Replay) newShard(ctx context.Context, m *Meter) (*shard, error) {
	groups, err := r.groups(m.exporters, &m.moved)
	if err != nil {
		return nil, err
	}
	s, err := newShard(r.Source, r.Cache, &ownExports{}, func(exporters exporterSet, rs []flow.Record) {
		for _, e := range exporters {
			_ = e.PutWait(ctx, rs) // what is refused is counted by the exporter
		}
	})
	if err != nil {
		return nil, err
	}
	s.output = r.Output
	if r.Progress != nil {
		s.progress = func() { r.Progress(s.read) }
	}
	s.swap(newOutlets(m.exporters, groups))
	return s, nil
}

// wait returns once every exporter has reached its collector.
func (r *Replay) wait(ctx context.Context, reached *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { reached.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(r.Drain):
		return fmt.Errorf("no collector reached within %v: nothing was replayed", r.Drain)
	}
}

// isSpare reports whether an exporter is for the time when another one is down.
func (r *Replay) isSpare(name string) bool {
	return slices.ContainsFunc(r.Groups, func(c config.Group) bool {
		return c.Mode == config.GroupFailover && slices.Contains(c.Exporters[1:], name)
	})
}

// groups returns those that share, which are not run: all of their members get records.
func (r *Replay) groups(exporters exporterSet, moved *moves) (groups []*group, err error) {
	for _, c := range r.Groups {
		if c.Mode == config.GroupFailover {
			continue
		}
		g, err := newGroup(c, exporters, moved)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}
