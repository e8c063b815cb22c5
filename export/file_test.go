package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// testLine is a line that names the record by its ports.
func testLine(b []byte, r *flow.Record, _ int64) []byte {
	b = append(b, `{"sourceTransportPort":`...)
	b = append(b, []byte{'1' + byte(r.SrcPort%9)}...)
	return append(b, '}')
}

// fileConfig writes to files below a new directory, in the time of the records.
func fileConfig(t testing.TB, path string, p Protocol) Config {
	return Config{
		Protocol: p, Line: testLine, Epoch: func() time.Time { return testEpoch },
		File: File{Path: filepath.Join(t.TempDir(), path), Gzip: strings.HasSuffix(path, ".gz")},
	}
}

// writeFiles has an exporter write rs and end.
func writeFiles(t testing.TB, cfg Config, rs []flow.Record) Stats {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- e.Run(context.Background()) }()
	if err := e.PutWait(context.Background(), rs); err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return checkLedger(t, e)
}

// spread returns n records that leave the cache one after the other, over a time.
func spread(n int, over time.Duration) []flow.Record {
	rs := make([]flow.Record, n)
	for i := range rs {
		rs[i] = record4()
		rs[i].SrcPort = uint16(i)
		rs[i].Last = flow.Time(i) * flow.Time(over) / flow.Time(n)
		rs[i].First, rs[i].Expired = rs[i].Last, rs[i].Last
	}
	return rs
}

// names returns the names of the files below the directory of path.
func names(t testing.TB, path string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// unpack returns what is in a file, unpacked as a whole.
func unpack(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(z); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return b
}

// decodeFile decodes a file as a Transport Session of its own with goflow2: every message,
// sequence numbers from 0 without a gap. It returns the source ports of the records.
func decodeFile(t testing.TB, path string) (ports []int) {
	t.Helper()
	c := newCollector(t)
	sequence := uint32(0)
	for b := unpack(t, path); len(b) > 0; {
		n := int(be.Uint16(b[2:]))
		if n < header10 || n > len(b) {
			t.Fatalf("%s: a message of %d octets where %d are left", path, n, len(b))
		}
		c.receive(b[:n])
		b = b[n:]
		d := &c.messages[len(c.messages)-1]
		if d.sequence != sequence {
			t.Fatalf("%s: sequence number %d instead of %d", path, d.sequence, sequence)
		}
		for _, v := range d.records() {
			ports = append(ports, int(v.uint(sourceTransportPort)))
		}
		sequence += uint32(len(d.records()) + len(d.options()))
	}
	return ports
}

// decodeFiles decodes all files, which must be complete, in the order of their names.
func decodeFiles(t testing.TB, cfg Config) (ports []int) {
	t.Helper()
	for _, name := range names(t, cfg.File.Path) {
		if strings.HasSuffix(name, partSuffix) {
			t.Errorf("%s is left", name)
		}
		ports = append(ports, decodeFile(t, filepath.Join(filepath.Dir(cfg.File.Path), name))...)
	}
	return ports
}

// countTo returns 0 to n-1.
func countTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// TestRotationByTime: a file begins at each multiple of the period in the records' time, and
// is a Transport Session of its own that loses nothing.
func TestRotationByTime(t *testing.T) {
	for _, suffix := range []string{".ipfix", ".ipfix.gz"} {
		cfg := fileConfig(t, "flows-%Y%m%d-%H%M%S"+suffix, IPFIX)
		cfg.File.Period = time.Minute
		cfg.Sampling = Sampling{Interval: 9} // options data count in the sequence
		writeFiles(t, cfg, spread(1000, 150*time.Second))
		want := []string{"flows-20231114-221320" + suffix, "flows-20231114-221400" + suffix, "flows-20231114-221500" + suffix}
		if got := names(t, cfg.File.Path); !slices.Equal(got, want) {
			t.Errorf("files %q instead of %q", got, want)
		}
		if got := decodeFiles(t, cfg); !slices.Equal(got, countTo(1000)) {
			t.Errorf("%s: %d records, or in another order", suffix, len(got))
		}
		second := decodeFile(t, filepath.Join(filepath.Dir(cfg.File.Path), want[1]))
		if first := int(40*time.Second/(150*time.Millisecond)) + 1; second[0] != first { // the first one that left at 22:14:00 or later
			t.Errorf("the second file begins with record %d instead of %d", second[0], first)
		}
	}
}

// TestRotationBySize: no file has more octets than it may.
func TestRotationBySize(t *testing.T) {
	cfg := fileConfig(t, "flows.ipfix", IPFIX)
	cfg.MTU, cfg.File.Size = 1400, 20_000
	writeFiles(t, cfg, spread(1000, time.Second))
	all := names(t, cfg.File.Path)
	if len(all) < 5 || !slices.Contains(all, "flows.ipfix") || !slices.Contains(all, "flows-3.ipfix") {
		t.Errorf("files %q", all)
	}
	var got []int
	for _, name := range all {
		path := filepath.Join(filepath.Dir(cfg.File.Path), name)
		if n := len(unpack(t, path)); n > 20_000 {
			t.Errorf("%s has %d octets", name, n)
		}
		got = append(got, decodeFile(t, path)...)
	}
	slices.Sort(got)
	if !slices.Equal(got, countTo(1000)) {
		t.Errorf("%d records", len(got))
	}
}

// TestLiveRotation: a live file is complete soon after its period, also when no record comes
// any more.
func TestLiveRotation(t *testing.T) {
	cfg := fileConfig(t, "flows-%S.ipfix", IPFIX)
	cfg.File.Period = time.Second
	cfg.Now = liveNow
	e := startExporter(t, cfg)
	e.Put(spread(10, time.Second))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if all := names(t, cfg.File.Path); len(all) > 0 && !strings.HasSuffix(all[0], partSuffix) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no complete file after 10 s: %q", names(t, cfg.File.Path))
		}
	}
	if got := decodeFiles(t, cfg); len(got) != 10 {
		t.Errorf("%d records", len(got))
	}
}

