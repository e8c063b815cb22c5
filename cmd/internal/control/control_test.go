package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cmd/internal/ledger"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fake is a daemon whose answers a test chooses.
type fake struct {
	flows   iter.Seq2[*Flow, error]
	query   atomic.Pointer[CacheQuery] // of the latest ask
	blocked bool                       // asks of Export wait for their context's end
	cleared atomic.Int32
}

func (d *fake) Cache(_ context.Context, q CacheQuery) (*Cache, error) {
	d.query.Store(&q)
	var s Statistics
	s.SetTable(&cache.Stats{Entries: 4096, Active: 3, Polls: 7, Cleared: 1}, time.Minute)
	s.Matched = 3
	return &Cache{Statistics: s, Flows: d.flows}, nil
}

func (d *fake) Export(ctx context.Context) (*Export, error) {
	if d.blocked {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &Export{Exporters: []Exporter{{Name: "nfcapd", Protocol: "netflow9", Version: 9, Destination: "192.0.2.1:2055",
		Records: 46, Datagrams: 22, Dropped: []Drop{{DropTooLong, 3, 1}}}}}, nil
}

func (d *fake) Ledger(context.Context) (*ledger.Ledger, error) {
	return &ledger.Ledger{Records: ledger.Sum{Count: 3}, Interfaces: []ledger.Interface{{Index: 2, Name: "eth0", Observed: 9, Metered: 9}}}, nil
}

func (d *fake) Interfaces(context.Context) (*Interfaces, error) {
	return &Interfaces{[]Interface{{Index: 2, Name: "eth0", Mode: "af_packet", Ingress: true, Up: true}}}, nil
}

func (d *fake) ClearCache(context.Context) (*Cleared, error) {
	d.cleared.Add(1)
	return &Cleared{Flows: 3}, nil
}

func (d *fake) ClearStats(context.Context) (*Cleared, error) {
	return nil, errors.New("shard 1 is gone")
}

func (d *fake) Reload(context.Context) (*Reloaded, error) {
	return &Reloaded{Changes: []string{"flow-monitor: cache timeout active: 30m0s -> 1m0s"}}, nil
}

// serve starts a server for d and returns its socket.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// many yields n flows that differ in their source port.
func many(n int) iter.Seq2[*Flow, error] {
	return func(yield func(*Flow, error) bool) {
		for i := range n {
			f := Flow{SourceTransportPort: uint16(i), PacketDeltaCount: uint64(i)}
			if !yield(&f, nil) {
				return
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	d := &fake{flows: many(3)}
	c := dial(t, serve(t, &Server{Daemon: d, Version: Version{Version: "1.2", PID: 7}}))
	ctx := t.Context()

	v, err := c.Version(ctx)
	same(t, "version", err, &Version{Version: "1.2", PID: 7}, v)
	wantExport, _ := d.Export(ctx)
	e, err := c.Export(ctx)
	same(t, "export", err, wantExport, e)
	wantLedger, _ := d.Ledger(ctx)
	l, err := c.Ledger(ctx)
	same(t, "ledger", err, wantLedger, l)
	wantInterfaces, _ := d.Interfaces(ctx)
	i, err := c.Interfaces(ctx)
	same(t, "interfaces", err, wantInterfaces, i)
	cleared, err := c.ClearCache(ctx)
	same(t, "clear cache", err, &Cleared{3}, cleared)
	reloaded, err := c.Reload(ctx)
	same(t, "reload", err, &Reloaded{[]string{"flow-monitor: cache timeout active: 30m0s -> 1m0s"}}, reloaded)
	if d.cleared.Load() != 1 {
		t.Error("the cache was not cleared")
	}
	if _, err := c.ClearStats(ctx); err == nil || err.Error() != "shard 1 is gone" {
		t.Errorf("the daemon's own error came as %v", err)
	}

	q := CacheQuery{Version: 4, Limit: -1, Sort: ByBytes}
	got, err := c.Cache(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := d.Cache(ctx, q)
	same(t, "statistics", nil, &want.Statistics, &got.Statistics)
	if got := *d.query.Load(); got != q {
		t.Errorf("query %+v came as %+v", q, got)
	}
	ports := 0
	for f, err := range got.Flows {
		if err != nil {
			t.Fatal(err)
		}
		if int(f.SourceTransportPort) != ports {
			t.Errorf("flow %d has port %d", ports, f.SourceTransportPort)
		}
		ports++
	}
	if ports != 3 {
		t.Errorf("%d flows came", ports)
	}
}

func same(t *testing.T, what string, err error, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || d != "" {
		t.Errorf("%s: %v\n%s", what, err, d)
	}
}

// TestStreamIsBounded reads some 50 MB of flows from a daemon that makes them
// as it goes: neither side may gather them.
func TestStreamIsBounded(t *testing.T) {
	const n = 100_000
	var peak uint64
	sample := func(i int) {
		if i%20_000 != 0 {
			return
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
	}
	c := dial(t, serve(t, &Server{Daemon: &fake{flows: many(n)}}))
	got, err := c.Cache(t.Context(), CacheQuery{Limit: n})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, err := range got.Flows {
		if err != nil {
			t.Fatal(err)
		}
		count++
		sample(count)
	}
	if count != n || peak > 24<<20 {
		t.Errorf("%d flows of %d, heap of %d MiB", count, n, peak>>20)
	}
}

func TestStreamThatBreaks(t *testing.T) {
	broken := func(yield func(*Flow, error) bool) {
		if yield(&Flow{}, nil) {
			yield(nil, errors.New("shard is gone"))
		}
	}
	c := dial(t, serve(t, &Server{Daemon: &fake{flows: broken}}))
	got, err := c.Cache(t.Context(), CacheQuery{})
	if err == nil {
		for _, err = range got.Flows {
		}
	}
	if err == nil {
		t.Error("an answer that was cut looks complete")
	}
}

func TestBlockedDaemon(t *testing.T) {
	c := dial(t, serve(t, &Server{Daemon: &fake{blocked: true}, Answer: 50 * time.Millisecond}))
	_, err := c.Export(t.Context())
	if err == nil || err.Error() != "the daemon gave no answer within 50ms" {
		t.Errorf("got %v", err)
	}
	if _, err := c.Interfaces(t.Context()); err != nil {
		t.Errorf("what does not block: %v", err)
	}
}

// TestSlowClients has more clients than answers with flows that read nothing:
// the rest of the server answers, and their places are free again in time.
func TestSlowClients(t *testing.T) {
	d := &fake{flows: many(200_000)}
	path := serve(t, &Server{Daemon: d, Stall: time.Second})
	c := dial(t, path)
	for range snapshots {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /v1/cache HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil { // the answer has begun
			t.Fatal(err)
		}
	}
	busy := func() bool {
		got, err := c.Cache(t.Context(), CacheQuery{})
		if err == nil {
			for range got.Flows {
				break // closes it
			}
			return false
		}
		if !strings.Contains(err.Error(), "try again later") {
			t.Fatal(err)
		}
		return true
	}
	if !busy() {
		t.Fatal("the clients that stall take no places")
	}
	if _, err := c.Export(t.Context()); err != nil {
		t.Errorf("beside slow clients: %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); busy(); {
		if time.Now().After(deadline) {
			t.Fatal("slow clients keep their places for ever")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	path := serve(t, &Server{Daemon: &fake{flows: many(0)}})
	for name, tt := range map[string]struct {
		request, status, body string
	}{
		"version":   {"GET /v1/cache?version=5 HTTP/1.0\r\n\r\n", "400", `{"error":"version \"5\": must be 4 or 6"}`},
		"limit":     {"GET /v1/cache?limit=99999999 HTTP/1.0\r\n\r\n", "400", `{"error":"limit \"99999999\": must be a number up to 16777216"}`},
		"sort":      {"GET /v1/cache?sort=flows HTTP/1.0\r\n\r\n", "400", `{"error":"sort \"flows\": must be bytes or packets"}`},
		"unknown":   {"GET /v1/cache?top=3 HTTP/1.0\r\n\r\n", "400", `{"error":"unknown query \"top\""}`},
		"path":      {"GET /v2/cache HTTP/1.0\r\n\r\n", "404", "404 page not found"},
		"method":    {"GET /v1/clear/cache HTTP/1.0\r\n\r\n", "405", "Method Not Allowed"},
		"body":      {"POST /v1/clear/cache HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", "413", `{"error":"a request must have no body"}`},
		"header":    {"GET /v1/version HTTP/1.0\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431", ""},
		"not HTTP":  {"show ip cache flow\r\n\r\n", "400", ""},
		"good last": {"GET /v1/version HTTP/1.0\r\n\r\n", "200", `{"version":"","go":"","pid":0}`},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			go io.WriteString(conn, tt.request)
			answer, err := io.ReadAll(conn)
			if err != nil && len(answer) == 0 {
				t.Fatal(err)
			}
			line, rest, _ := strings.Cut(string(answer), "\r\n")
			if !strings.Contains(line, " "+tt.status+" ") || !strings.Contains(rest, tt.body) {
				t.Errorf("got %s", answer)
			}
		})
	}
}

func TestServerEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	d := &fake{blocked: true}
	go func() { done <- (&Server{Daemon: d}).Serve(ctx, l) }()
	c := dial(t, path)
	asked := make(chan error, 1)
	go func() { _, err := c.Export(context.Background()); asked <- err }()
	time.Sleep(20 * time.Millisecond)
	cancel()
	for _, ch := range []chan error{done, asked} {
		select {
		case <-ch:
		case <-time.After(5 * time.Second):
			t.Fatal("a blocked request keeps the server from ending")
		}
	}
	if _, err := Dial(path); err == nil || !strings.HasPrefix(err.Error(), "no daemon is running at "+path) {
		t.Errorf("after the end: %v", err)
	}
}

func TestQueryOfURL(t *testing.T) {
	for _, q := range []CacheQuery{{}, {Version: 6}, {Limit: 5, Sort: ByPackets}, {Limit: -1}, {Version: 4, Limit: MaxLimit, Sort: ByBytes}} {
		got, err := parseQuery(q.values())
		if err != nil || got != q {
			t.Errorf("%+v came as %+v: %v", q, got, err)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	c := &Cache{Statistics: Statistics{Entries: 16}, Flows: Flows([]Flow{{SourceTransportPort: 1}, {SourceTransportPort: 2}})}
	if err := c.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
}
