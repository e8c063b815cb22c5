//go:build linux

package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/cache/route"
	"cacheflow/capture"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/control"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/render"
	"cacheflow/export"
)

// Live meters interfaces until its context ends.
type Live struct {
	Capture   Capture
	Fragments capture.DecoderOptions
	// MeterOwn has our own export datagrams metered too.
	MeterOwn bool
	// Cache describes the whole cache, which the workers share out; Run sets
	// Seed and Router.
	Cache     cache.Config
	Exporters []export.Config // Run sets Now, Epoch, Connected and Logger
	Groups    []config.Group  // each exporter is in one at most
	// Socket is the path of the control socket, empty for none, and SocketMode
	// its permissions.
	Socket     string
	SocketMode fs.FileMode
	Version    control.Version
	// Drain is how long the exporters may take at the end.
	Drain time.Duration
	Log   *slog.Logger
	// Started is called once packets are metered; nil is never called.
	Started func(*Meter)
	// Reload is called at a Hangup and where the control socket asks for it, not twice
	// at once. It finds out what is to be different, has apply take that over from next,
	// and returns the changes in words. Nil: there is nothing to reload.
	Reload func(apply func(next *Live) error) (changes []string, err error)
	Hangup <-chan os.Signal
}

// session is one run of Live.
type session struct {
	*Live
	Meter
	clock Clock
	// control is the control socket; nil for none.
	control net.Listener
	routes  *route.Table
	capture observer
	// reselect has the capture take over what can change while it runs.
	reselect func(next *Live) error
	own      *ownExports
	losses   losses
	// draining ends the wait for room in the exporters' queues at the end; nil
	// until the capture has stopped.
	mu       sync.Mutex
	draining context.Context
	ending   outlets // then
	// reloading is held during a reload, and guards ended: no reload comes after it.
	reloading sync.Mutex
	ended     bool
	// patience is that of the one shard whose source can wait; nil where none can.
	patience *patience
}

// Run meters until ctx ends; then it reads what is left in the rings, ends all
// flows, waits until the exporters have sent them, and returns the ledger of
// the quiet end.
func (l *Live) Run(ctx context.Context) (*ledger.Ledger, error) {
	s := &session{Live: l, clock: NewClock(), own: &ownExports{}}
	s.now = s.clock.Now
	s.epoch = (&epoch{clock: s.clock}).time
	s.losses.meter = &s.Meter
	if err := s.open(); err != nil {
		s.close()
		return nil, err
	}
	defer s.close()
	return s.run(ctx)
}

// interfaces returns this host's interfaces for the exporters to announce. Their
// goroutines call it, once the route table is loaded.
func (s *session) interfaces() []export.Interface {
	known := s.routes.Interfaces()
	all := make([]export.Interface, 0, len(known))
	for _, i := range known {
		all = append(all, export.Interface{Index: i.Index, Name: i.Name, Description: i.Alias})
	}
	return all
}

// open makes everything that can fail before the first packet.
func (s *session) open() (err error) {
	for _, c := range s.Live.Exporters {
		e, err := s.newExporter(c)
		if err != nil {
			return err
		}
		s.exporters = append(s.exporters, e)
	}
	if s.groups, err = s.nextGroups(s.Live.Groups, s.exporters); err != nil {
		return err
	}
	// First the socket: who finds it busy has not begun to capture.
	if s.Socket != "" {
		if s.control, err = control.Listen(s.Socket, s.SocketMode); err != nil {
			return err
		}
	}
	if s.routes, err = route.New(route.Options{}); err != nil {
		return fmt.Errorf("route table: %w", err)
	}
	if err = s.routes.Load(); err != nil {
		return fmt.Errorf("route table: %w", err)
	}
	s.name = s.routes.InterfaceName
	workers, start, err := s.prepareCapture()
	if err != nil {
		return err
	}
	// The tables before the rings: to touch all of a large one takes a while.
	if err = s.makeShards(workers); err != nil {
		return err
	}
	if err = start(); err != nil {
		return err
	}
	s.Log.Info("flow cache", "entries", s.cache.Entries*workers, "workers", workers,
		"octets", s.cache.Memory()*int64(workers), "active", s.cache.Active, "inactive", s.cache.Inactive)
	return nil
}

// newExporter makes an exporter, which does not run yet.
func (s *session) newExporter(c export.Config) (*exporter, error) {
	e := &exporter{configured: c}
	c.Now, c.Epoch, c.Logger, c.InterfaceTable = s.now, s.epoch, s.Log, s.interfaces
	c.Unmetered, c.Line = s.losses.unmetered, render.AppendJSON
	if !s.MeterOwn {
		c.Connected = func() {
			local, _ := e.LocalAddr()
			remote, _ := e.RemoteAddr()
			protocol := uint8(flow.ProtocolUDP)
			if c.Transport == export.TCP || c.Transport == export.TLS {
				protocol = flow.ProtocolTCP
			}
			s.own.add(e, local, remote, protocol)
		}
	}
	var err error
	e.Exporter, err = export.New(c)
	return e, err
}

