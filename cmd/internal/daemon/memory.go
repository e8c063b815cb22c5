package daemon

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is what transparent huge pages are aligned to; where the machine's
// are larger, the alignment is in vain and harmless.
const hugePage = 2 << 20

// tableMemory returns zeroed memory for a flow cache, for the rest of the
// process's life: in huge pages as far as it fills some and the kernel has them,
// because a cache of a million entries lies in more small ones than the processor
// can look up quickly; and with every page in place, so that no packet waits for
// one and the memory does not grow later.
func tableMemory(octets int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, octets+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d octets: %w", octets, err)
	}
	b = b[-uintptr(unsafe.Pointer(&b[0]))%hugePage:][:octets]
	if whole := octets &^ (hugePage - 1); whole > 0 {
		_ = unix.Madvise(b[:whole], unix.MADV_HUGEPAGE) // EINVAL from a kernel without them
	}
	for i, page := 0, os.Getpagesize(); i < len(b); i += page {
		b[i] = 0
	}
	return b, nil
}
