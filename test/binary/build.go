package binary

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"cacheflow/test/overlay"
)

// dir holds the binary while Main runs.
var dir string

// Main runs a package's tests and removes the binary after them. It is for
// TestMain: os.Exit(binary.Main(m)).
func Main(m interface{ Run() int }) int {
	var err error
	if dir, err = os.MkdirTemp("", "cacheflow-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	return m.Run()
}

// Path returns the binary's path; the first call builds it, with the same
// settings as make build. The package's TestMain calls Main.
func Path(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	if dir == "" {
		return "", fmt.Errorf("the package's TestMain does not call binary.Main")
	}
	path := filepath.Join(dir, "cacheflow")
	return path, goBuild(path)
})

// Edited returns the path of a binary that is built from the source with edits.
func Edited(t testing.TB, edits ...overlay.Edit) string {
	t.Helper()
	scratch := t.TempDir()
	edited, err := overlay.Write(root(), scratch, edits...)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(scratch, "cacheflow")
	if err := goBuild(path, "-overlay", edited); err != nil {
		t.Fatal(err)
	}
	return path
}

// root is the module's directory.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func goBuild(path string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-ldflags", "-X main.version=test", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "./cmd/cacheflow")...)
	cmd.Dir = root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binary: %v\n%s", err, out)
	}
	return nil
}
