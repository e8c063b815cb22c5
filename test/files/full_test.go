package files

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cacheflow/test/binary"
)

// inNamespace says that the test's binary runs in a mount namespace of its own.
const inNamespace = "CACHEFLOW_TEST_MOUNTS"

// TestFullDisk writes to a file system that is too small. What does not fit is counted,
// said once and makes the replay fail; what is there is complete, and adds up.
func TestFullDisk(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		again(t)
		return
	}
	for _, name := range []string{"flows.ipfix", "flows.ipfix.gz", "flows.json"} {
		t.Run(name, func(t *testing.T) { full(t, name) })
	}
}

// again runs the test in a mount namespace, where its mounts are nobody else's.
func again(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	switch {
	case os.Getuid() != 0 && os.Getenv("CI") == "" && err != nil:
		t.Skip("skipping: mounting needs root")
	case err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()):
		t.Errorf("%v\n%s", err, out)
	}
}

func full(t *testing.T, name string) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=512k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	in, _ := capture(t, 60_000, 20_000)
	ledger := filepath.Join(t.TempDir(), "ledger.json")
	cmd := exec.Command(binary.Path(t), "replay", in, "--ledger", ledger, "-e", "file:"+filepath.Join(disk, name))
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the replay succeeds")
	}
	if n := strings.Count(string(out), "no space left on device"); n != 1 {
		t.Errorf("the reason is told %d times:\n%s", n, out)
	}
	sent, dropped := closes(t, ledger)
	complete, parts := names(t, disk)
	if sent == 0 || dropped == 0 || len(complete) == 0 || len(parts) > 0 {
		t.Fatalf("%d records sent, %d dropped, files %q, %q", sent, dropped, complete, parts)
	}
	read := strings.Count(string(listen(t, complete...)), "\n")
	if uint64(read) != sent {
		t.Errorf("%d records were sent, and %d are in %d files", sent, read, len(complete))
	}
}
