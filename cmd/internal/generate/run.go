package generate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// roundLength is how much of the traffic's time is one round.
const roundLength = 250 * time.Millisecond

// round is what all routers send in one of them.
type round struct {
	until   time.Time
	outputs []output
	order   []place // of the datagrams
	sent    int     // of them
	read    int64   // octets of capture files
	err     error
}

// place is where a datagram stands.
type place struct {
	due          time.Time
	router, i    int
	data, record int // where it begins
}

// generator is a run.
type generator struct {
	cfg       Config
	feed      *feed // nil with a profile
	routers   []*router
	rounds    []*round
	pacer     *pacer
	faults    *faults
	templates *templates
	truth     *manifest.Writer
	stats     Stats
	// sent and dropped, on purpose, are what datagrams carried.
	sent, dropped ledger.Sum
}

// Run sends the traffic of all routers, until its end or that of ctx, which is no error: then
// what was sent is in the manifest, and no more.
func Run(ctx context.Context, c Config) (Stats, error) {
	if err := c.Check(); err != nil {
		return Stats{}, err
	}
	g := &generator{cfg: c, pacer: newPacer(c.Pace, c.Start), templates: newTemplates(&c)}
	g.faults = newFaults(c.Faults, c.Seed, g.leave)
	exporters, err := g.open()
	if g.feed != nil {
		defer g.feed.close()
	}
	if err != nil {
		return Stats{}, unlessDone(ctx, err)
	}
	if c.Manifest != nil {
		g.truth = manifest.NewWriter(c.Manifest, c.PlainManifest, g.header(), exporters)
	}
	err = g.run(ctx)
	if err == nil && g.feed != nil {
		err = g.feed.failed
	}
	end := manifest.Complete
	if err != nil {
		end = manifest.Interrupted
	} else {
		err = g.waiting()
	}
	err = unlessDone(ctx, err)
	if ferr := g.faults.finish(c.Routers); err == nil {
		err = ferr
	}
	if g.truth != nil {
		err = errors.Join(err, g.truth.Close(end))
	}
	g.stats.Ledger = g.ledger()
	return g.stats, err
}

// unlessDone returns an error unless it is that of ctx, which somebody ended.
func unlessDone(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// open opens the capture, if there is one, and makes the routers.
func (g *generator) open() (exporters []manifest.Exporter, err error) {
	if g.cfg.Capture != nil {
		if g.feed, err = newFeed(&g.cfg); err != nil {
			return nil, err
		}
		_, g.stats.Size = g.feed.progress()
	}
	for n := range g.cfg.Routers {
		r, err := newRouter(&g.cfg, uint32(n+1), g.feed)
		if err != nil {
			return nil, err
		}
		g.routers = append(g.routers, r)
		exporters = append(exporters, r.Exporter)
	}
	return exporters, nil
}

// header returns how the manifest begins.
func (g *generator) header() manifest.Header {
	c := &g.cfg
	h := manifest.Header{
		Profile: c.Name, Seed: c.Seed, Protocol: c.Export.Protocol.String(), Start: c.Start.UTC(),
		Lacks:  lacks(g.routers[0].session),
		Faults: texts(c.Faults), Templates: texts(c.Templates), Records: texts(c.Records), Clocks: texts(c.Clocks),
	}
	if c.Duration > 0 {
		h.Duration = c.Duration.String()
	}
	if f := c.Capture; f != nil {
		h.Capture, h.Repeat, h.Mirror = f.Paths, f.times(), f.Mirror
	}
	return h
}

// texts are faults of the configuration, for the manifest.
func texts[F fmt.Stringer](all []F) (texts []string) {
	for _, f := range all {
		texts = append(texts, f.String())
	}
	return texts
}

// run sends one round while the next one is made.
func (g *generator) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var making sync.WaitGroup
	defer making.Wait()
	defer cancel()
	free, made := make(chan *round, 2), make(chan *round, 1)
	for range cap(free) {
		r := &round{outputs: make([]output, len(g.routers))}
		g.rounds = append(g.rounds, r)
		free <- r
	}
	making.Go(func() { g.make(ctx, free, made) })
	for r := range made {
		if err := g.send(ctx, r); err != nil {
			return err
		}
		free <- r
	}
	return ctx.Err()
}

