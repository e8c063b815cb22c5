package files

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/process"
)

// TestKill kills replays that write and rotate at random points. A replay makes the same
// records each time, in the same order; so what a killed one has written must be a beginning
// of all of them, without a gap and without a record that is there twice: first every file
// under a final name as a whole, then with what the next start completes.
func TestKill(t *testing.T) {
	for _, c := range []struct{ kind, name, rotate string }{
		{"ipfix", "%Y%m%d%H%M%S.ipfix", "time: 1s"},
		{"gzip", "%Y%m%d%H%M%S.ipfix.gz", "time: 2s"},
		{"json", "%Y%m%d%H%M%S.json", "time: 30s, size: 1MiB"},
	} {
		t.Run(c.kind, func(t *testing.T) { killed(t, c.name, c.rotate) })
	}
}

// patience bounds the kills of one kind of file.
const patience = 8 * time.Second

func killed(t *testing.T, name, rotate string) {
	in, _ := capture(t, 12_000, 4000)
	whole := t.TempDir()
	config, _ := configure(t, whole, name, rotate)
	cmd := exec.Command(binary.Path(t), "replay", in, "-c", config)
	began := time.Now()
	process.Run(t, cmd)
	duration := time.Since(began)
	complete, parts := names(t, whole)
	if len(complete) < 5 || len(parts) > 0 {
		t.Fatalf("%d files, %q", len(complete), parts)
	}
	want := listen(t, complete...)

	var kills, left, completed int
	for end := time.Now().Add(patience); time.Now().Before(end) || left == 0 && kills < 100; kills++ {
		dir := t.TempDir()
		config, _ := configure(t, dir, name, rotate)
		killAfter(t, exec.Command(binary.Path(t), "replay", in, "-c", config), time.Duration(rand.Int64N(int64(duration))))
		before, parts := names(t, dir)
		if len(parts) > 1 {
			t.Fatalf("more than one file was being written: %q", parts)
		}
		left += len(parts)
		checkBeginning(t, before, want)
		completeLeft(t, in, config)
		after, parts := names(t, dir)
		if len(parts) > 0 {
			t.Fatalf("not completed: %q", parts)
		}
		completed += len(after) - len(before)
		for _, path := range after[max(0, len(after)-3):] { // listen has read them all
			if filepath.Ext(path) != ".json" {
				decode(t, path)
			}
		}
		checkBeginning(t, after, want)
	}
	t.Logf("%d kills left %d parts, of which %d had something whole", kills, left, completed)
	if left == 0 {
		t.Error("no kill met a file that was being written")
	}
}

func killAfter(t *testing.T, cmd *exec.Cmd, d time.Duration) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(d)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// completeLeft starts an exporter to the same files, which has nothing to write: a replay of
// a capture without a packet, which is the header of in.
func completeLeft(t *testing.T, in, config string) {
	t.Helper()
	b, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pcap")
	if err := os.WriteFile(empty, b[:24], 0o600); err != nil {
		t.Fatal(err)
	}
	process.Run(t, exec.Command(binary.Path(t), "replay", empty, "-c", config))
}

// checkBeginning has listen read every file as a whole; together they are a beginning of want.
func checkBeginning(t *testing.T, paths []string, want []byte) {
	t.Helper()
	if len(paths) == 0 {
		return
	}
	if got := listen(t, paths...); !bytes.HasPrefix(want, got) || len(got) == 0 {
		t.Fatalf("%d octets of JSON in %d files are no beginning of %d", len(got), len(paths), len(want))
	}
}
