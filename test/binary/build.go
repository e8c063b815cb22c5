package binary

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
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
	cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-X main.version=test", "-o", path, "./cmd/cacheflow")
	_, file, _, _ := runtime.Caller(0)
	cmd.Dir = filepath.Join(filepath.Dir(file), "..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary: %v\n%s", err, out)
	}
	return path, nil
})
