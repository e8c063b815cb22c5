//go:build !amd64 && !arm64

package prefetch

import "unsafe"

// lines loads the first octets of the elements at[:n] of an array at base, whose elements
// are size octets long. The loads do not depend on each other: as far as the processor
// looks ahead, their misses overlap. What it returns is there for them not to be left out.
//
//go:noinline
func lines(base unsafe.Pointer, size uintptr, at *uint32, n int) (x byte) {
	for _, i := range unsafe.Slice(at, n) {
		x ^= *(*byte)(unsafe.Add(base, uintptr(i)*size))
	}
	return x
}