// TestLines: a file of lines is what the encoder of lines made.
func TestLines(t *testing.T) {
	for _, suffix := range []string{".json", ".json.gz"} {
		cfg := fileConfig(t, "flows"+suffix, JSON)
		rs := spread(5000, time.Hour)
		if s := writeFiles(t, cfg, rs); s.Sent.Records != 5000 {
			t.Errorf("%+v", s)
		}
		var want []byte
		for i := range rs {
			want = append(testLine(want, &rs[i], 0), '\n')
		}
		if got := unpack(t, cfg.File.Path); !bytes.Equal(got, want) {
			t.Errorf("%s: %d octets instead of %d, or others", suffix, len(got), len(want))
		}
	}
}

// TestTakenNames: neither a file nor what another process writes is overwritten.
func TestTakenNames(t *testing.T) {
	cfg := fileConfig(t, "flows.ipfix", IPFIX)
	other, err := os.Create(numbered(cfg.File.Path, 1) + partSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if !own(other) {
		t.Fatal("cannot lock")
	}
	if err := os.WriteFile(cfg.File.Path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.MTU, cfg.File.Size = 1400, 20_000
	writeFiles(t, cfg, spread(200, time.Second))
	if b, err := os.ReadFile(cfg.File.Path); string(b) != "mine" {
		t.Errorf("overwritten: %d octets, %v", len(b), err)
	}
	if all := names(t, cfg.File.Path); !slices.Contains(all, "flows-1.ipfix.part") || !slices.Contains(all, "flows-2.ipfix") || !slices.Contains(all, "flows-3.ipfix") {
		t.Errorf("files %q", all)
	}
	if n := strings.Count(log.String(), "files get numbers"); n != 1 {
		t.Errorf("told %d times that names get numbers", n)
	}
}

// TestFileTrouble: what cannot be written is counted, told once, and tried again; the file
// that is written then can be read by itself.
func TestFileTrouble(t *testing.T) {
	cfg := fileConfig(t, "below/flows.ipfix", IPFIX)
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.MTU = 1400
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, e)
	rs := spread(300, time.Second)
	if err := e.PutWait(t.Context(), rs[:150]); err != nil {
		t.Fatal(err)
	}
	waitQuiet(t, e)
	time.Sleep(fileRetry)
	if err := os.Mkdir(filepath.Dir(cfg.File.Path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := e.PutWait(t.Context(), rs[150:]); err != nil {
		t.Fatal(err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := checkLedger(t, e)
	got := decodeFiles(t, cfg)
	if lost := s.Dropped[NotWritten].Records; lost < 100 || lost > 160 || int(s.Sent.Records) != len(got) || len(got) == 0 {
		t.Errorf("%d records lost, %d written, %d read", lost, s.Sent.Records, len(got))
	}
	if text := log.String(); strings.Count(text, "cannot be written") != 1 || !strings.Contains(text, "no such file") {
		t.Errorf("told:\n%s", text)
	}
}

func TestFileNames(t *testing.T) {
	at := time.Date(2026, 11, 27, 6, 5, 4, 0, time.FixedZone("", 3600))
	for path, want := range map[string]string{
		"/d.d/flows-%Y%m%d-%H%M%S.ipfix.gz": "/d.d/flows-20261127-050504-2.ipfix.gz",
		"flows.json":                        "flows-2.json",
		"%Y.%m":                             "2026.11-2",
		"100%%.ipfix":                       "100%-2.ipfix",
		"flows.txt":                         "flows.txt-2",
	} {
		n, err := newFileName(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got := numbered(n.at(at), 2)
		if got != want {
			t.Errorf("%s: %s instead of %s", path, got, want)
		}
		if part := filepath.Base(got) + partSuffix; !n.parts.MatchString(part) {
			t.Errorf("%s does not know %s", path, part)
		}
	}
	for _, path := range []string{"/var/lib/", "%Y/flows.ipfix", "flows-%j.ipfix", "flows%"} {
		if err := CheckFilePath(path); err == nil {
			t.Errorf("%s is accepted", path)
		}
	}
}

func TestFileConfig(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"netflow9 has no file format": func(c *Config) { c.Protocol = NetFlow9 },
		"netflow5 has no file format": func(c *Config) { c.Protocol = NetFlow5 },
		"needs what makes a line":     func(c *Config) { c.Protocol, c.Line = JSON, nil },
		"json is for files":           func(c *Config) { c.Protocol, c.File, c.Address = JSON, File{}, "127.0.0.1:2055" },
		"at least four messages":      func(c *Config) { c.File.Size = 100_000 },
		"want more than 0":            func(c *Config) { c.File.Period = -1 },
	} {
		cfg := fileConfig(t, "flows.ipfix", IPFIX)
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v instead of %q", err, what)
		}
	}
}

// TestFileAllocations: nothing is allocated for a record, or a message, on its way to a file.
func TestFileAllocations(t *testing.T) {
	for _, suffix := range []string{".ipfix", ".ipfix.gz", ".json.gz"} {
		p := IPFIX
		if strings.HasPrefix(suffix, ".json") {
			p = JSON
		}
		s := fileSender(t, fileConfig(t, "flows"+suffix, p))
		rs := records(256)
		s.encode(rs)
		if n := testing.AllocsPerRun(100, func() { s.encode(rs) }); n != 0 {
			t.Errorf("%s: %v allocations for %d records", suffix, n, len(rs))
		}
	}
}

// fileSender returns a sender that writes to files.
func fileSender(t testing.TB, cfg Config) *sender {
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFileWriter(e.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s := newSender(e, f)
	s.ctx = t.Context()
	return s
}

// BenchmarkFile measures a record from the queue to where files go, which is memory where
// /dev/shm is.
func BenchmarkFile(b *testing.B) {
	for _, suffix := range []string{".ipfix", ".ipfix.gz"} {
		b.Run(suffix[1:], func(b *testing.B) {
			cfg := fileConfig(b, "flows"+suffix, IPFIX)
			if dir, err := os.MkdirTemp("/dev/shm", "flows"); err == nil {
				cfg.File.Path = filepath.Join(dir, "flows"+suffix)
				b.Cleanup(func() { os.RemoveAll(dir) })
			}
			cfg.File.Size = 16 << 20
			s := fileSender(b, cfg)
			rs := spread(256, time.Millisecond)
			for b.Loop() {
				s.encode(rs)
				for _, name := range names(b, cfg.File.Path) { // so that memory suffices
					if !strings.HasSuffix(name, partSuffix) {
						os.Remove(filepath.Join(filepath.Dir(cfg.File.Path), name))
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rs)), "ns/record")
		})
	}
}
