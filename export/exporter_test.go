package export

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cacheflow/cache/flow"
)

// now is a live clock whose flow.Time 0 is the start of the tests.
var started = time.Now()

func liveNow() flow.Time { return flow.Time(time.Since(started)) }

// unusedPort returns a loopback address where nobody listens.
func unusedPort(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().String()
}

// startExporter runs a live exporter until the test ends.
func startExporter(t *testing.T, cfg Config) *Exporter {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = liveNow
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, e)
	return e
}

func run(t *testing.T, e *Exporter) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		checkLedger(t, e)
	})
}

// checkLedger holds the ledger to its law.
func checkLedger(t testing.TB, e *Exporter) Stats {
	t.Helper()
	s := e.Stats()
	total := s.Queued
	total.add(s.Building)
	total.add(s.Sent)
	for _, d := range s.Dropped {
		total.add(d)
	}
	if total != s.Made {
		t.Errorf("the ledger does not close: made %+v, accounted for %+v\n%+v", s.Made, total, s)
	}
	return s
}

// waitQuiet waits until nothing is queued or being built.
func waitQuiet(t testing.TB, e *Exporter) Stats {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		s := checkLedger(t, e)
		if s.Queued.Records == 0 && s.Building.Records == 0 || s.Building.Records > 0 && s.Queued.Records == 0 && pendingOnly(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("not quiet after 10 s: %+v", s)
		}
	}
}

// pendingOnly: what is building fits into one message that waits to fill.
func pendingOnly(s Stats) bool { return s.Building.Records < 30 }

// fakeSocket fails as told.
type fakeSocket struct {
	mu    sync.Mutex
	sent  [][]byte
	at    []time.Time
	local net.UDPAddr       // 127.0.0.1:1 if zero
	write func(n int) error // n counts calls from 1
	calls int
}

func (f *fakeSocket) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.write != nil {
		if err := f.write(f.calls); err != nil {
			return 0, err
		}
	}
	f.sent = append(f.sent, append([]byte(nil), b...))
	f.at = append(f.at, time.Now())
	return len(b), nil
}

// times returns when datagrams were sent.
func (f *fakeSocket) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.at)
}

func (f *fakeSocket) SetWriteDeadline(time.Time) error { return nil }
func (f *fakeSocket) LocalAddr() net.Addr {
	if f.local.Port != 0 {
		return &f.local
	}
	return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
}
func (f *fakeSocket) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (f *fakeSocket) Close() error         { return nil }

// withSocket returns an exporter that writes to f.
func withSocket(t *testing.T, f socket, cfg Config) *Exporter {
	t.Helper()
	cfg.Address = "127.0.0.1:2055"
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.dial = func(context.Context, string, netip.AddrPort) (socket, error) { return f, nil }
	return e
}

func records(n int) []flow.Record {
	rs := make([]flow.Record, n)
	for i := range rs {
		rs[i] = record4()
	}
	return rs
}

func opError(errno syscall.Errno) error {
	return &net.OpError{Op: "write", Net: "udp", Err: os.NewSyscallError("write", errno)}
}

func TestSendErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		errno   error
		failing int // calls that fail, counted from the second
		why     Reason
		retries uint64
	}{
		{"refused once is repeated", opError(syscall.ECONNREFUSED), 1, None, 1},
		{"refused twice", opError(syscall.ECONNREFUSED), 2, Refused, 1},
		{"device queue full for a moment", opError(syscall.ENOBUFS), 3, None, 3},
		{"device queue stays full", opError(syscall.ENOBUFS), 8, BufferFull, 7},
		{"socket buffer stays full", &net.OpError{Op: "write", Err: os.ErrDeadlineExceeded}, 1, BufferFull, 0},
		{"above path MTU", opError(syscall.EMSGSIZE), 1, TooLong, 0},
		{"no route", opError(syscall.ENETUNREACH), 2, Unreachable, 1},
		{"unreachable, told late", opError(syscall.EHOSTUNREACH), 1, None, 1},
		{"firewall", opError(syscall.EPERM), 1, NotPermitted, 0},
		{"source address gone", opError(syscall.EINVAL), 1, NoSource, 0},
		{"anything else", opError(syscall.EIO), 1, OtherError, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeSocket{write: func(n int) error {
					if n > 1 && n <= 1+c.failing {
						return c.errno
					}
					return nil
				}}
				e := withSocket(t, f, Config{Protocol: NetFlow5})
				e.Put(records(90)) // three datagrams, of which the second meets the error
				go e.Run(t.Context())
				synctest.Wait()
				if err := e.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := checkLedger(t, e)
				lost := uint64(0)
				if c.why != None {
					lost = 30
					if d := s.Failed[c.why]; d.Count != 1 || d.Octets != 24+30*48 {
						t.Errorf("failed datagrams: %+v", d)
					}
				}
				if s.Sent.Records != 90-lost || s.Dropped[c.why].Records != lost || s.Retries != c.retries {
					t.Errorf("sent %d, dropped %d, retries %d; want %d, %d, %d",
						s.Sent.Records, s.Dropped[c.why].Records, s.Retries, 90-lost, lost, c.retries)
				}
				// The sequence numbers of what was lost stay used.
				last := f.sent[len(f.sent)-1]
				if seq := be.Uint32(last[16:]); seq != 60 {
					t.Errorf("sequence %d in the third datagram, want 60", seq)
				}
			})
		})
	}
}

