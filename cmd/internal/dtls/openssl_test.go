package dtls_test

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/certificate"
	"cacheflow/cmd/internal/collector"
	"cacheflow/export"
	"cacheflow/test/authority"
	"cacheflow/test/process"
)

// TestOpenSSLRefuses: openssl's server and this exporter know each other, or nothing is
// sent, and the reason is told.
func TestOpenSSLRefuses(t *testing.T) {
	t.Parallel()
	process.Need(t, "openssl")
	a, other := authority.New(t, ""), authority.New(t, "")
	past := time.Now().Add(-time.Hour)
	good, client := a.Pair("collector.example", time.Time{}), a.Pair("exporter.example", time.Time{})
	unlisted := func(f *certificate.Files) { f.Fingerprints = []string{strings.Repeat("00", 32)} }
	for name, k := range map[string]struct {
		server, client tls.Certificate
		edit           func(*certificate.Files)
		want           string // "" if they get on with each other
	}{
		"good":                {good, client, nil, ""},
		"wrong CA":            {other.Pair("collector.example", time.Time{}), client, nil, "unknown authority"},
		"wrong name":          {a.Pair("another.example", time.Time{}), client, nil, "not collector.example"},
		"common name only":    {a.CommonName("collector.example"), client, nil, "legacy Common Name"},
		"expired":             {a.Pair("collector.example", past), client, nil, "expired"},
		"not listed":          {good, client, unlisted, "the collector's certificate is not listed: its fingerprint is "},
		"none":                {tls.Certificate{}, client, nil, "Alert Fatal: HandshakeFailure"},
		"client's wrong CA":   {good, other.Pair("exporter.example", time.Time{}), nil, "Alert Fatal: UnknownCA"},
		"client's is expired": {good, a.Pair("exporter.example", past), nil, "Alert Fatal: CertificateExpired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := authority.StartDTLS(t, a, k.server)
			var log process.Output
			identity := files(a, k.client)
			if k.edit != nil {
				k.edit(&identity)
			}
			e := start(t, export.Config{
				Address: s.Address, Reconnect: 100 * time.Millisecond, Identity: identity, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			e.Put(records(100))
			time.Sleep(1500 * time.Millisecond)
			stats := shutdown(t, e)
			received := s.Stop()
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
	a := authority.New(t, "")
	s := authority.StartDTLS(t, a, a.Pair("collector.example", time.Time{}))
	var log process.Output
	e := start(t, export.Config{
		Address: s.Address, Reconnect: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Identity: nameless{&tls.Config{RootCAs: a.Pool(), ServerName: "collector.example"}},
	})
	e.Put(records(100))
	time.Sleep(1500 * time.Millisecond)
	stats := shutdown(t, e)
	if received := s.Stop(); len(received) > 0 || stats.Datagrams.Count > 0 || !strings.Contains(log.String(), "Alert Fatal: HandshakeFailure") {
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
