package daemon

import (
	"context"
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/control"
	"cacheflow/cmd/internal/ledger"
)

// groupPeriod is how often a group looks who is up.
const groupPeriod = 100 * time.Millisecond

// A group has each record go to one of its members. Shards read takers; all else belongs to
// the goroutine of run, which also moves what waits for a member that is down to others.
type group struct {
	configured config.Group
	members    exporterSet
	alone      []exporterSet // each member by itself
	seeds      []uint64      // of the members' names
	// takers has bit i set if member i gets records, of which config.MaxMembers allows for no more
	// than a word has. There is one at least.
	takers atomic.Uint64

	since    []time.Time // since when each member has been up; the zero Time while it is down
	known    uint64      // members that have been up
	moved    *moves
	splitter splitter
	batch    []flow.Record
	cancel   context.CancelFunc // ends run
	running  sync.WaitGroup
}

// moves counts what groups took back from members that were down, and passed to others.
type moves struct {
	mu                sync.Mutex // guards what follows
	takenBack, passed cache.Sum
}

// ledger returns the groups' part of the account, of which the shards have given and
// passed so much; nil where there have been none.
func (m *moves) ledger(given, passed cache.Sum) *ledger.Groups {
	if given == (cache.Sum{}) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	addSum(&passed, m.passed)
	return &ledger.Groups{Given: ledgerSum(given), TakenBack: ledgerSum(m.takenBack), Passed: ledgerSum(passed)}
}

// newGroup makes a group of some of these exporters.
func newGroup(c config.Group, exporters exporterSet, moved *moves) (*group, error) {
	g := &group{configured: c, moved: moved, batch: make([]flow.Record, outBatch)}
	for _, name := range c.Exporters {
		at := slices.IndexFunc(exporters, func(e *exporter) bool { return e.configured.Name == name })
		if at < 0 || len(g.members) == config.MaxMembers {
			return nil, fmt.Errorf("group %q: no exporter %q, or too many", c.Name, name)
		}
		g.members = append(g.members, exporters[at])
		g.alone = append(g.alone, exporterSet{exporters[at]})
		g.seeds = append(g.seeds, nameSeed(name))
	}
	g.since = make([]time.Time, len(g.members))
	g.takers.Store(g.choose(0, time.Time{}))
	return g, nil
}

// start has records wait for the members that are down, and moves them to others.
func (g *group) start() {
	for _, e := range g.members {
		e.Hold(true)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.running.Go(func() { g.run(ctx) })
}

func (g *group) run(ctx context.Context) {
	look := time.NewTicker(groupPeriod)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C: // the first time after exporters had the time to connect
			g.look(time.Now())
			g.move()
		}
	}
}

// stop leaves the members to others.
func (g *group) stop() {
	g.cancel()
	g.running.Wait()
}

// settle moves what waits for members that are down, after no shard delivers any more,
// as far as others take it before ctx is done.
func (g *group) settle(ctx context.Context) {
	g.stop()
	for g.look(time.Now()); g.move() && ctx.Err() == nil; g.look(time.Now()) {
		time.Sleep(groupPeriod / 10)
	}
}

// look finds out who is up, and chooses who gets records.
func (g *group) look(now time.Time) {
	var up uint64
	for i, e := range g.members {
		if e.Up() {
			up |= 1 << i
		}
	}
	g.takers.Store(g.choose(g.track(up, now), now))
}

// track notes since when each member is up, and returns who is.
func (g *group) track(up uint64, now time.Time) uint64 {
	for i := range g.members {
		switch bit := uint64(1) << i; {
		case up&bit == 0:
			g.since[i] = time.Time{}
		case g.known&bit == 0: // it has not come back, it has come
			g.known |= bit
			g.since[i] = now.Add(-g.configured.Return)
		case g.since[i].IsZero():
			g.since[i] = now
		}
	}
	return up
}

