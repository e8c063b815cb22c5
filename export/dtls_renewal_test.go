package export

import (
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cacheflow/test/authority"
	"cacheflow/test/process"
)

// TestAssociationStaysWithItsAddress: the addresses of a collector's name come in another order
// each time, as name servers have it. Whenever the association is renewed, or the name is
// looked up again, it stays between the same addresses and ports; and goes once its own
// address is no longer among the answers. It is not parallel: until a program that another test
// starts is there, its process has the closed socket too, and the port is not free.
func TestAssociationStaysWithItsAddress(t *testing.T) {
	const host = "flows.example."
	old, fresh := listen(t, "127.31.5.1:4740"), listen(t, "127.31.5.2:4740")
	server := newNameServer(t, "127.31.5.1", "127.31.5.2")
	h := inClear{calls: new(atomic.Int32)}
	e := startExporter(t, Config{
		Protocol: IPFIX, Transport: DTLS, Address: host + ":4740", Identity: anybody, Handshaker: h, Logger: testLogger(t),
		TemplateInterval: 200 * time.Millisecond, Reconnect: 50 * time.Millisecond, ResolveAgain: 50 * time.Millisecond, resolver: server.resolver(),
	})
	await(t, "connected", e.Up)
	local, _ := e.LocalAddr()
	server.move("127.31.5.2", "127.31.5.1")
	for range 3 {
		calls, asked := h.calls.Load(), server.questions()
		await(t, "renewed", func() bool { return h.calls.Load() > calls+1 })
		await(t, "asked again", func() bool { return server.questions() > asked+1 })
		e.Put(records(10))
		to, _ := e.RemoteAddr()
		if now, _ := e.LocalAddr(); now != local || to.String() != "127.31.5.1:4740" {
			t.Errorf("from %v to %v, at first from %v", now, to, local)
		}
	}
	waitQuiet(t, e)
	server.move("127.31.5.2")
	await(t, "moved", func() bool { to, _ := e.RemoteAddr(); return to.String() == "127.31.5.2:4740" })
	e.Put(records(10))
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if now, _ := e.LocalAddr(); now.Port() != local.Port() {
		t.Errorf("moved to port %d, from %d", now.Port(), local.Port())
	}
	a, b := received(t, old), received(t, fresh)
	if a.sums().Records != 30 || b.sums().Records != 10 {
		t.Errorf("%d records at the first address, want 30; %d at the second, want 10", a.sums().Records, b.sums().Records)
	}
	checkSessions(t, a.messages, 4, false)
	checkSessions(t, b.messages, 1, false)
}

// identityFiles is an identity in files, which can be away for a while.
type identityFiles authority.Files

func (f identityFiles) Client() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	return &tls.Config{Certificates: []tls.Certificate{pair}}, err
}

// TestAssociationGoesOnWithoutFiles: while the certificate's files are away no association
// can be made. The one that there is goes on, and the reason is told; once the files are back
// it is renewed. No record waits for them. It is not parallel, as the test above.
func TestAssociationGoesOnWithoutFiles(t *testing.T) {
	conn := listen(t, "127.0.0.1:0")
	var log process.Output
	a, h := authority.New(t, "ca"), inClear{calls: new(atomic.Int32)}
	files := identityFiles(a.Files(a.Pair("exporter.example", time.Time{})))
	dir := filepath.Dir(files.Certificate)
	away := filepath.Join(t.TempDir(), "away")
	e := startExporter(t, Config{
		Protocol: IPFIX, Transport: DTLS, Address: conn.LocalAddr().String(), Identity: files, Handshaker: h,
		Logger:           slog.New(slog.NewTextHandler(&log, nil)),
		TemplateInterval: 400 * time.Millisecond, Reconnect: 50 * time.Millisecond,
	})
	d := newCollector(t)
	e.Put(records(10))
	from := d.receiveFrom(conn, 10)
	await(t, "renewed with files", func() bool { return h.calls.Load() > 1 })
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	calls := h.calls.Load()
	const told = "the association goes on: no certificates for the next one"
	await(t, "told twice", func() bool { return strings.Count(log.String(), told) > 1 })
	e.Put(records(10))
	if now := d.receiveFrom(conn, 20); now != from || !e.Up() || h.calls.Load() != calls {
		t.Errorf("up %t, from %s after %d handshakes, then from %s after %d", e.Up(), from, calls, now, h.calls.Load())
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	await(t, "renewed once the files are back", func() bool { return h.calls.Load() > calls })
	e.Put(records(10))
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if now := d.receiveFrom(conn, 30); now != from || e.Stats().Sent.Records != 30 {
		t.Errorf("from %s, then %s: %+v", from, now, e.Stats())
	}
	checkSessions(t, d.messages, int(h.calls.Load()), false)
	if text := log.String(); !strings.Contains(text, "no such file") || strings.Contains(text, "not reachable") {
		t.Errorf("log:\n%s", text)
	}
}