// make makes rounds until there is nothing more to send.
func (g *generator) make(ctx context.Context, free <-chan *round, made chan<- *round) {
	defer close(made)
	for until := g.cfg.Start; ; {
		until = until.Add(roundLength)
		select {
		case r := <-free:
			r.until = until
			done := g.advance(r)
			select {
			case made <- r:
			case <-ctx.Done():
				return
			}
			if done || r.err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// advance has all routers go through a round, and reports whether they are done.
func (g *generator) advance(r *round) (done bool) {
	for i := range r.outputs {
		r.outputs[i].reset()
	}
	for more := true; more; {
		more = g.feed != nil && g.feed.release(since(g.cfg.Start, r.until))
		g.each(func(i int) {
			if !g.routers[i].done {
				g.routers[i].advance(r.until, more, &r.outputs[i])
			}
		})
	}
	done = true
	for _, router := range g.routers {
		done = done && router.done
		r.err = cmp.Or(r.err, router.failed)
	}
	if g.feed != nil {
		r.read, _ = g.feed.progress()
	}
	r.sort()
	return done
}

// each calls do for each router, on all CPUs.
func (g *generator) each(do func(i int)) {
	var next atomic.Int64
	var working sync.WaitGroup
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(g.routers); i = int(next.Add(1)) - 1 {
			do(i)
		}
	}
	for range min(runtime.GOMAXPROCS(0), len(g.routers)) - 1 {
		working.Go(work)
	}
	work()
	working.Wait()
}

// sort brings the datagrams of all routers into the order of time.
func (r *round) sort() {
	r.order, r.sent = r.order[:0], 0
	for router := range r.outputs {
		p := place{router: router}
		for i := range r.outputs[router].datagrams {
			d := &r.outputs[router].datagrams[i]
			p.i, p.due = i, d.due
			r.order = append(r.order, p)
			p.data, p.record = d.data, d.records
		}
	}
	slices.SortStableFunc(r.order, func(a, b place) int { return a.due.Compare(b.due) })
}

// send sends the datagrams of a round, as fast as they may leave, and writes them down.
func (g *generator) send(ctx context.Context, r *round) error {
	for i := range r.outputs {
		if restart := r.outputs[i].restart; restart != nil {
			g.restarted(i, restart)
		}
	}
	for _, p := range r.order {
		out := &r.outputs[p.router]
		d := &out.datagrams[p.i]
		if err := g.pacer.wait(ctx, d); err != nil {
			return err
		}
		at := d.due.Sub(g.cfg.Start)
		if g.truth != nil {
			for i := range d.clocks {
				g.truth.Clock(&d.clocks[i])
			}
		}
		m := message{router: p.router, of: d, octets: out.data[p.data:d.data], records: out.records[p.record:d.records]}
		g.templates.apply(&m, at)
		if err := g.faults.send(m, g.faults.of(d, at)); err != nil {
			return err
		}
		r.sent++
		g.pass(at)
		g.stats.Read = r.read
		if g.cfg.Progress != nil {
			g.cfg.Progress(&g.stats)
		}
	}
	for i := range r.outputs {
		g.notCarried(i, &r.outputs[i].notCarried)
	}
	return r.err
}

// pass notes how much of the traffic's time has passed.
func (g *generator) pass(at time.Duration) {
	g.stats.Passed = at
	if g.cfg.Duration > 0 {
		g.stats.Passed = min(at, g.cfg.Duration)
	}
}

func (g *generator) restarted(router int, r *manifest.Restart) {
	delete(g.faults.jumps, router)
	if g.truth != nil {
		g.truth.Restart(r)
	}
}

func (g *generator) notCarried(router int, by *[export.Reasons]uint64) {
	all := uint64(0)
	for why, n := range by {
		g.stats.NotCarried[why] += n
		all += n
	}
	if g.truth != nil && all > 0 {
		g.truth.NotCarried(uint32(router+1), all)
	}
}
