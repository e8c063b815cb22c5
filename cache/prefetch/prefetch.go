// Package prefetch has the processor fetch from memory what is about to be needed,
// while it works on something else.
package prefetch

import "unsafe"

// Lines fetches, of each element of x that at tells, the cache line at an offset in
// octets into it. Each of at is an index of x: where there is no instruction for it the
// lines are loaded. Else it does not wait for them. Nothing but time depends on it.
func Lines[T any](x []T, offset uintptr, at []uint32) {
	base := unsafe.Add(unsafe.Pointer(unsafe.SliceData(x)), offset)
	lines(base, unsafe.Sizeof(x[0]), unsafe.SliceData(at), len(at))
}
