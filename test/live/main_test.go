//go:build linux

package live_test

import (
	"flag"
	"os"
	"testing"

	"cacheflow/test/binary"
)

// long asks for the loads and times of the full test.
var long = os.Getenv("CACHEFLOW_LONG") != ""

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // what runs in parallel mostly waits; -parallel overrides it
	os.Exit(binary.Main(m))
}

// inParallel runs a light test, one that mostly waits, in both modes beside other
// such tests.
func inParallel(t *testing.T, test func(*testing.T, binary.Mode)) {
	t.Parallel()
	atOnce(t, test)
}

// atOnce runs a test in both modes at once, and beside no other: it waits, too, but not
// only.
func atOnce(t *testing.T, test func(*testing.T, binary.Mode)) {
	binary.InBothModes(t, func(t *testing.T, m binary.Mode) {
		t.Parallel()
		test(t, m)
	})
}
