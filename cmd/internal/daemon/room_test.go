//go:build linux

package daemon

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// At the end a collector that reads nothing is waited for while the others have something to
// send, and then no longer: they get all that leaves the cache.
func TestSlowAtTheEndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	// More flows than the kernel's buffers hold for the one that is stuck.
	const flows, queue = 50_000, 500
	stuck := stalled(t, "127.33.4.1:4739")
	good := judge.StartRecorder(t, netip.MustParseAddrPort("127.33.4.2:4739"))
	ctx, cancel := context.WithCancel(context.Background())
	configs := []export.Config{ipfix("stuck", stuck, export.TCP), ipfix("good", good.Address.String(), export.UDP)}
	for i := range configs {
		configs[i].QueueRecords, configs[i].Rate = queue, 10_000
	}
	s := reloadable(t, ctx, 1, configs...)
	// Half of it may be spent on the stuck one (holdUpShare); 50 000 flows take 2 s, and with the race detector on a busy
	// machine ten times that.
	s.losses.meter, s.Drain = &s.Meter, 40*time.Second
	s.exporters.start(&s.running)
	for !s.exporters[0].Up() || !s.exporters[1].Up() {
		time.Sleep(time.Millisecond)
	}
	begun := time.Now()
	drain, stop := context.WithTimeout(context.Background(), s.Drain)
	defer stop()
	s.draining, s.ending = drain, newOutlets(s.exporters, nil)
	sh := s.shards[0]
	for i := range flows / 1000 {
		packets := newFlows(1000, 1) // those that find no room in the cache push others out
		for k := range packets {
			packets[k].Src[0] = uint8(i)
		}
		sh.table.Observe(packets)
	}
	cancel()
	var shards sync.WaitGroup
	shards.Go(func() { _ = sh.run(context.Background()) })
	shards.Wait()
	flushed := time.Since(begun)
	last, stopLast := context.WithTimeout(drain, 5*time.Second) // for the 500 records that are queued
	defer stopLast()
	l, err := s.drain(last)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]ledger.Exporter{}
	for _, e := range l.Exporters {
		parts[e.Name] = e
	}
	if parts["good"].Sent != l.Records || l.Records.Count < flows {
		t.Errorf("good was sent %+v of %+v, the queues were full after %v", parts["good"].Sent, l.Records, flushed)
	}
	if parts["stuck"].Sent.Count == l.Records.Count {
		t.Error("the stuck collector was not stuck")
	}
	t.Logf("%d flows handed over in %v; stuck: %+v", l.Records.Count, flushed, parts["stuck"])
}

// A shard that waited in vain for a collector's queue waits for it no more, until half of the
// queue is empty.
func TestPatienceIsLost(t *testing.T) {
	t.Parallel()
	const queue = 1000
	cfg := ipfix("stuck", stalled(t, "127.33.4.3:4739"), export.TCP)
	cfg.QueueRecords = queue
	s := reloadable(t, t.Context(), 1, cfg)
	s.losses.meter, s.Drain = &s.Meter, time.Second
	s.exporters.start(&s.running)
	e := s.exporters[0]
	rs := make([]flow.Record, outBatch)
	for i := range rs {
		rs[i].Version = 4
	}
	// Until the kernel's buffers are full, too.
	for begun := time.Now(); !e.Up() || e.Room() > 0; time.Sleep(200 * time.Millisecond) {
		for e.Room() > 0 {
			e.Put(rs)
		}
		if time.Since(begun) > 20*time.Second {
			t.Fatal("the queue does not fill")
		}
	}
	p := &patience{now: s.now}
	if s.exporters.hasRoom(outBatch) {
		t.Error("there is room in a full queue")
	}
	if p.await(s.exporters, outBatch); !s.exporters.hasRoom(outBatch) {
		t.Error("it is waited for again at once")
	}
	e.Reclaim(make([]flow.Record, queue/2))
	if !s.exporters.hasRoom(outBatch) || e.late.Load() {
		t.Error("half of the queue is empty, and it is not taken for one that has caught up")
	}
	for e.Room() > 0 {
		e.Put(rs)
	}
	if s.exporters.hasRoom(outBatch) {
		t.Error("it has caught up, and is not waited for")
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	s.exporters.shutdown(ended)
	s.running.Wait()
}

// stalled is a collector by TCP that reads nothing, and has little room for what waits.
func stalled(t *testing.T, address string) string {
	t.Helper()
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	l, err := small.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return address
}
