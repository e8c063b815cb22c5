package verify_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/cmd/internal/profile"
	"cacheflow/cmd/internal/render"
	"cacheflow/cmd/internal/verify"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// nfdump prints times as local ones; judge has it print those of UTC.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

// truth is a manifest.
type truth struct {
	exporters []manifest.Exporter
	records   []manifest.Record
	lacks     []string
}

func read(t testing.TB, r io.Reader) (all truth) {
	t.Helper()
	m, err := manifest.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	all.exporters, all.lacks = m.Exporters, m.Header.Lacks
	for {
		var r manifest.Record
		if err := m.Next(&r); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all.records = append(all.records, r)
	}
}

// generated has three routers send an office's traffic.
func generated(t testing.TB, protocol export.Protocol, sources string, send func(router int, data []byte) error, change ...func(*generate.Config)) truth {
	t.Helper()
	p, err := profile.Load("office")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := generate.Config{
		Profile: &p.Profile, Seed: 3, Routers: 3, Start: time.Date(2026, 1, 1, 11, 0, 0, 0, time.UTC), Duration: 20 * time.Second,
		Cache:  cache.Config{Entries: 4096, Active: 10 * time.Second, Inactive: 5 * time.Second, Linger: time.Second},
		Export: export.Config{Protocol: protocol}, Send: send, Manifest: &out, Pace: generate.Pace{Datagrams: 2000},
	}
	for _, f := range change {
		f(&c)
	}
	if c.Sources, err = generate.ParseSources(sources, c.Routers); err != nil {
		t.Fatal(err)
	}
	if _, err := generate.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return read(t, &out)
}

// store writes what a collector stored to a file.
func store(t testing.TB, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stored")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tells reports whether a file tells exporters apart.
func tells(t testing.TB, all truth, text []byte) bool {
	t.Helper()
	s, err := verify.ReadFile(store(t, text), all.exporters)
	if err != nil {
		t.Fatal(err)
	}
	return s.Shows.Exporter
}

// compare compares a file with the manifest.
func compare(t testing.TB, all truth, text []byte) *verify.Result {
	t.Helper()
	s, err := verify.ReadFile(store(t, text), all.exporters)
	if err != nil {
		t.Fatal(err)
	}
	s.Shows.Limit(all.lacks)
	sent := slices.Clone(all.records) // Compare changes them
	return verify.Compare(sent, s.Records, s.Shows)
}

func wantComplete(t *testing.T, r *verify.Result, all truth) {
	t.Helper()
	if !r.Complete() || r.Total.Complete != uint64(len(all.records)) || len(all.records) < 1000 {
		var text strings.Builder
		_ = r.WriteText(&text, all.exporters)
		t.Errorf("of %d records:\n%s", len(all.records), &text)
	}
}

// nfcapdStores returns what three routers sent from these sources, and the nfcapd that has stored it.
func nfcapdStores(t testing.TB, protocol export.Protocol, sources string, change ...func(*generate.Config)) (*judge.Nfcapd, truth) {
	t.Helper()
	n := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 8 << 20})
	addresses, _ := generate.ParseSources(sources, 3)
	sockets, err := generate.Dial(n.Address, addresses, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	all := generated(t, protocol, sources, sockets.Send, change...)
	n.Stop()
	return n, all
}

// nfcapd has what was sent, as nfdump prints it, whether routers have addresses of their own or
// are told apart by their engines and ids.
func TestNfdump(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		for _, sources := range []string{"127.0.1.0/24", "127.0.0.1"} {
			t.Run(protocol.String()+" from "+sources, func(t *testing.T) {
				n, all := nfcapdStores(t, protocol, sources)
				for _, format := range []string{"csv", "json"} {
					t.Run(format, func(t *testing.T) {
						text := n.Print(format)
						wantComplete(t, compare(t, all, text), all)
						if want := format == "csv" && protocol != export.IPFIX || sources != "127.0.0.1"; tells(t, all, text) != want {
							t.Errorf("it tells exporters apart: %v", !want)
						}
					})
				}
			})
		}
	}
}

