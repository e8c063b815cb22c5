//go:build linux

package live_test

import (
	"os"
	"testing"

	"cacheflow/test/binary"
)

// long asks for the loads and times of the full test.
var long = os.Getenv("CACHEFLOW_LONG") != ""

func TestMain(m *testing.M) { os.Exit(binary.Main(m)) }
