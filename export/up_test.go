package export

import (
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cacheflow/cache/flow"
)

// fakeNow is a live clock for the fake time of synctest.
func fakeNow() func() flow.Time {
	began := time.Now()
	return func() flow.Time { return flow.Time(time.Since(began)) + flow.Time(time.Hour) }
}

// reclaimAll takes back what waits: less than a million records.
func reclaimAll(t *testing.T, e *Exporter) (n int) {
	t.Helper()
	for batch := make([]flow.Record, 100); n < 1_000_000; {
		k := e.Reclaim(batch)
		if n += k; k == 0 {
			return n
		}
	}
	t.Fatal("there is no end of what can be taken back")
	return n
}

// TestHold: a collector of datagrams that refuses them gets no record more until it has
// taken probes for 10 s; what waits can be taken back, and what is not is sent then.
func TestHold(t *testing.T) {
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		t.Run(p.String(), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testHold(t, p) }) })
	}
}

func testHold(t *testing.T, p Protocol) {
	var dead atomic.Bool
	f := &fakeSocket{write: func(int) error {
		if dead.Load() {
			return opError(syscall.ECONNREFUSED)
		}
		return nil
	}}
	e := withSocket(t, f, Config{Protocol: p, Now: fakeNow()})
	e.Hold(true)
	go e.Run(t.Context())
	step := func(n int, d time.Duration) Stats {
		e.Put(records(n))
		time.Sleep(d)
		synctest.Wait()
		return checkLedger(t, e)
	}
	if s := step(30, 2*time.Second); s.Sent.Records != 30 || !e.Up() {
		t.Fatalf("at the start: up %t, %+v", e.Up(), s)
	}
	dead.Store(true)
	lost := step(30, 2*time.Second).Dropped[Refused].Records // what was in a message
	if lost == 0 || e.Up() {
		t.Errorf("dead: up %t, %d refused", e.Up(), lost)
	}
	refusals := e.Stats().Refusals
	if s := step(100, 20*time.Second); s.Queued.Records != 100 || s.Dropped[Refused].Records != lost || s.Refusals < refusals+19 || s.Refusals > refusals+2*21 {
		t.Errorf("dead for 20 s: %+v", s)
	}
	back := 130 - lost
	if n := reclaimAll(t, e); uint64(n) != back {
		t.Errorf("%d records taken back, want %d", n, back)
	}
	if s := checkLedger(t, e); s.Dropped[Moved].Records != back || s.NotSent() != s.Dropped[Refused] {
		t.Errorf("after taking back: %+v", s)
	}
	dead.Store(false)
	if step(50, 9*time.Second); e.Up() {
		t.Error("up after 9 s of calm")
	}
	if s := step(0, 4*time.Second); !e.Up() || s.Sent.Records != 80 || s.Dropped[Refused].Records != lost {
		t.Errorf("alive again: up %t, %+v", e.Up(), s)
	}
	dead.Store(true)
	step(30, 2*time.Second)
	e.Put(records(10)) // they have nowhere to go, and are tried
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if s := checkLedger(t, e); s.Queued.Records != 0 || s.Dropped[Refused].Records < lost+40 || e.Up() {
		t.Errorf("at the end: %+v", s)
	}
}

// TestHoldRealRefusal: the kernel's own refusals, and its silence once somebody listens,
// who can decode from the first record on.
func TestHoldRealRefusal(t *testing.T) {
	t.Parallel()
	address := "127.31.1.1:2055"
	e := startExporter(t, Config{Protocol: NetFlow9, Address: address})
	e.Hold(true)
	await(t, "connected", e.Up)
	await(t, "down", func() bool { e.Put(records(30)); time.Sleep(10 * time.Millisecond); return !e.Up() })
	gone := reclaimAll(t, e)
	e.Put(records(60))
	conn := listen(t, address)
	began := time.Now()
	await(t, "up", e.Up)
	if took := time.Since(began); took < calm-2*askInterval || took > calm+3*askInterval {
		t.Errorf("up after %v", took)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%d taken back, sent %+v", gone, checkLedger(t, e).Sent)
	if got := received(t, conn).sums(); got.Records != 60 {
		t.Errorf("got %+v of 60 records", got)
	}
}

// await waits for up to 15 s.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not %s", what)
		}
	}
}

// TestReclaimFromStream: while a stream is not connected all that is in no message can be
// taken back, what the sender had taken from the queue too; what is not is sent when the
// collector is back.
func TestReclaimFromStream(t *testing.T) {
	t.Parallel()
	stall := make(chan struct{})
	c := newStreamCollector(t, nil, func(conn net.Conn, c *streamCollector) {
		select {
		case <-stall:
			readAll(conn, c)
		default:
			conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			<-stall
			conn.(*net.TCPConn).SetLinger(0)
		}
	})
	e := startExporter(t, Config{Protocol: IPFIX, Transport: TCP, Address: c.address, MTU: 1400, Reconnect: time.Second, QueueRecords: 1 << 17, Logger: testLogger(t)})
	await(t, "connected", e.Up)
	for range 100 {
		e.Put(records(1000)) // 13 MB: the sender is stuck in the middle of a batch
	}
	time.Sleep(500 * time.Millisecond)
	c.listener.Close()
	close(stall)
	await(t, "down", func() bool { return !e.Up() })
	await(t, "connecting", func() bool { s := e.Stats(); return s.Dropped[Hangup].Records > 0 })
	if n := reclaimAll(t, e); n == 0 {
		t.Error("nothing to take back")
	}
	if s := checkLedger(t, e); s.Building.Records != 0 || s.Queued.Records != 0 {
		t.Errorf("something is left: %+v", s)
	}
	e.Put(records(500))
	c.start()
	await(t, "up", e.Up)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	c.stop()
	if s := checkLedger(t, e); c.got.Records != 500 || s.Dropped[Hangup].Records+s.Dropped[Moved].Records+s.Sent.Records != s.Made.Records {
		t.Errorf("received %+v, stats %+v", c.got, s)
	}
}

// TestFileUp: a file that could not be written is down for 10 s, and then tried by what is
// written next.
func TestFileUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	synctest.Test(t, func(t *testing.T) {
		cfg := fileConfig(t, "", IPFIX)
		cfg.File.Path = filepath.Join(dir, "f.ipfix")
		cfg.Now = fakeNow()
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		e.Hold(true)
		go e.Run(t.Context())
		put := func(n int, d time.Duration) Stats {
			e.Put(records(n))
			time.Sleep(d)
			synctest.Wait()
			return checkLedger(t, e)
		}
		if s := put(10, 5*time.Second); e.Up() || s.Dropped[NotWritten].Records != 10 {
			t.Errorf("no directory: up %t, %+v", e.Up(), s)
		}
		if s := put(10, time.Second); s.Queued.Records != 10 {
			t.Errorf("down: %+v", s)
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if s := put(10, 10*time.Second); !e.Up() || s.Sent.Records != 20 {
			t.Errorf("with a directory: up %t, %+v", e.Up(), s)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
