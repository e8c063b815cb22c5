package export

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// Tests of exporters wait for collectors and timeouts more than they compute: more of them
// at once than there are processors take half the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
