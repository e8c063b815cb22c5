package dtls_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/certificate"
	"cacheflow/cmd/internal/dtls"
	"cacheflow/export"
	"cacheflow/test/authority"
)

// Content types of records (RFC 5246 §6.2.1).
const (
	alert           = 21
	handshake       = 22
	applicationData = 23
)

// recordHeader is the size of a record's header (RFC 6347 §4.1).
const recordHeader = 13

// records returns n flow records.
func records(n int) []flow.Record {
	rs := make([]flow.Record, n)
	for i := range rs {
		rs[i].Key = flow.Key{
			Src: [16]byte{192, 0, 2, 1}, Dst: [16]byte{198, 51, 100, 2}, SrcPort: 40000, DstPort: 443, Protocol: flow.ProtocolTCP, Version: 4,
		}
		rs[i].Packets, rs[i].Octets = 3, 300
	}
	return rs
}

// files writes what an exporter needs that shows a certificate of a's to collector.example.
func files(a *authority.Authority, pair tls.Certificate) certificate.Files {
	f := a.Files(pair)
	return certificate.Files{Certificate: f.Certificate, Key: f.Key, CA: f.CA, ServerName: "collector.example"}
}

// off announces nothing besides flows.
var off = export.OptionIntervals{
	SamplerTable: export.Off, InterfaceTable: export.Off, ExporterStats: export.Off, Reliability: export.Off, FlowKeys: export.Off,
}

// start runs an exporter with a live clock.
func start(t testing.TB, cfg export.Config) *export.Exporter {
	t.Helper()
	begun := time.Now()
	cfg.Protocol, cfg.Transport, cfg.Handshaker = export.IPFIX, export.DTLS, dtls.Client{}
	cfg.Now = func() flow.Time { return flow.Time(time.Since(begun)) }
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	e, err := export.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return e
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// shutdown ends an exporter and returns its counters, whose ledger closes.
func shutdown(t testing.TB, e *export.Exporter) export.Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	s := e.Stats()
	accounted := s.Queued.Records + s.Building.Records + s.Sent.Records
	for _, d := range s.Dropped {
		accounted += d.Records
	}
	if accounted != s.Made.Records {
		t.Errorf("the ledger does not close: made %d records, accounted for %d", s.Made.Records, accounted)
	}
	return s
}

// await waits until cond holds.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestNothingInClear: what the collector's socket gets is a handshake, then records that are
// encrypted, each message in a datagram of its own that is no longer than it may be.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	a := authority.New(t, "")
	c := startCollector(t, a)
	const mtu = 600
	e := start(t, export.Config{Address: c.address.String(), Identity: files(a, a.Pair("exporter.example", time.Time{})), MTU: mtu, Rate: 1000})
	e.Put(records(1000))
	await(t, "the last record", func() bool { return c.decoder.Stats().Records == 1000 })
	s := shutdown(t, e) // pion's server may lose the message before its end
	c.stop()
	if got := c.decoder.Stats(); s.Sent.Records != 1000 || got.Refused()+got.LostRecords+got.Restarts != 0 {
		t.Errorf("the collector has %+v\nsent %+v", got, s.Datagrams)
	}
	secret, longest := uint64(0), 0
	for _, d := range c.datagrams {
		if d.to != c.address {
			continue
		}
		longest = max(longest, len(d.data))
		for b := d.data; len(b) > 0; b = b[recordHeader+int(b[11])<<8+int(b[12]):] {
			if epoch := int(b[3])<<8 + int(b[4]); b[0] == applicationData {
				secret++
				if epoch != 1 || len(b) != len(d.data) {
					t.Errorf("application data of epoch %d, %d octets behind others", epoch, len(d.data)-len(b))
				}
			} else if epoch == 0 && b[0] == alert {
				t.Errorf("an alert in clear: %x", b)
			}
		}
	}
	if secret != s.Datagrams.Count || longest > mtu || longest < mtu-100 {
		t.Errorf("%d encrypted records of %d messages; datagrams have up to %d octets of %d", secret, s.Datagrams.Count, longest, mtu)
	}
}

// TestCollectorRestarts: a collector ends every little while, by taking leave, or killed, or
// killed and replaced so fast that nobody notices; and all that it misses is either declared
// or a gap in the sequence numbers.
func TestCollectorRestarts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		how  func(*dtlsCollector)
		down time.Duration
	}{
		"takes leave": {(*dtlsCollector).stop, 100 * time.Millisecond},
		"is killed":   {(*dtlsCollector).kill, 100 * time.Millisecond},
		"is replaced": {(*dtlsCollector).kill, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := authority.New(t, "")
			c := startCollector(t, a)
			e := start(t, export.Config{
				Address: c.address.String(), Identity: files(a, a.Pair("exporter.example", time.Time{})),
				Reconnect: 200 * time.Millisecond, TemplateInterval: 2 * time.Second, Options: off,
			})
			ctx, cancel := context.WithCancel(t.Context())
			var putting sync.WaitGroup
			putting.Go(func() {
				for rs := records(10); ctx.Err() == nil; time.Sleep(time.Millisecond) {
					e.Put(rs)
				}
			})
			await(t, "the first record", func() bool { return c.decoder.Stats().Records > 0 })
			local, _ := e.LocalAddr()
			for range 3 {
				time.Sleep(500 * time.Millisecond)
				before := c.associations()
				end.how(c)
				time.Sleep(end.down)
				c.start()
				await(t, "a new association", func() bool { return c.associations() > before })
				now := c.decoder.Stats().Records
				await(t, "a record", func() bool { return c.decoder.Stats().Records > now })
			}
			cancel()
			putting.Wait()
			s := shutdown(t, e)
			var got uint64
			await(t, "the last record", func() bool {
				before := got
				got = c.decoder.Stats().Records
				time.Sleep(50 * time.Millisecond)
				return got > 0 && got == before
			})
			c.stop()
			seen := c.decoder.Stats()
			declared := s.Dropped[export.Hangup].Records
			t.Logf("made %d records, declared %d lost, received %d, a gap of %d, in %d associations", s.Made.Records, declared, got, seen.LostRecords, c.agreed)
			if got+seen.LostRecords != s.Sent.Records+declared || seen.Restarts > 0 || seen.Refused() > 0 || s.NotSent().Records != declared {
				t.Errorf("sent %d, dropped %+v; %+v", s.Sent.Records, s.Dropped, seen)
			}
			if now, _ := e.LocalAddr(); now != local {
				t.Errorf("the exporter moved from %s to %s", local, now)
			}
		})
	}
}
