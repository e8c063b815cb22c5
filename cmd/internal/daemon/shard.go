package daemon

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

const (
	readBatch   = 256  // observations per Read
	expireBatch = 1024 // flows that may end between two Reads
	outBatch    = 256  // records that are handed over at once
	// passPause is how often pass looks.
	passPause = 100 * time.Millisecond
)

// A shard is one worker: a source, the table that its observations go to, and
// where records go from there. One goroutine runs it and owns all of it; others
// reach it through ask.
type shard struct {
	source capture.Source
	table  *cache.Table
	own    *ownExports
	// put hands records over to a set; they are valid during the call only.
	put func(exporterSet, []flow.Record)
	// output takes the records too; nil is nobody.
	output  func([]flow.Record) error
	outlets outlets
	// handed counts what each exporter of the outlets has been handed.
	handed map[*exporter]*cache.Sum
	// given counts what groups have been given, once for each group, and passed what has been
	// passed to one of their members.
	given, passed cache.Sum
	splitter      splitter

	horizon flow.Time
	read    uint64 // observations that the source handed over
	// ownIgnored counts those of them that were our own export datagrams.
	ownIgnored cache.Sum
	// delivered counts the records handed over, by what they carry.
	delivered cache.Sum

	progress func() // called after each batch; may be nil

	out     []flow.Record
	failed  error // of output
	asks    chan func()
	stopped chan struct{} // closed when run has returned
	after   sync.Mutex    // then guards the shard
}

// newShard makes a shard with an empty table. Config's Alloc and Emit are the
// shard's.
func newShard(source capture.Source, c cache.Config, own *ownExports, put func(exporterSet, []flow.Record)) (*shard, error) {
	s := &shard{
		source: source, own: own, put: put, handed: map[*exporter]*cache.Sum{},
		out:  make([]flow.Record, 0, outBatch),
		asks: make(chan func()), stopped: make(chan struct{}),
	}
	c.Emit = func(r *flow.Record) {
		s.out = append(s.out, *r)
		if len(s.out) == cap(s.out) {
			s.flushOut()
		}
	}
	c.Alloc = tableMemory
	var err error
	s.table, err = cache.New(c)
	return s, err
}

// run meters until the source ends (nil), fails, or ctx is done; then it ends
// all flows that are still in the cache.
func (s *shard) run(ctx context.Context) error {
	defer close(s.stopped)
	batch := make([]flow.Packet, readBatch)
	for s.failed == nil && ctx.Err() == nil {
		n, horizon, err := s.source.Read(batch)
		s.step(batch[:n], horizon)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.clear(s.table.Stats().Active)
			return err
		}
		s.answer()
	}
	s.clear(s.table.Stats().Active)
	return s.failed
}

// step meters one batch.
func (s *shard) step(batch []flow.Packet, horizon flow.Time) {
	s.read += uint64(len(batch))
	s.table.Observe(s.own.filter(batch, &s.ownIgnored))
	s.horizon = horizon
	s.table.Expire(horizon, expireBatch)
	s.flushOut()
	if s.progress != nil {
		s.progress()
	}
}

// clear ends up to limit flows with a forced end, and returns how many there
// were.
func (s *shard) clear(limit int) int {
	n := s.table.Flush(limit)
	s.flushOut()
	return n
}

func (s *shard) flushOut() {
	if len(s.out) == 0 {
		return
	}
	sum := sumOf(s.out)
	addSum(&s.delivered, sum)
	s.hand(s.outlets.copied, s.out, sum)
	for _, g := range s.outlets.groups {
		addSum(&s.given, sum)
		s.splitter.split(g, g.takers.Load(), s.out, func(member int, part []flow.Record, sum cache.Sum) {
			addSum(&s.passed, sum)
			s.hand(g.alone[member], part, sum)
		})
	}
	if s.output != nil {
		if err := s.output(s.out); err != nil && s.failed == nil {
			s.failed = err
		}
	}
	s.out = s.out[:0]
}

// hand hands records to each exporter of a set.
func (s *shard) hand(set exporterSet, rs []flow.Record, sum cache.Sum) {
	for _, e := range set {
		addSum(s.handed[e], sum)
	}
	s.put(set, rs)
}

// swap has what is delivered from now on go to o. Who is not in it is told what this shard
// had handed to him.
func (s *shard) swap(o outlets) {
	all := o.all()
	for e, sum := range s.handed {
		if !slices.Contains(all, e) {
			e.addHanded(*sum)
			delete(s.handed, e)
		}
	}
	for _, e := range all {
		if s.handed[e] == nil {
			s.handed[e] = new(cache.Sum)
		}
	}
	s.outlets = o
}

// addHanded adds what each exporter of the outlets has been handed.
func (s *shard) addHanded(handed map[*exporter]cache.Sum) {
	for e, part := range s.handed {
		sum := handed[e]
		addSum(&sum, *part)
		handed[e] = sum
	}
}

// pass returns once the shard has metered everything up to a time, or has stopped.
func (s *shard) pass(t flow.Time) {
	for passed := false; ; time.Sleep(passPause) {
		_ = s.ask(context.Background(), func() { // such an ask is always answered
			select {
			case <-s.stopped:
				passed = true
			default:
				passed = s.horizon >= t
			}
		})
		if passed {
			return
		}
	}
}

// close closes the source. The shard does not run, or has stopped.
func (s *shard) close() {
	s.after.Lock()
	defer s.after.Unlock()
	if s.source != nil {
		s.source.Close()
	}
}

// answer runs what others have asked for, without waiting.
func (s *shard) answer() {
	for {
		select {
		case f := <-s.asks:
			f()
		default:
			return
		}
	}
}

// ask runs f in the shard's goroutine, between two batches, or in the caller's
// once the shard has stopped.
func (s *shard) ask(ctx context.Context, f func()) error {
	done := make(chan struct{})
	g := func() { f(); close(done) }
	if w, ok := s.source.(interface{ Wake() }); ok {
		w.Wake()
	}
	select {
	case s.asks <- g:
		<-done
		return nil
	case <-s.stopped:
		s.after.Lock()
		defer s.after.Unlock()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
