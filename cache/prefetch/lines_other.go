//go:build !amd64 && !arm64

package prefetch

import (
	"sync/atomic"
	"unsafe"
)

// lines loads the cache lines in which the elements at[:n] of an array at base
// begin, whose elements are size octets long: as far as the processor looks ahead,
// their misses overlap.
func lines(base unsafe.Pointer, size uintptr, at *uint32, n int) {
	for _, i := range unsafe.Slice(at, n) {
		atomic.LoadUint32((*uint32)(unsafe.Add(base, uintptr(i)*size)))
	}
}
