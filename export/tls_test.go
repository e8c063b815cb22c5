package export

import (
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"

	"cacheflow/test/authority"
	"cacheflow/test/process"
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

// secured returns an exporter's configuration for a transport, and its collector's.
func secured(t testing.TB, transport Transport) (Config, *tls.Config) {
	t.Helper()
	cfg := Config{Protocol: IPFIX, Transport: transport}
	if transport != TLS {
		return cfg, nil
	}
	a := authority.New(t, "ca")
	server, client := a.Pair("collector.example", time.Time{}), a.Pair("exporter.example", time.Time{})
	cfg.Identity = identity(func() (*tls.Config, error) {
		return &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{client}, ServerName: "collector.example"}, nil
	})
	return cfg, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: a.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
}

// TestOpenSSLRefuses: openssl's server and this exporter know each other, or nothing is
// sent, and the reason is told.
func TestOpenSSLRefuses(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	a, other := authority.New(t, "ca"), authority.New(t, "other")
	past := time.Now().Add(-time.Hour)
	good := a.Pair("exporter.example", time.Time{})
	for name, k := range map[string]struct {
		server tls.Certificate
		client *tls.Certificate
		trust  *authority.Authority
		want   string // "" if they get on with each other
	}{
		"good":                {a.Pair("collector.example", time.Time{}), &good, a, ""},
		"wrong CA":            {other.Pair("collector.example", time.Time{}), &good, a, "unknown authority"},
		"wrong name":          {a.Pair("another.example", time.Time{}), &good, a, "not collector.example"},
		"expired":             {a.Pair("collector.example", past), &good, a, "expired"},
		"client's wrong CA":   {a.Pair("collector.example", time.Time{}), ptr(other.Pair("exporter.example", time.Time{})), a, "remote error: tls: "},
		"client's is expired": {a.Pair("collector.example", time.Time{}), ptr(a.Pair("exporter.example", past)), a, "remote error: tls: "},
		"client has none":     {a.Pair("collector.example", time.Time{}), nil, a, "remote error: tls: "},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(name+" "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				s := authority.StartTLS(t, a, k.server)
				var log process.Output
				e := startExporter(t, Config{
					Protocol: IPFIX, Transport: TLS, Address: s.Address, Reconnect: 100 * time.Millisecond,
					Logger: slog.New(slog.NewTextHandler(&log, nil)),
					Identity: identity(func() (*tls.Config, error) {
						c := &tls.Config{RootCAs: k.trust.Pool(), ServerName: "collector.example", MinVersion: tls.VersionTLS12, MaxVersion: version}
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
				received := s.Stop()
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
