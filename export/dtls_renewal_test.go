package export

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAssociationStaysWithItsAddress: the addresses of a collector's name come in another order
// each time, as name servers have it. Whenever the association is renewed, or the name is
// looked up again, it stays between the same addresses and ports; and goes once its own
// address is no longer among the answers.
func TestAssociationStaysWithItsAddress(t *testing.T) {
	t.Parallel()
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

// pairFiles is an identity in two files, which can be away for a while.
type pairFiles struct{ dir string }

func (p pairFiles) Client() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(p.dir, "cert"), filepath.Join(p.dir, "key"))
	return &tls.Config{Certificates: []tls.Certificate{pair}}, err
}

// newPairFiles writes an exporter's certificate and key.
func newPairFiles(t *testing.T) pairFiles {
	t.Helper()
	p := pairFiles{filepath.Join(t.TempDir(), "pki")}
	pair := newAuthority(t, "ca").pair("exporter.example", time.Time{})
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err == nil {
		err = os.Mkdir(p.dir, 0o700)
	}
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err == nil {
			err = os.WriteFile(filepath.Join(p.dir, name), pem.EncodeToMemory(block), 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestAssociationGoesOnWithoutFiles: while the certificate's files are away no association
// can be made. The one that there is goes on, and the reason is told; once the files are back
// it is renewed. No record waits for them.
func TestAssociationGoesOnWithoutFiles(t *testing.T) {
	t.Parallel()
	conn := listen(t, "127.0.0.1:0")
	var log lockedBuffer
	files, h := newPairFiles(t), inClear{calls: new(atomic.Int32)}
	away := files.dir + ".away"
	e := startExporter(t, Config{
		Protocol: IPFIX, Transport: DTLS, Address: conn.LocalAddr().String(), Identity: files, Handshaker: h,
		Logger:           slog.New(slog.NewTextHandler(&log, nil)),
		TemplateInterval: 400 * time.Millisecond, Reconnect: 50 * time.Millisecond,
	})
	d := newCollector(t)
	e.Put(records(10))
	from := d.receiveFrom(conn, 10)
	await(t, "renewed with files", func() bool { return h.calls.Load() > 1 })
	if err := os.Rename(files.dir, away); err != nil {
		t.Fatal(err)
	}
	calls := h.calls.Load()
	const told = "the association goes on: no certificates for the next one"
	await(t, "told twice", func() bool { return strings.Count(log.String(), told) > 1 })
	e.Put(records(10))
	if now := d.receiveFrom(conn, 20); now != from || !e.Up() || h.calls.Load() != calls {
		t.Errorf("up %t, from %s after %d handshakes, then from %s after %d", e.Up(), from, calls, now, h.calls.Load())
	}
	if err := os.Rename(away, files.dir); err != nil {
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