// choose returns who gets records while these are up.
func (g *group) choose(up uint64, now time.Time) uint64 {
	if g.configured.Mode == config.GroupShare {
		if up == 0 {
			return 1<<len(g.members) - 1 // each waits for its own
		}
		return up
	}
	present := g.takers.Load()
	for i := range g.members {
		bit := uint64(1) << i
		if up&bit != 0 && (up&present == 0 || bit == present || now.Sub(g.since[i]) >= g.configured.Return) {
			return bit
		}
	}
	return 1 // the first: there they wait
}

// move has what waits for members that are down go to others, and reports whether
// something is left for which they had no room.
func (g *group) move() (left bool) {
	takers := g.takers.Load()
	for i, e := range g.members {
		if !g.since[i].IsZero() || g.since[bits.TrailingZeros64(takers)].IsZero() {
			continue // it is up, or nobody is
		}
		left = g.empty(e, takers) || left
	}
	return left
}

// empty has what waits for e go to those takers that have room, and reports whether
// something is left. One that is full holds no other up: rather than wait, its part goes
// to another one too.
func (g *group) empty(e *exporter, takers uint64) (left bool) {
	for {
		roomy, size := g.withRoom(takers)
		if roomy == 0 {
			return e.Stats().Queued.Records > 0
		}
		n := e.Reclaim(g.batch[:size])
		if n == 0 {
			return false
		}
		g.pass(roomy, g.batch[:n])
	}
}

// inherit has what waits for members of groups that are gone, and leave with them, go to the
// members of their successor of the same name. It comes before start.
func (g *group) inherit(gone []*group) {
	for _, old := range gone {
		if old.configured.Name != g.configured.Name {
			continue
		}
		g.look(time.Now())
		for _, e := range old.members {
			if !slices.Contains(g.members, e) && !e.Up() {
				g.empty(e, g.takers.Load())
			}
		}
	}
}

// withRoom returns those of the takers that have room for a whole batch, and how many records
// fit into the queue of each of them.
func (g *group) withRoom(takers uint64) (roomy uint64, size int) {
	size = len(g.batch)
	for ; takers != 0; takers &= takers - 1 {
		e := g.members[bits.TrailingZeros64(takers)]
		if wanted := e.wanted(len(g.batch)); e.Room() >= wanted {
			roomy |= takers & -takers
			size = min(size, wanted)
		}
	}
	return roomy, size
}

// pass hands records on that were taken back, to some of the members.
func (g *group) pass(takers uint64, rs []flow.Record) {
	m := g.moved
	m.mu.Lock()
	defer m.mu.Unlock()
	addSum(&m.takenBack, sumOf(rs))
	g.splitter.split(g, takers, rs, func(member int, part []flow.Record, sum cache.Sum) {
		e := g.members[member]
		e.addHanded(sum)
		addSum(&m.passed, sum)
		e.Put(part)
	})
}

// isSame reports whether c with these exporters would be g.
func (g *group) isSame(c config.Group, exporters exporterSet) bool {
	return reflect.DeepEqual(g.configured, c) && len(g.members.without(exporters)) == 0
}

// state describes the group to whoever asks.
func (g *group) state() control.Group {
	out := control.Group{Name: g.configured.Name, Mode: string(g.configured.Mode)}
	takers := g.takers.Load()
	for i, e := range g.members {
		out.Members = append(out.Members, control.Member{Exporter: e.String(), Up: e.Up(), Gets: takers>>i&1 != 0})
	}
	return out
}

// outlets is where the records of a shard go: copies to some exporters, and to one of each
// group.
type outlets struct {
	copied exporterSet
	groups []*group
}

// newOutlets divides exporters into those of groups and the others.
func newOutlets(exporters exporterSet, groups []*group) outlets {
	o := outlets{exporters, groups}
	for _, g := range groups {
		o.copied = o.copied.without(g.members)
	}
	return o
}

// all returns every exporter.
func (o outlets) all() exporterSet {
	all := slices.Clone(o.copied)
	for _, g := range o.groups {
		all = append(all, g.members...)
	}
	return all
}
