package dtls_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cacheflow/cmd/internal/certificate"
	"cacheflow/cmd/internal/collector"
	"cacheflow/export"
	"cacheflow/test/process"
)

// TestOpenSSLRefuses: openssl's server and this exporter know each other, or nothing is
// sent, and the reason is told.
func TestOpenSSLRefuses(t *testing.T) {
	t.Parallel()
	process.Need(t, "openssl")
	a, other := newAuthority(t), newAuthority(t)
	past := time.Now().Add(-time.Hour)
	good, client := a.pair("collector.example", time.Time{}), a.pair("exporter.example", time.Time{})
	unlisted := func(f *certificate.Files) { f.Fingerprints = []string{strings.Repeat("00", 32)} }
	for name, k := range map[string]struct {
		server, client tls.Certificate
		edit           func(*certificate.Files)
		want           string // "" if they get on with each other
	}{
		"good":                {good, client, nil, ""},
		"wrong CA":            {other.pair("collector.example", time.Time{}), client, nil, "unknown authority"},
		"wrong name":          {a.pair("another.example", time.Time{}), client, nil, "not collector.example"},
		"common name only":    {a.commonName("collector.example"), client, nil, "legacy Common Name"},
		"expired":             {a.pair("collector.example", past), client, nil, "expired"},
		"not listed":          {good, client, unlisted, "the collector's certificate is not listed: its fingerprint is "},
		"none":                {tls.Certificate{}, client, nil, "Alert Fatal: HandshakeFailure"},
		"client's wrong CA":   {good, other.pair("exporter.example", time.Time{}), nil, "Alert Fatal: UnknownCA"},
		"client's is expired": {good, a.pair("exporter.example", past), nil, "Alert Fatal: CertificateExpired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startOpenSSL(t, a, k.server)
			var log lockedBuffer
			files := a.files(k.client)
			if k.edit != nil {
				k.edit(&files)
			}
			e := start(t, export.Config{
				Address: s.address, Reconnect: 100 * time.Millisecond, Identity: files, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			e.Put(records(100))
			time.Sleep(1500 * time.Millisecond)
			stats := shutdown(t, e)
			received := s.stop()
			if k.want == "" {
				if got := decode(received); got != 100 || stats.Sent.Records != 100 {
					t.Errorf("openssl has %d records; sent %+v\n%s", got, stats.Sent, log.String())
				}
				return
			}
			if !strings.Contains(log.String(), k.want) {
				t.Errorf("the reason is not told: want %q in\n%s", k.want, log.String())
			}
			if len(received) > 0 || stats.Sent.Records+stats.Datagrams.Count > 0 {
				t.Errorf("openssl received %d octets; sent %+v", len(received), stats.Sent)
			}
		})
	}
}

// TestClientWithoutCertificate: openssl's server refuses who shows none.
func TestClientWithoutCertificate(t *testing.T) {
	t.Parallel()
	process.Need(t, "openssl")
	a := newAuthority(t)
	s := startOpenSSL(t, a, a.pair("collector.example", time.Time{}))
	var log lockedBuffer
	e := start(t, export.Config{
		Address: s.address, Reconnect: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Identity: nameless{&tls.Config{RootCAs: a.pool(), ServerName: "collector.example"}},
	})
	e.Put(records(100))
	time.Sleep(1500 * time.Millisecond)
	stats := shutdown(t, e)
	if received := s.stop(); len(received) > 0 || stats.Datagrams.Count > 0 || !strings.Contains(log.String(), "Alert Fatal: HandshakeFailure") {
		t.Errorf("openssl received %d octets; sent %+v\n%s", len(received), stats.Datagrams, log.String())
	}
}

// nameless is an identity without a certificate, which certificate.Files cannot be.
type nameless struct{ cfg *tls.Config }

func (n nameless) Client() (*tls.Config, error) { return n.cfg, nil }

// decode returns how many flow records there are in messages.
func decode(b []byte) (n int) {
	c := collector.New(collector.Config{})
	for len(b) >= 4 {
		size := int(b[2])<<8 + int(b[3])
		if size < 16 || size > len(b) {
			return -1
		}
		if err := c.Decode(b[:size], netip.MustParseAddrPort("127.0.0.1:1"), time.Now(), func(*collector.Record) {}); err != nil {
			return -1
		}
		b = b[size:]
	}
	return int(c.Stats().Records)
}

// lockedBuffer may be written by one goroutine and read by another.
type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// openSSL is openssl s_server, which writes what it deciphers to a file.
type openSSL struct {
	address string
	file    string
	cmd     *exec.Cmd
}

// startOpenSSL does not wait for it: exporters try again. Without a pair it has no
// certificate.
func startOpenSSL(t *testing.T, ca *authority, pair tls.Certificate) *openSSL {
	t.Helper()
	s := &openSSL{address: unusedPort(t), file: filepath.Join(t.TempDir(), "out")}
	out, err := os.Create(s.file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := []string{"s_server", "-dtls1_2", "-quiet", "-accept", s.address, "-Verify", "1", "-verify_return_error"}
	if pair.Certificate == nil {
		pair = ca.pair("collector.example", time.Time{})
		args = append(args, "-nocert", "-CAfile", ca.files(pair).CA)
	} else {
		f := ca.files(pair)
		args = append(args, "-cert", f.Certificate, "-key", f.Key, "-CAfile", f.CA)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s.cmd = exec.CommandContext(ctx, "openssl", args...)
	s.cmd.Stdout = out
	if _, err := s.cmd.StdinPipe(); err != nil { // at whose end it would hang up
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// stop ends it, once nothing more comes, and returns what it received.
func (s *openSSL) stop() []byte {
	for size, seen := int64(-1), int64(0); size != seen; {
		size = seen
		time.Sleep(200 * time.Millisecond)
		if i, err := os.Stat(s.file); err == nil {
			seen = i.Size()
		}
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	b, _ := os.ReadFile(s.file)
	return b
}

func unusedPort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().String()
}
