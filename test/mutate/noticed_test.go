package mutate

import (
	"os"
	"path/filepath"
	"testing"

	"cacheflow/test/netns"
)

// onDemand skips the test unless it is asked for, and returns the module's root. The test
// is parallel: one slow mutation does not hold up those of another test.
func onDemand(t *testing.T) string {
	t.Helper()
	t.Parallel()
	if os.Getenv("CACHEFLOW_MUTATE") == "" && os.Getenv("CI") == "" {
		t.Skip("skipping: make mutate asks for this test, which compiles the program once per mutation")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// noticed fails where m survives its test. As many run at a time as there are CPUs, each
// in a namespace of its own: an address that another one has would look like a failure.
func noticed(t *testing.T, root string, m Mutation) {
	t.Helper()
	t.Parallel()
	survives, err := m.Survives(root, t.TempDir(), netns.New(t).Command)
	if err != nil {
		t.Fatal(err)
	}
	if survives {
		t.Errorf("%s still passes", m.Test)
	}
}