// Our own collector has what was sent, as lines of JSON, as a file of IPFIX messages, and live.
func TestOwnFormats(t *testing.T) {
	var ipfix, lines bytes.Buffer
	c, out := collector.New(collector.Config{}), render.New(&lines, render.JSON, time.Time{}, nil)
	all := generated(t, export.IPFIX, "127.0.1.0/24", func(router int, data []byte) error {
		ipfix.Write(data)
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(router + 1)}), 1)
		return c.Decode(data, from, time.Time{}, func(r *collector.Record) { _ = out.Decoded(&r.Decoded) })
	})
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"JSON lines": lines.Bytes(), "IPFIX": ipfix.Bytes()} {
		t.Run(name, func(t *testing.T) {
			wantComplete(t, compare(t, all, text), all)
			if tells(t, all, text) != (name == "IPFIX") {
				t.Error("it tells exporters apart, or does not, other than its format does")
			}
		})
	}
	t.Run("live", func(t *testing.T) {
		conn, err := collector.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		addresses, _ := generate.ParseSources("127.0.1.0/24", 3)
		sockets, err := generate.Dial(conn.LocalAddr().(*net.UDPAddr).AddrPort(), addresses, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer sockets.Close()
		received := make(chan *verify.Received)
		go func() {
			r, _ := verify.Listen(context.Background(), conn, 2*time.Second)
			received <- r
		}()
		all := generated(t, export.NetFlow9, "127.0.1.0/24", sockets.Send)
		s := (<-received).Stored(all.exporters)
		s.Shows.Limit(all.lacks)
		wantComplete(t, verify.Compare(all.records, s.Records, s.Shows), all)
	})
}

// csvOf returns records as nfdump 1.7.1 prints them, in a way that can be tampered with.
func csvOf(t *testing.T) (truth, []string) {
	t.Helper()
	n, all := nfcapdStores(t, export.NetFlow9, "127.0.1.0/24")
	return all, strings.SplitAfter(string(n.Print("csv")), "\n")
}

// Each kind of tampering is found, and nothing else.
func TestTampering(t *testing.T) {
	all, lines := csvOf(t)
	const at = 500 // any line of a record
	change := func(column int, value func(string) string) []string {
		fields := strings.Split(lines[at], ",")
		fields[column] = value(fields[column])
		return []string{strings.Join(fields, ",")}
	}
	later := func(s string) string {
		at, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return at.Add(2 * time.Second).Format(time.DateTime)
	}
	const ts, te, da, packets, octets, router = 0, 1, 4, 11, 12, 44 // columns
	for _, c := range []struct {
		name string
		line []string // in place of the one
		kind verify.Kind
		want verify.Count // of all but those sent and complete
		of   string       // the field
	}{
		{"removed", nil, verify.Missing, verify.Count{Missing: 1}, ""},
		{"doubled", []string{lines[at], lines[at]}, verify.Duplicated, verify.Count{Duplicated: 1}, ""},
		{"a packet more", change(packets, func(s string) string { return "9" + s }), verify.Altered, verify.Count{Altered: 1}, "packetDeltaCount"},
		{"an octet less", change(octets, func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]^1) }), verify.Altered, verify.Count{Altered: 1}, "octetDeltaCount"},
		{"start 2 s later", change(ts, later), verify.Altered, verify.Count{Altered: 1}, "flowStartMilliseconds"},
		{"end 2 s later", change(te, later), verify.Altered, verify.Count{Altered: 1}, "flowEndMilliseconds"},
		{"another exporter", change(router, func(s string) string {
			if s == "127.0.1.1" {
				return "127.0.1.2"
			}
			return "127.0.1.1"
		}), verify.Altered, verify.Count{Altered: 1}, "exporter"},
		{"no exporter of the manifest", change(router, func(string) string { return "192.0.2.1" }), verify.Altered, verify.Count{Altered: 1}, "exporter"},
		{"one of another flow", append(change(da, func(string) string { return "203.0.113.9" }), lines[at]), verify.Unexpected, verify.Count{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Join(lines[:at], "") + strings.Join(c.line, "") + strings.Join(lines[at+1:], "")
			r := compare(t, all, []byte(text))
			got := r.Total
			if got.Sent != uint64(len(all.records)) || got.Complete != got.Sent-got.Missing-got.Altered {
				t.Errorf("counts %+v", got)
			}
			got.Sent, got.Complete = 0, 0
			if got != c.want || len(r.Differences) != 1 || r.Differences[0].Kind != c.kind || strings.Join(r.Differences[0].Fields, " ") != c.of ||
				r.Unexpected != 0 != (c.kind == verify.Unexpected) {
				t.Errorf("%+v, %d unexpected, %v", got, r.Unexpected, r.Differences)
			}
		})
	}
}

