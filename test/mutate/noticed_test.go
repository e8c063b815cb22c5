package mutate

import (
	"os"
	"path/filepath"
	"testing"
)

// onDemand skips the test unless it is asked for, and returns the module's root.
func onDemand(t *testing.T) string {
	t.Helper()
	if os.Getenv("CACHEFLOW_MUTATE") == "" && os.Getenv("CI") == "" {
		t.Skip("skipping: make mutate asks for this test, which compiles the program once per mutation")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// noticed fails where m survives its test. As many run at a time as there are CPUs.
func noticed(t *testing.T, root string, m Mutation) {
	t.Helper()
	t.Parallel()
	survives, err := m.Survives(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if survives {
		t.Errorf("%s still passes", m.Test)
	}
}
