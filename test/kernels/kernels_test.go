//go:build linux

package kernels_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"cacheflow/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m)) }

// kernel is a released kernel and what the program is to do on it.
type kernel struct {
	name    string
	suite   string // of Debian
	variant string // the package that depends on its newest image
	// modes are the values of --capture to be tried, each with the mode of capture
	// that the ledger must then tell.
	modes string
}

var kernels = []kernel{
	{"5.10", "bullseye", "linux-image-amd64", "auto=clsact,afpacket=af_packet"},
	{"6.1", "bookworm", "linux-image-amd64", "auto=clsact,afpacket=af_packet"},
	{"6.1-rt", "bookworm", "linux-image-rt-amd64", "auto=clsact,afpacket=af_packet"},
	{"6.12", "trixie", "linux-image-amd64", "auto=tcx,clsact=clsact,afpacket=af_packet"},
}

// asked says that the test is wanted, so that nothing may keep it from running.
var asked = os.Getenv("CACHEFLOW_TEST_KERNELS") != ""

func TestKernels(t *testing.T) {
	if !asked && os.Getenv("CI") == "" {
		t.Skip("skipping: make test-kernels asks for this test")
	}
	if runtime.GOARCH != "amd64" {
		unavailable(t, "the kernels are amd64's")
	}
	if _, err := exec.LookPath(emulator); err != nil {
		unavailable(t, emulator+" is not installed; make test-kernels installs it")
	}
	guest, program := buildGuest(t), binary.Path(t)
	for i, k := range kernels {
		t.Run(k.name, func(t *testing.T) {
			image, err := k.image()
			if err != nil {
				unavailable(t, err.Error())
			}
			m := machine{image: image, guest: guest, program: program, modes: k.modes, limit: share(t, len(kernels)-i)}
			m.run(t)
		})
	}
}

// share returns what of the time that is left one of so many machines may take.
func share(t *testing.T, machines int) time.Duration {
	deadline, ok := t.Deadline()
	if !ok {
		return time.Hour
	}
	return (time.Until(deadline) - 10*time.Second) / time.Duration(machines)
}

// unavailable skips the test, or fails it where it was asked for.
func unavailable(t *testing.T, reason string) {
	t.Helper()
	if asked {
		t.Fatal(reason)
	}
	t.Skip("skipping: " + reason)
}

// buildGuest builds the tests that run inside, and returns the file.
func buildGuest(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "guest")
	cmd := exec.Command("go", "test", "-c", "-ldflags", "-s -w", "-o", name, "./guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, out)
	}
	return name
}