// What faults dropped, truncated and duplicated is named exactly, of what nfcapd stored; reordering,
// delays and jumps of the sequence number cost nothing, and it counts sequence failures.
func TestFaults(t *testing.T) {
	later := func(kind manifest.Fault) generate.Fault { // once the templates have arrived
		return generate.Fault{Kind: kind, Share: 0.02, Scope: generate.Scope{From: time.Second}}
	}
	n, all := nfcapdStores(t, export.NetFlow9, "127.0.1.0/24", func(c *generate.Config) {
		c.Faults = []generate.Fault{
			later(manifest.Drop), later(manifest.Duplicate), later(manifest.Reorder), later(manifest.Delay), later(manifest.Truncate), later(manifest.Jump),
		}
	})
	if n.Statistics().SequenceFailures == 0 {
		t.Error("nfcapd counts no sequence failure")
	}
	r := compare(t, all, n.Print("csv"))
	want := map[manifest.Fault]uint64{}
	for i := range all.records {
		want[all.records[i].Fault]++
	}
	// It keeps those sets of a truncated datagram that are whole (RFC 7011 §9.1 has it discard the message).
	missing := r.Total.Missing - want[manifest.Drop]
	if len(want) != 7 || missing == 0 || missing > want[manifest.Truncate] || r.Total.Duplicated != want[manifest.Duplicate] ||
		r.Total.ByFault != r.Total.Missing+r.Total.Duplicated || !r.Explained() || r.Complete() {
		t.Errorf("%+v instead of %v", r.Total, want)
	}
	for i := range r.Differences {
		d := &r.Differences[i]
		if d.Kind == verify.Missing && d.Want.Fault != manifest.Drop && d.Want.Fault != manifest.Truncate || d.Kind == verify.Duplicated && d.Want.Fault != manifest.Duplicate {
			t.Fatalf("%s: %s", d.Kind, d)
		}
	}
}

// What came without its template is missing at nfcapd, and nothing else: templates that changed it
// takes over, and withdrawals it obeys.
func TestTemplateFaults(t *testing.T) {
	for _, c := range []struct {
		protocol export.Protocol
		fault    string
	}{
		{export.NetFlow9, "late,to=5s"}, {export.IPFIX, "late,to=5s"}, {export.NetFlow9, "changed,from=5s"}, {export.IPFIX, "withdrawn,from=5s,to=8s"},
	} {
		t.Run(c.protocol.String()+" "+c.fault, func(t *testing.T) {
			fault, err := generate.ParseTemplateFault(c.fault)
			if err != nil {
				t.Fatal(err)
			}
			n, all := nfcapdStores(t, c.protocol, "127.0.1.0/24", func(g *generate.Config) { g.Templates = []generate.TemplateFault{fault} })
			undecodable := uint64(0)
			for i := range all.records {
				if all.records[i].Undecodable != "" {
					undecodable++
				}
			}
			r := compare(t, all, n.Print("csv"))
			if r.Total.Missing != undecodable || !r.Explained() || undecodable == 0 != (fault.Kind == manifest.Changed) {
				t.Errorf("%+v, %d unexpected, and %d have no template", r.Total, r.Unexpected, undecodable)
			}
		})
	}
}

// nfcapd has what routers sent that restarted, and sees each restart as a sequence failure.
func TestRestart(t *testing.T) {
	n, all := nfcapdStores(t, export.NetFlow9, "127.0.1.0/24", func(c *generate.Config) {
		c.Restarts = []generate.Restart{{At: 5 * time.Second}, {At: 10 * time.Second, Exporter: 2}}
	})
	wantComplete(t, compare(t, all, n.Print("csv")), all)
	if failures := n.Statistics().SequenceFailures; failures != 4 {
		t.Errorf("%d sequence failures of 4 restarts", failures)
	}
}
