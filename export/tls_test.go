package export

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// testLogger writes to the test's log.
func testLogger(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(testWriter{t}, nil)) }

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// identity is an Identity made of a function.
type identity func() (*tls.Config, error)

func (f identity) Client() (*tls.Config, error) { return f() }

// authority signs certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// make completes and signs a certificate; the authority's own if it has none yet.
func (a *authority) make(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = time.Now().Add(-2 * time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// pair returns a certificate for a name, valid until notAfter, an hour for the zero Time.
func (a *authority) pair(name string, notAfter time.Time) tls.Certificate {
	cert, key := a.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// secured returns an exporter's configuration for a transport, and its collector's.
func secured(t testing.TB, transport Transport) (Config, *tls.Config) {
	t.Helper()
	cfg := Config{Protocol: IPFIX, Transport: transport}
	if transport != TLS {
		return cfg, nil
	}
	a := newAuthority(t, "ca")
	server, client := a.pair("collector.example", time.Time{}), a.pair("exporter.example", time.Time{})
	cfg.Identity = identity(func() (*tls.Config, error) {
		return &tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{client}, ServerName: "collector.example"}, nil
	})
	return cfg, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert}
}

// TestOpenSSLRefuses: openssl's server and this exporter know each other, or nothing is
// sent, and the reason is told.
func TestOpenSSLRefuses(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	a, other := newAuthority(t, "ca"), newAuthority(t, "other")
	past := time.Now().Add(-time.Hour)
	good := a.pair("exporter.example", time.Time{})
	for name, k := range map[string]struct {
		server tls.Certificate
		client *tls.Certificate
		trust  *authority
		want   string // "" if they get on with each other
	}{
		"good":                {a.pair("collector.example", time.Time{}), &good, a, ""},
		"wrong CA":            {other.pair("collector.example", time.Time{}), &good, a, "unknown authority"},
		"wrong name":          {a.pair("another.example", time.Time{}), &good, a, "not collector.example"},
		"expired":             {a.pair("collector.example", past), &good, a, "expired"},
		"client's wrong CA":   {a.pair("collector.example", time.Time{}), ptr(other.pair("exporter.example", time.Time{})), a, "remote error: tls: "},
		"client's is expired": {a.pair("collector.example", time.Time{}), ptr(a.pair("exporter.example", past)), a, "remote error: tls: "},
		"client has none":     {a.pair("collector.example", time.Time{}), nil, a, "remote error: tls: "},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				s := startOpenSSL(t, a, k.server)
				var log lockedBuffer
				e := startExporter(t, Config{
					Protocol: IPFIX, Transport: TLS, Address: s.address, Reconnect: 100 * time.Millisecond,
					Logger: slog.New(slog.NewTextHandler(&log, nil)),
					Identity: identity(func() (*tls.Config, error) {
						c := &tls.Config{RootCAs: k.trust.pool(), ServerName: "collector.example", MinVersion: tls.VersionTLS12, MaxVersion: version}
						if k.client != nil {
							c.Certificates = []tls.Certificate{*k.client}
						}
						return c, nil
					}),
				})
				e.Put(records(100))
				time.Sleep(time.Second)
				if err := e.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				stats := checkLedger(t, e)
				received := s.stop()
				if k.want == "" {
					if got := decode(t, received); got != stats.Made || stats.Sent != stats.Made {
						t.Errorf("openssl has %+v of %+v\n%s", got, stats.Made, log.String())
					}
					return
				}
				if !strings.Contains(log.String(), k.want) {
					t.Errorf("the reason is not told: want %q in\n%s", k.want, log.String())
				}
				if len(received) > 0 || stats.Sent.Records+stats.Datagrams.Count+stats.Failed[Hangup].Count > 0 {
					t.Errorf("openssl received %d octets; sent %+v, tried %+v", len(received), stats.Sent, stats.Failed[Hangup])
				}
			})
		}
	}
}

func ptr[T any](v T) *T { return &v }

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
	t       *testing.T
	address string
	file    string
	args    []string // its certificates
	cmd     *exec.Cmd
}

func startOpenSSL(t *testing.T, ca *authority, pair tls.Certificate) *openSSL {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s := &openSSL{t: t, address: unusedStreamPort(t), file: filepath.Join(dir, "out"), args: []string{
		"-cert", write("cert", "CERTIFICATE", pair.Certificate[0]), "-key", write("key", "PRIVATE KEY", key),
		"-CAfile", write("ca", "CERTIFICATE", ca.cert.Raw),
	}}
	s.start()
	return s
}

// start runs it, again where it did before; its file begins anew.
func (s *openSSL) start() {
	t := s.t
	t.Helper()
	out, err := os.Create(s.file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s.cmd = exec.CommandContext(ctx, "openssl", append([]string{
		"s_server", "-quiet", "-accept", s.address, "-Verify", "1", "-verify_return_error",
	}, s.args...)...)
	s.cmd.Stdout = out
	if _, err := s.cmd.StdinPipe(); err != nil { // at whose end it would hang up
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitListener(t, s.address)
}

// stop ends it, once nothing more comes, and returns what it received.
func (s *openSSL) stop() []byte {
	for size, seen := int64(-1), int64(0); size != seen; {
		size = seen
		time.Sleep(200 * time.Millisecond)
		seen = s.received()
	}
	return s.kill()
}

// received returns how many octets it has deciphered.
func (s *openSSL) received() int64 {
	i, err := os.Stat(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	return i.Size()
}

// kill ends it by SIGKILL, as it is, and returns what it received.
func (s *openSSL) kill() []byte {
	s.cmd.Process.Kill()
	s.cmd.Wait()
	b, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Error(err)
	}
	return b
}

// decode returns the records of the messages in b, of which the last may be cut.
func decode(t *testing.T, b []byte) Count {
	c := newCollector(t)
	for len(b) >= header10 && len(b) >= int(be.Uint16(b[2:])) {
		size := be.Uint16(b[2:])
		c.receive(b[:size])
		b = b[size:]
	}
	return c.sums()
}

func unusedStreamPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ownAddress())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitListener waits until somebody listens, who may see a connection that says nothing.
func awaitListener(t *testing.T, address string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
	}
	t.Fatalf("nobody listens at %s", address)
}