// TestRate: never more than a burst ahead of the rate, and not below it either.
func TestRate(t *testing.T) {
	for _, rate := range []int{1, 50, 1000, 20000} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeSocket{}
			e := withSocket(t, f, Config{Protocol: NetFlow5, Rate: rate, QueueRecords: 30 * 300})
			e.Put(records(30 * 300))
			go e.Run(t.Context())
			synctest.Wait()
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			interval := time.Second / time.Duration(rate)
			sent := f.times()
			for i, at := range sent {
				ahead := time.Duration(i)*interval - at.Sub(sent[0])
				if ahead > 32*interval || ahead < -interval || rate < 200 && ahead > interval {
					t.Fatalf("rate %d: datagram %d left %v ahead of the rate", rate, i, ahead)
				}
			}
			if len(sent) != 300 {
				t.Errorf("%d datagrams", len(sent))
			}
		})
	}
}

// TestFlushAfterSecond: a lone record leaves 1 s after it was put, though
// nothing follows; an idle exporter sends templates every minute.
func TestFlushAfterSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := &fakeSocket{}
		e := withSocket(t, f, Config{
			Protocol: IPFIX, Options: noOptions, Now: func() flow.Time { return flow.Time(time.Since(begin)) + 1e15 },
		})
		ctx, cancel := context.WithCancel(t.Context())
		go e.Run(ctx)
		time.Sleep(10 * time.Second)
		e.Put(records(1))
		time.Sleep(50 * time.Second)
		if at := f.times(); len(at) != 2 || at[0] != begin || at[1].Sub(begin) != 11*time.Second {
			t.Fatalf("datagrams left at %v after %v", at, begin)
		}
		time.Sleep(600 * time.Second)
		if n := len(f.times()) - 2; n != 10 {
			t.Errorf("%d datagrams in ten idle minutes, want 10 of templates", n)
		}
		cancel()
		synctest.Wait()
		checkLedger(t, e)
	})
}

func TestQueueFull(t *testing.T) {
	e := withSocket(t, &fakeSocket{}, Config{QueueRecords: 100})
	rs := records(60)
	if n := e.Put(rs); n != 60 {
		t.Errorf("accepted %d of 60", n)
	}
	if n := e.Put(rs); n != 40 {
		t.Errorf("accepted %d of 60, want 40", n)
	}
	s := checkLedger(t, e)
	if want := sum(rs[:20]); s.Dropped[QueueFull] != want || s.Queued.Records != 100 {
		t.Errorf("dropped %+v, want %+v", s.Dropped[QueueFull], want)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := e.PutWait(ctx, rs); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("PutWait into a full queue: %v", err)
	}
	if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) { // never run
		t.Error(err)
	}
	s = checkLedger(t, e)
	if s.Dropped[NoCollector].Records != 100 || s.Queued.Records != 0 {
		t.Errorf("after Shutdown: %+v", s)
	}
	if e.Put(rs) != 0 || !errors.Is(e.PutWait(context.Background(), rs), ErrClosed) {
		t.Error("records were taken after Shutdown")
	}
	if s := checkLedger(t, e); s.Dropped[Closed].Records != 120 {
		t.Errorf("dropped %+v", s.Dropped[Closed])
	}
	if err := e.Run(context.Background()); err != nil {
		t.Errorf("Run after Shutdown: %v", err)
	}
}

// TestConcurrentPut: several metering goroutines, waiting and not, a small
// queue: every record is sent or counted.
func TestConcurrentPut(t *testing.T) {
	f := &fakeSocket{}
	e := withSocket(t, f, Config{Protocol: IPFIX, QueueRecords: 64, Rate: -1, Now: liveNow})
	run(t, e)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if err := e.PutWait(context.Background(), records(37)); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 200 {
				e.Put(records(5))
			}
		})
	}
	wg.Wait()
	if err := e.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := checkLedger(t, e)
	if s.Made.Records != 4*200*42 || s.Sent.Records+s.Dropped[QueueFull].Records != s.Made.Records || s.Sent.Records < 4*200*37 {
		t.Errorf("%+v", s)
	}
	c := newCollector(t)
	for _, b := range f.sent {
		c.receive(b)
	}
	if got := c.sums(); got != s.Sent {
		t.Errorf("collector has %+v, sent %+v", got, s.Sent)
	}
}

