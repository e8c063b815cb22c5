package prefetch

import (
	"slices"
	"testing"
)

// Lines returns, for any number of elements up to the last one of a slice, and leaves its
// list as it was. That it fetches what it should only time tells: see BenchmarkObserve of
// the cache.
func TestLines(t *testing.T) {
	x := make([][128]byte, 1000)
	for n := range 70 {
		at := make([]uint32, n)
		for i := range at {
			at[i] = uint32(len(x) - 1 - i*i%len(x))
		}
		before := slices.Clone(at)
		Lines(x, 0, at)
		Lines(x, 64, at)
		if !slices.Equal(at, before) {
			t.Fatalf("%d elements: changed", n)
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
