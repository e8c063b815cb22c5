package export

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// abandon has an exporter write rs and never end, as if it were killed. It returns how many
// records count as sent, and what is in the one file that it leaves.
func abandon(t *testing.T, cfg Config, rs []flow.Record) (sent int, left []byte) {
	t.Helper()
	f, err := newFileWriter(must(cfg.withDefaults()))
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := newSender(e, f)
	s.ctx = t.Context()
	s.encode(rs)
	left, err = os.ReadFile(f.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	f.file.Close() // which unlocks, as a killed process does
	return int(e.Stats().Sent.Records), left
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestLeftFiles cuts the file that a killed exporter left at every length, and fills it up
// with zeros, as after a loss of power: the next start completes what is whole.
func TestLeftFiles(t *testing.T) {
	t.Parallel()
	step := 1
	if testing.Short() {
		step = 7
	}
	for _, suffix := range []string{".ipfix", ".ipfix.gz", ".json", ".json.gz"} {
		p := IPFIX
		if strings.Contains(suffix, "json") {
			p = JSON
		}
		cfg := fileConfig(t, "flows-%S"+suffix, p)
		cfg.MTU = 512
		sent, left := abandon(t, cfg, spread(9, time.Minute))
		part := filepath.Join(filepath.Dir(cfg.File.Path), names(t, cfg.File.Path)[0])
		for _, zeros := range []int{0, 9} {
			most := 0
			for cut := len(left) % step; cut <= len(left); cut += step {
				if err := os.WriteFile(part, append(slices.Clone(left[:cut]), make([]byte, zeros)...), 0o600); err != nil {
					t.Fatal(err)
				}
				got := recovered(t, cfg, p)
				if got < most || cut == len(left) && got != sent {
					t.Fatalf("%s: of %d octets and %d zeros %d records, before %d, sent %d", suffix, cut, zeros, got, most, sent)
				}
				most = got
			}
			if most == 0 {
				t.Errorf("%s: nothing was completed", suffix)
			}
		}
	}
}

// recovered starts a writer and returns how many records it completed.
func recovered(t *testing.T, cfg Config, p Protocol) (n int) {
	t.Helper()
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := newFileWriter(must(cfg.withDefaults())); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "completed a file that a killed run has left") {
		t.Fatalf("not told:\n%s", log.String())
	}
	for _, name := range names(t, cfg.File.Path) {
		path := filepath.Join(filepath.Dir(cfg.File.Path), name)
		if p == JSON {
			n += bytes.Count(unpack(t, path), []byte("}\n"))
		} else {
			n += len(decodeFile(t, path))
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestLeftAlone: what another process writes, and what has another name, is not touched.
func TestLeftAlone(t *testing.T) {
	cfg := fileConfig(t, "flows-%S.ipfix", IPFIX)
	dir := filepath.Dir(cfg.File.Path)
	others := []string{"flows-1.ipfix.part", "flows-00.ipfix", "flows-00.ipfix.part.old", "my-flows-00.ipfix.part", "flows-00.json.part"}
	for _, name := range append(others, "flows-07.ipfix.part") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := os.Open(filepath.Join(dir, "flows-07.ipfix.part"))
	if err != nil || !own(busy) {
		t.Fatal("cannot lock", err)
	}
	defer busy.Close()
	before := names(t, cfg.File.Path)
	if _, err := newFileWriter(must(cfg.withDefaults())); err != nil {
		t.Fatal(err)
	}
	if after := names(t, cfg.File.Path); !slices.Equal(before, after) {
		t.Errorf("%q instead of %q", after, before)
	}
}

// FuzzScan: however a file is damaged, what is kept of it is whole messages, and no more of
// it than there is.
func FuzzScan(f *testing.F) {
	f.Add([]byte("\x00\x0a\x00\x10 time seq  dom \x00\x0a\x00\x11"), false)
	f.Add([]byte("{}\n{\"a\":1}\n{"), true)
	f.Fuzz(func(t *testing.T, b []byte, lines bool) {
		unit := scanners[IPFIX]
		if lines {
			unit = scanners[JSON]
		}
		n, err := unit.scan(bytes.NewReader(b))
		if n > int64(len(b)) || (n == int64(len(b))) != (err == nil) {
			t.Fatalf("%d of %d octets, %v", n, len(b), err)
		}
		if again, err := unit.scan(bytes.NewReader(b[:n])); again != n || err != nil {
			t.Fatalf("%d of %d octets that are whole: %v", again, n, err)
		}
	})
}
