//go:build amd64 || arm64

package prefetch

import "unsafe"

// lines has the processor load the cache lines in which the elements at[:n] of
// an array at base begin, whose elements are size octets long. It does not wait for
// them.
//
//go:noescape
func lines(base unsafe.Pointer, size uintptr, at *uint32, n int)
