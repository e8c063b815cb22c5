package export

import (
	"flag"
	"os"
	"testing"
)

// Tests of exporters wait for collectors and timeouts more than they compute: more of them
// at once than there are processors take half the time. The flag -parallel overrides it.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}
