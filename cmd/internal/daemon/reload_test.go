//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
)

// endless is a source of ever new flows, until its context ends.
type endless struct {
	ctx      context.Context
	now      flow.Time
	pause    time.Duration // between two batches
	counters capture.Counters
}

func (e *endless) Read(batch []flow.Packet) (int, flow.Time, error) {
	e.now += flow.Time(10 * time.Millisecond)
	time.Sleep(e.pause)
	if e.ctx.Err() != nil {
		return 0, e.now, io.EOF
	}
	n := copy(batch, newFlows(20, e.now))
	c := &e.counters
	for _, p := range batch[:n] {
		c.Observed, c.Metered, c.Observations = c.Observed+1, c.Metered+1, c.Observations+1
		c.Packets, c.Octets = c.Packets+p.Packets, c.Octets+p.Octets
	}
	return n, e.now, nil
}

func (e *endless) AppendCounters(c []capture.Counters) []capture.Counters {
	return append(c, e.counters)
}
func (e *endless) Close() error { return nil }

// reloadable is a session whose shards have endless sources.
func reloadable(t *testing.T, ctx context.Context, shards int, exporters ...export.Config) *session {
	t.Helper()
	s := &session{
		Live: &Live{Cache: testCache(), Exporters: exporters, Drain: 10 * time.Second, Log: slog.New(slog.DiscardHandler)},
		own:  &ownExports{}, clock: NewClock(), reselect: func(*Live) error { return nil },
	}
	s.now, s.epoch = s.clock.Now, (&epoch{clock: s.clock}).time
	var err error
	if s.exporters, err = s.nextExporters(exporters); err != nil {
		t.Fatal(err)
	}
	for range shards {
		c := testCache()
		c.Inactive = time.Millisecond
		sh, err := newShard(&endless{ctx: ctx, pause: 100 * time.Microsecond}, c, s.own, s.deliver)
		if err != nil {
			t.Fatal(err)
		}
		sh.swap(newOutlets(s.exporters, s.groups))
		s.shards = append(s.shards, sh)
	}
	return s
}

// v5 is an exporter whose queue takes whatever a test puts.
func v5(name, address string, dscp uint8) export.Config {
	return export.Config{Name: name, Protocol: export.NetFlow5, Address: address, DSCP: dscp, Rate: -1, QueueRecords: 1 << 16}
}

// Exporters come, change and go while two shards deliver: those that stay are the
// same, and get every record; what one leaves its successor gets; the account closes
// in the end, and nothing is left of those that went.
func TestReloadsLoseNoRecord(t *testing.T) {
	const reloads = 300
	address := sink(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	before := runtime.NumGoroutine()
	s := reloadable(t, ctx, 2, v5("stays", address, 0), v5("changes", address, 0))
	s.exporters.start(&s.running)
	var shards sync.WaitGroup
	for _, sh := range s.shards {
		shards.Go(func() { _ = sh.run(context.Background()) })
	}
	stays := s.exporters[0]
	for i := range reloads {
		next := &Live{Cache: testCache(), Exporters: []export.Config{v5("changes", address, uint8(i%60)), v5("stays", address, 0)}}
		next.Cache.Inactive = time.Millisecond * time.Duration(1+i%3)
		if i%3 == 0 {
			next.Exporters = append(next.Exporters, v5("sometimes", address, 0))
		}
		if err := s.apply(next); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	shards.Wait()
	drain, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	l, err := s.drain(drain)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]ledger.Exporter{}
	for _, e := range l.Exporters {
		parts[e.Name] = e
	}
	if !slices.Contains(s.exporters, stays) || parts["stays"].Sent != l.Records || l.Records.Count < 1000 {
		t.Errorf("%d records, of which the exporter that stays sent %+v", l.Records.Count, parts["stays"])
	}
	if !l.Closes() || len(s.leaving) != 0 || len(l.Exporters) != 3 {
		t.Errorf("the ledger does not close, or not all are gone: %+v", l.Balance())
	}
	sometimes := parts[ledger.Removed].Made.Count + parts["changes"].Made.Count - l.Records.Count
	if sometimes == 0 || sometimes >= l.Records.Count {
		t.Errorf("of %d records %d in all to the exporter that changes and the one that comes and goes", l.Records.Count, l.Records.Count+sometimes)
	}
	if len(*s.own.pairs.Load()) != 2 {
		t.Errorf("%d sockets are known as our own, want 2", len(*s.own.pairs.Load()))
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// What is refused changes nothing: no exporter, no timeout.
func TestReloadRefused(t *testing.T) {
	address := sink(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := reloadable(t, ctx, 1, v5("a", address, 0))
	var shards sync.WaitGroup
	shards.Go(func() { _ = s.shards[0].run(context.Background()) })
	set, timeouts := s.exporters, s.cache
	bad := v5("b", "192.0.2.1:0", 0)
	for name, next := range map[string]*Live{
		"an exporter without a port": {Cache: testCache(), Exporters: []export.Config{v5("a", address, 1), bad}},
		"no active timeout":          {Exporters: []export.Config{v5("c", address, 1)}},
	} {
		if err := s.apply(next); err == nil {
			t.Errorf("%s: taken", name)
		}
		_ = s.shards[0].ask(ctx, func() { set = s.shards[0].outlets.copied })
		if !slices.Equal(s.exporters, set) || len(set) != 1 || set[0].Config().DSCP != 0 || s.cache.Active != timeouts.Active {
			t.Errorf("%s: something has changed: %v", name, set)
		}
	}
	cancel()
	shards.Wait()
}

// Without a file there is nothing to reload, and none comes after the end began.
func TestReloadNotNow(t *testing.T) {
	s := &session{Live: &Live{Log: slog.New(slog.DiscardHandler)}}
	if _, err := s.reload(); err == nil {
		t.Error("reloaded without a file")
	}
	s.Live.Reload = func(func(*Live) error) ([]string, error) { return []string{"a", "b"}, nil }
	if r, err := s.reload(); err != nil || len(r.Changes) != 2 {
		t.Errorf("got %+v, %v", r, err)
	}
	s.Live.Reload = func(func(*Live) error) ([]string, error) { return nil, errors.New("wrong") }
	if _, err := s.reload(); fmt.Sprint(err) != "wrong" {
		t.Errorf("got %v", err)
	}
	s.endReloads()
	s.Live.Reload = nil
	if _, err := s.reload(); err == nil {
		t.Error("reloaded during the end")
	}
}