// TestUnresolved: a name that does not resolve at first is tried again with
// growing pauses; records wait.
func TestUnresolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSocket{}
		e := withSocket(t, f, Config{Protocol: NetFlow5})
		var tries []time.Duration
		begin := time.Now()
		var mu sync.Mutex
		e.dial = func(context.Context, string, netip.AddrPort) (socket, error) {
			mu.Lock()
			defer mu.Unlock()
			tries = append(tries, time.Since(begin))
			if len(tries) < 5 {
				return nil, &net.DNSError{Err: "no such host", Name: "collector.example", IsNotFound: true}
			}
			return f, nil
		}
		go e.Run(t.Context())
		synctest.Wait()
		e.Put(records(30))
		time.Sleep(10 * time.Second)
		if s := checkLedger(t, e); s.Queued.Records != 30 {
			t.Errorf("queued %d while unresolved", s.Queued.Records)
		}
		time.Sleep(10 * time.Second)
		if s := checkLedger(t, e); s.Sent.Records != 30 {
			t.Errorf("sent %d after %v", s.Sent.Records, tries)
		}
		mu.Lock()
		defer mu.Unlock()
		if last := tries[len(tries)-1]; len(tries) != 5 || last != 15*time.Second {
			t.Errorf("tried at %v", tries)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestShutdownFirst: records that were put before Shutdown are sent, even if
// Run comes to its turn only afterwards.
func TestShutdownFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := withSocket(t, &fakeSocket{}, Config{Protocol: NetFlow5})
		e.Put(records(3))
		go func() {
			time.Sleep(time.Second)
			e.Run(t.Context())
		}()
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if s := checkLedger(t, e); s.Sent.Records != 3 {
			t.Errorf("sent %d", s.Sent.Records)
		}
	})
	e := withSocket(t, nil, Config{})
	if err := e.Shutdown(t.Context()); err != nil { // never run, nothing put
		t.Error(err)
	}
}

// TestShutdownUnresolved: Shutdown waits for a resolver no longer than its
// context lasts, and not at all once one attempt has failed.
func TestShutdownUnresolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, k := range []struct{ resolver, want time.Duration }{
			{10 * time.Millisecond, 0}, // failed, and pauses
			{time.Hour, 2 * time.Second},
		} {
			e := withSocket(t, nil, Config{})
			e.dial = func(ctx context.Context, _ string, _ netip.AddrPort) (socket, error) {
				select {
				case <-ctx.Done():
				case <-time.After(k.resolver):
				}
				return nil, errors.New("no such host")
			}
			e.Put(records(3))
			go e.Run(t.Context())
			time.Sleep(100 * time.Millisecond)
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := e.Shutdown(ctx)
			if d := time.Since(begin); d != k.want || errors.Is(err, context.DeadlineExceeded) != (d > 0) {
				t.Errorf("Shutdown: %v after %v, want %v", err, d, k.want)
			}
			if s := checkLedger(t, e); s.Dropped[NoCollector].Records != 3 {
				t.Errorf("%+v", s.Dropped)
			}
		}
	})
}

// TestShutdownDeadline: what a slow collector leaves no time for is counted.
func TestShutdownDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := withSocket(t, &fakeSocket{}, Config{Protocol: NetFlow5, Rate: 10})
		e.Put(records(3000)) // 100 datagrams, 10 s
		go e.Run(t.Context())
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		s := checkLedger(t, e)
		if s.Sent.Records < 18*30 || s.Sent.Records > 22*30 || s.Sent.Records+s.Dropped[Unsent].Records != 3000 {
			t.Errorf("sent %d, unsent %d", s.Sent.Records, s.Dropped[Unsent].Records)
		}
	})
}

func TestConfigErrors(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no port":         {Address: "192.0.2.1"},
		"no host":         {Address: ":2055"},
		"port 0":          {Address: "192.0.2.1:0"},
		"small MTU":       {Address: "192.0.2.1:2055", MTU: MinMTU - 1},
		"large MTU":       {Address: "192.0.2.1:2055", MTU: MaxMTU + 1},
		"protocol":        {Address: "192.0.2.1:2055", Protocol: 7},
		"families":        {Address: "192.0.2.1:2055", Source: netip.MustParseAddr("2001:db8::1")},
		"packets":         {Address: "192.0.2.1:2055", TemplatePackets: -1},
		"interval":        {Address: "192.0.2.1:2055", TemplateInterval: -1},
		"queue":           {Address: "192.0.2.1:2055", QueueRecords: -1},
		"no address":      {},
		"tcp for v9":      {Address: "192.0.2.1:2055", Transport: TCP},
		"no certificates": {Address: "192.0.2.1:2055", Protocol: IPFIX, Transport: TLS},
		"transport":       {Address: "192.0.2.1:2055", Protocol: IPFIX, Transport: 9},
		"reconnect":       {Address: "192.0.2.1:2055", Protocol: IPFIX, Transport: TCP, Reconnect: -1},
		"sampling for v5": {Address: "192.0.2.1:2055", Protocol: NetFlow5, Sampling: Sampling{Interval: 1 << 14}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		if got, err := ParseProtocol(p.String()); err != nil || got != p {
			t.Errorf("ParseProtocol(%v) = %v, %v", p, got, err)
		}
	}
	if _, err := ParseProtocol("sflow"); err == nil {
		t.Error("sflow was accepted")
	}
}