// makeShards makes the workers' shards, which have no source yet.
func (s *session) makeShards(workers int) error {
	s.cache = s.Live.Cache
	s.cache.Entries = max((s.cache.Entries+workers-1)/workers, cache.MinEntries)
	for range workers {
		c := s.cache
		c.Seed = [2]uint64{random(), random()}
		reader, err := s.routes.NewReader()
		if err != nil {
			return fmt.Errorf("route lookup: %w", err)
		}
		c.Router = reader
		sh, err := newShard(nil, c, s.own, s.deliver)
		if err != nil {
			return err
		}
		sh.swap(newOutlets(s.exporters, s.groups))
		s.shards = append(s.shards, sh)
	}
	return nil
}

// deliver does not make a shard wait while it meters, or for a bounded time only.
func (s *session) deliver(set exporterSet, rs []flow.Record) {
	s.mu.Lock()
	draining := s.draining
	s.mu.Unlock()
	if draining == nil {
		if s.patience != nil {
			s.patience.await(set, len(rs))
		}
		set.put(rs)
		return
	}
	s.putWait(draining, set, rs)
}

// holdUpShare is the part of the time at the end for which one exporter may be waited for
// while another one has nothing left to send, all batches together: half. The other half is
// then theirs.
const holdUpShare = 2

// putWait hands records to every exporter of a set and waits for room: until ctx is done,
// but not for one that sends nothing, or that has held others up.
func (s *session) putWait(ctx context.Context, set exporterSet, rs []flow.Record) {
	for _, e := range set {
		rest := rs
		for s.isWaitedFor(e) && ctx.Err() == nil {
			if rest = rest[e.Offer(rest):]; len(rest) == 0 {
				break
			}
			time.Sleep(roomPause)
			if s.ending.isHeldUp(e) {
				e.heldUp.Add(int64(roomPause))
			}
		}
		e.Put(rest)
	}
}

func (s *session) isWaitedFor(e *exporter) bool {
	return e.Sends() && time.Duration(e.heldUp.Load()) < s.Drain/holdUpShare
}

func (s *session) run(ctx context.Context) (*ledger.Ledger, error) {
	background, stop := context.WithCancel(context.Background())
	defer stop()
	tasks, background := errgroup.WithContext(background)
	s.startTasks(background, tasks)
	s.exporters.start(&s.running)
	for _, g := range s.groups {
		g.start()
	}
	shards, metering := errgroup.WithContext(background)
	for _, sh := range s.shards {
		shards.Go(func() error { return sh.run(context.Background()) }) // its source ends it
	}
	tasks.Go(func() error { return s.awaitHangups(background) })
	if s.Started != nil {
		s.Started(&s.Meter)
	}
	select {
	case <-ctx.Done():
	case <-background.Done(): // a task failed
	case <-metering.Done(): // a shard failed
	}
	s.endReloads()
	drain, cancel := context.WithTimeout(context.Background(), s.Drain)
	defer cancel()
	s.endCapture(drain)
	err := shards.Wait()
	l, lerr := s.drain(drain)
	stop()
	return l, cmp.Or(err, tasks.Wait(), lerr)
}

// startTasks starts what goes on beside the shards until ctx is done.
func (s *session) startTasks(ctx context.Context, tasks *errgroup.Group) {
	tasks.Go(func() error { return s.routes.Run(ctx) })
	tasks.Go(func() error { return s.capture.Run(ctx) })
	tasks.Go(func() error { return watchClock(ctx, s.clock.Epoch, s.Log) })
	tasks.Go(func() error { return s.losses.watch(ctx) })
	if s.control != nil {
		server := &control.Server{Daemon: served{&s.Meter, s}, Version: s.Version}
		tasks.Go(func() error { return server.Serve(ctx, s.control) })
	}
}

// endCapture has the sources end once their rings are empty, and what then leaves the cache
// wait for room in the exporters' queues until drain is done.
func (s *session) endCapture(drain context.Context) {
	s.mu.Lock()
	s.draining, s.ending = drain, newOutlets(s.exporters, s.groups)
	s.mu.Unlock()
	if err := s.capture.Stop(); err != nil {
		s.Log.Error("end the capture", "err", err)
	}
}

// drain is Meter's, after what waits for collectors that are down has gone to others.
func (s *session) drain(ctx context.Context) (*ledger.Ledger, error) {
	s.settleGroups(ctx)
	return s.Meter.drain(ctx)
}

// settleGroups moves what waits for collectors that are down, and leaves the exporters time
// to send it.
func (s *session) settleGroups(drain context.Context) {
	ctx, cancel := context.WithTimeout(drain, s.Drain/holdUpShare)
	defer cancel()
	for _, g := range s.groups {
		g.settle(ctx)
	}
}

func (s *session) close() {
	if s.control != nil {
		s.control.Close() // Serve has closed it already if it ran
	}
	for _, sh := range s.shards {
		sh.close()
	}
}

// random returns 64 random bits; crypto/rand.Read never fails.
func random() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.NativeEndian.Uint64(b[:])
}
