package generate

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// hugePage is what transparent huge pages are aligned to; where the machine's are
	// larger, the alignment is in vain and harmless.
	hugePage = 2 << 20
	// maxHuge bounds the octets of all routers' tables together that may be in huge pages:
	// one flow in a table takes several of them.
	maxHuge = 256 << 20
)

// tableMemory returns zeroed memory of hugePage octets or more for a router's flow cache, in huge
// pages as far as the kernel has them: 50 000 flows that live lie in more small ones than the processor can look
// up quickly. A page takes memory once it is used.
func tableMemory(octets int) ([]byte, error) {
	b := make([]byte, octets+hugePage)
	b = b[-uintptr(unsafe.Pointer(&b[0]))%hugePage:][:octets]
	_ = unix.Madvise(b[:octets&^(hugePage-1)], unix.MADV_HUGEPAGE) // EINVAL from a kernel without them
	return b, nil
}
