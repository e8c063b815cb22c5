package daemon

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is what transparent huge pages are aligned to; where the machine's
// are larger, the alignment is in vain and harmless.
const hugePage = 2 << 20

// tableMemory returns zeroed memory for a flow cache, for the rest of the
// process's life: in huge pages where the kernel has some, because a cache of a
// million entries lies in more small ones than the processor can look up
// quickly, and with every page in place, so that no packet waits for one and the
// memory does not grow later. Without a mapping it falls back on Go's heap.
func tableMemory(octets int) []byte {
	size := (octets + hugePage - 1) &^ (hugePage - 1)
	b, err := unix.Mmap(-1, 0, size+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		b = make([]byte, octets)
	} else {
		b = b[-uintptr(unsafe.Pointer(&b[0]))%hugePage:]
		_ = unix.Madvise(b[:size], unix.MADV_HUGEPAGE) // EINVAL from a kernel without them
	}
	for i := 0; i < len(b); i += unix.Getpagesize() {
		b[i] = 0
	}
	return b[:octets]
}
