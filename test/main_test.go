package test

import (
	"os"
	"testing"

	"cacheflow/test/binary"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m)) }
