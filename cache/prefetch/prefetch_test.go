package prefetch

import (
	"slices"
	"testing"
)

// Lines reads as far as it is told, and changes nothing: neither here nor in the registers
// and the stack of its caller.
func TestLines(t *testing.T) {
	type element [128]byte
	x := make([]element, 1000)
	for n := range 70 {
		at := make([]uint32, n)
		for i := range at {
			at[i] = uint32(i * i % len(x))
		}
		sum := uint32(0)
		for _, offset := range []uintptr{0, 64} {
			before := slices.Clone(at)
			Lines(x, offset, at)
			if !slices.Equal(at, before) {
				t.Fatalf("%d elements: changed", n)
			}
			sum += uint32(n)
		}
		if sum != 2*uint32(n) {
			t.Fatalf("%d elements: the caller lost count", n)
		}
	}
	for i := range x {
		if x[i] != (element{}) {
			t.Fatalf("element %d was written to", i)
		}
	}
}

// BenchmarkLines fetches lines that are in the processor's cache already: what it costs
// where it is not needed.
func BenchmarkLines(b *testing.B) {
	x := make([][64]byte, 256)
	at := make([]uint32, 16)
	for i := range at {
		at[i] = uint32(i * 37 % len(x))
	}
	for i := 0; i < b.N; i += len(at) {
		Lines(x, 0, at)
	}
}
