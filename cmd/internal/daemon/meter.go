package daemon

import (
	"context"
	"sync"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/cmd/internal/control"
	"cacheflow/cmd/internal/ledger"
)

// A Meter is a running set of shards with the exporters that they feed: what
// the control socket and the ledger ask. Its fields are set before it runs; those
// that a reload changes are guarded by changing.
type Meter struct {
	shards []*shard

	changing  sync.RWMutex
	exporters exporterSet
	groups    []*group
	leaving   exporterSet      // that shards deliver to no more, and that send what is queued
	removed   *ledger.Exporter // the sum of those that have ended; nil where there are none
	cache     cache.Config     // of one shard

	moved   moves
	running sync.WaitGroup // the exporters

	// now is the timeline, and epoch the wall time of its zero.
	now   func() flow.Time
	epoch func() time.Time
	// name returns an interface's name, "" where it is not known.
	name func(index uint32) string
}

// Ledger takes every owner's part of the account. Quiet is for the caller to
// set.
func (m *Meter) Ledger(ctx context.Context) (*ledger.Ledger, error) {
	m.changing.RLock()
	defer m.changing.RUnlock()
	l := &ledger.Ledger{Time: time.Now()}
	var counters []capture.Counters
	var stats cache.Stats
	var content, ignored, delivered, given, passed cache.Sum
	handed := map[*exporter]cache.Sum{}
	for _, s := range m.shards {
		err := s.ask(ctx, func() {
			counters = s.source.AppendCounters(counters)
			if f, ok := s.source.(interface {
				FirstLevel() capture.FirstLevelState
			}); ok {
				state := f.FirstLevel()
				l.FirstLevel = &state
			}
			table := s.table.Stats()
			stats.Add(&table)
			addSum(&content, s.table.Content())
			addSum(&ignored, s.ownIgnored)
			addSum(&delivered, s.delivered)
			addSum(&given, s.given)
			addSum(&passed, s.passed)
			s.addHanded(handed)
		})
		if err != nil {
			return nil, err
		}
	}
	l.Interfaces = ledger.Interfaces(counters)
	l.Ignored = []ledger.Term{{Reason: "own export", Sum: ledgerSum(ignored)}}
	l.Cache = ledger.NewCache(&stats, content)
	l.Records = ledgerSum(delivered)
	l.Groups = m.moved.ledger(given, passed)
	l.Exporters = m.exporterLedgers(handed)
	return l, nil
}

// drain ends the exporters, to which no shard delivers any more, once they have sent what is
// queued or ctx is done. It returns the ledger of the quiet end.
func (m *Meter) drain(ctx context.Context) (*ledger.Ledger, error) {
	m.exporters.shutdown(ctx)
	m.running.Wait()
	l, err := m.Ledger(context.Background())
	if err != nil {
		return nil, err
	}
	l.Quiet = true
	return l, nil
}

// exporterLedgers returns the exporters' part of the account. changing is held.
func (m *Meter) exporterLedgers(handed map[*exporter]cache.Sum) (all []ledger.Exporter) {
	for _, e := range m.exporters {
		all = append(all, e.ledger(handed[e]))
	}
	for _, e := range m.leaving {
		l := e.ledger(cache.Sum{})
		l.Name += " (removed)"
		all = append(all, l)
	}
	if m.removed != nil {
		all = append(all, *m.removed)
	}
	return all
}

// Cache implements control.Daemon.
func (m *Meter) Cache(ctx context.Context, q control.CacheQuery) (*control.Cache, error) {
	var stats cache.Stats
	selection := control.NewSelection(q)
	for _, s := range m.shards {
		err := s.ask(ctx, func() {
			table := s.table.Stats()
			stats.Add(&table)
			s.table.Each(selection.Add)
		})
		if err != nil {
			return nil, err
		}
	}
	c := &control.Cache{}
	c.SetTable(&stats, time.Duration(m.now()))
	m.changing.RLock()
	c.MemoryOctets = m.cache.Memory() * int64(len(m.shards))
	c.ActiveTimeoutMilliseconds = m.cache.Active.Milliseconds()
	c.InactiveTimeoutMilliseconds = m.cache.Inactive.Milliseconds()
	m.changing.RUnlock()
	c.Matched = selection.Matched
	view := control.Context{Boot: m.epoch(), Name: m.name}
	records := selection.Records()
	c.Flows = func(yield func(*control.Flow, error) bool) {
		for i := range records {
			f := view.Flow(&records[i])
			if !yield(&f, nil) {
				return
			}
		}
	}
	return c, nil
}

// ClearCache implements control.Daemon: as many flows as are in the cache now
// leave with a forced end, the oldest first, no faster than the exporters take
// them.
func (m *Meter) ClearCache(ctx context.Context) (*control.Cleared, error) {
	var cleared control.Cleared
	for _, s := range m.shards {
		var left int
		if err := s.ask(ctx, func() { left = s.table.Stats().Active }); err != nil {
			return nil, err
		}
		for left > 0 {
			m.waitForRoom(ctx)
			var n int
			if err := s.ask(ctx, func() { n = s.clear(min(left, clearBatch)) }); err != nil {
				return nil, err
			}
			if n == 0 {
				break
			}
			left -= n
			cleared.Flows += uint64(n)
			time.Sleep(clearPause)
		}
	}
	return &cleared, nil
}

// clearBatch is how many flows are ended between two batches of packets, and
// clearPause how long until the next: some export.GentleRate datagrams a second.
const (
	clearBatch = 1024
	clearPause = 20 * time.Millisecond
)

// waitForRoom waits until every exporter whose collector is up has room for a
// batch, for a second at most: an exporter that is stuck counts what it drops.
func (m *Meter) waitForRoom(ctx context.Context) {
	for range 100 {
		m.changing.RLock()
		exporters := m.exporters
		m.changing.RUnlock()
		if exporters.hasRoom(clearBatch) || ctx.Err() != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ClearStats implements control.Daemon.
func (m *Meter) ClearStats(ctx context.Context) (*control.Cleared, error) {
	now := m.now()
	for _, s := range m.shards {
		if err := s.ask(ctx, func() { s.table.ClearStats(now) }); err != nil {
			return nil, err
		}
	}
	return &control.Cleared{}, nil
}

// Interfaces implements control.Daemon.
func (m *Meter) Interfaces(ctx context.Context) (*control.Interfaces, error) {
	l, err := m.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	out := &control.Interfaces{}
	for _, i := range l.Interfaces {
		if i.Index != 0 {
			out.Interfaces = append(out.Interfaces, control.Interface{Index: i.Index, Name: i.Name, Mode: i.Mode})
		}
	}
	return out, nil
}

// InterfaceName returns the name of an interface, "" where it is not known. Any
// goroutine may call it.
func (m *Meter) InterfaceName(index uint32) string { return m.name(index) }

func addSum(s *cache.Sum, o cache.Sum) {
	s.Flows += o.Flows
	s.Packets += o.Packets
	s.Octets += o.Octets
}

func ledgerSum(s cache.Sum) ledger.Sum {
	return ledger.Sum{Count: s.Flows, Packets: s.Packets, Octets: s.Octets}
}
