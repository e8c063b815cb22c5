package export

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// listen opens a collector's socket on loopback.
func listen(t *testing.T, address string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// receive decodes datagrams until c has n records.
func (c *collector) receiveFrom(conn net.PacketConn, n uint64) (from netip.AddrPort) {
	c.t.Helper()
	buf := make([]byte, 1<<16)
	for c.sums().Records < n {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		size, addr, err := conn.ReadFrom(buf)
		if err != nil {
			c.t.Fatalf("after %d records of %d: %v", c.sums().Records, n, err)
		}
		c.receive(buf[:size])
		from = addrPort(addr)
	}
	return from
}

// TestUDP: over IPv4 and IPv6, by literal and by name, from a source address of
// choice.
func TestUDP(t *testing.T) {
	t.Parallel()
	for _, k := range []struct{ listen, host, source, from string }{
		{"127.0.0.1:0", "127.0.0.1", "", "127.0.0.1"},
		{"127.0.0.1:0", "127.0.0.1", "127.0.0.77", "127.0.0.77"},
		{"127.0.0.1:0", "localhost", "127.0.0.1", "127.0.0.1"},
		{"[::1]:0", "::1", "", "::1"},
		{"[::1]:0", "::1", "::1", "::1"},
	} {
		conn := listen(t, k.listen)
		_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
		cfg := Config{Protocol: NetFlow9, Address: net.JoinHostPort(k.host, port)}
		if k.source != "" {
			cfg.Source = netip.MustParseAddr(k.source)
		}
		e := startExporter(t, cfg)
		e.Put(records(100))
		c := newCollector(t)
		from := c.receiveFrom(conn, 100)
		local, ok := e.LocalAddr()
		remote, _ := e.RemoteAddr()
		if !ok || from != local || from.Addr().String() != k.from || remote.String() != conn.LocalAddr().String() {
			t.Errorf("%+v: from %v, LocalAddr %v, RemoteAddr %v", k, from, local, remote)
		}
		if err := e.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// TestLateCollector: one that begins to listen after the exporter knows its
// templates within two seconds, not within a minute: each refusal makes the
// exporter offer them.
func TestLateCollector(t *testing.T) {
	t.Parallel()
	address := unusedPort(t)
	e := startExporter(t, Config{Protocol: IPFIX, Address: address})
	for range 5 {
		e.Put(records(40))
		waitQuiet(t, e)
		time.Sleep(10 * time.Millisecond)
	}
	if s := e.Stats(); s.Refusals == 0 {
		t.Errorf("nobody listens, and no refusal: %+v", s)
	}
	conn := listen(t, address)
	templates := netflowTemplates(t, conn, func() { e.Put(records(40)) })
	if templates > 2*time.Second+100*time.Millisecond {
		t.Errorf("templates came after %v", templates)
	}
}

// netflowTemplates returns how long it takes until a datagram with templates
// arrives, while put is called.
func netflowTemplates(t *testing.T, conn net.PacketConn, put func()) time.Duration {
	t.Helper()
	buf := make([]byte, 1<<16)
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		put()
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		n, _, err := conn.ReadFrom(buf)
		if err == nil && n > header10+2 && be.Uint16(buf[header10:]) == 2 {
			return time.Since(begin)
		}
	}
	t.Fatal("no templates within 10 s")
	return 0
}

// TestSlowCollector: a socket whose buffer stays full holds up neither Put nor
// the ledger; the drop has its reason. A Unix datagram socket blocks its sender
// as a full UDP send buffer does.
func TestSlowCollector(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "collector")
	server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetWriteBuffer(1)
	e := withSocket(t, conn, Config{Protocol: NetFlow5, Now: liveNow, QueueRecords: 300})
	run(t, e)
	begin := time.Now()
	for end := begin.Add(8 * time.Second); e.Stats().Dropped[BufferFull].Records == 0; {
		put := time.Now()
		e.Put(records(30))
		if d := time.Since(put); d > 500*time.Millisecond {
			t.Errorf("Put took %v", d)
		}
		if put.After(end) {
			t.Fatalf("no drop: %+v", e.Stats())
		}
		time.Sleep(5 * time.Millisecond)
	}
	if d := time.Since(begin); d < sendTimeout/2 {
		t.Errorf("dropped after %v", d)
	}
	if s := checkLedger(t, e); s.Dropped[QueueFull].Records == 0 {
		t.Error("the queue never filled: the test has not met the case")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	e.Shutdown(ctx)
}

// TestTooLong: the kernel's own EMSGSIZE. Loopback takes 65507 octets over
// IPv4 at most.
func TestTooLong(t *testing.T) {
	conn := listen(t, "127.0.0.1:0")
	sock, err := Config{TTL: DefaultTTL}.dial(context.Background(), conn.LocalAddr().String(), netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close()
	_, err = sock.Write(make([]byte, MaxMTU+1))
	if classify(err) != TooLong {
		t.Errorf("%v is %v", err, classify(err))
	}
	if _, err := sock.Write(make([]byte, MaxMTU)); err != nil {
		t.Error(err)
	}
	if classify(syscall.EIO) != OtherError {
		t.Error("EIO has a class")
	}
}

func BenchmarkPut(b *testing.B) {
	e, err := New(Config{Address: "127.0.0.1:9", QueueRecords: 1 << 12})
	if err != nil {
		b.Fatal(err)
	}
	batch := make([]flow.Record, 64)
	taken := make([]flow.Record, 64)
	b.ReportAllocs()
	for b.Loop() {
		e.Put(batch)
		e.mu.Lock()
		e.queue.take(taken)
		e.mu.Unlock()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/record")
}
