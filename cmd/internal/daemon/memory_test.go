package daemon

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A table gets as much as it asks for, aligned to two cache lines, with every
// page of it in place.
func TestTableMemory(t *testing.T) {
	page := unix.Getpagesize()
	for _, octets := range []int{3136, hugePage - 1, hugePage, 5*hugePage + 4097} {
		b, err := tableMemory(octets)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != octets || uintptr(unsafe.Pointer(&b[0]))%128 != 0 {
			t.Errorf("asked for %d octets, got %d at %p", octets, len(b), b)
		}
		pages := (octets + page - 1) / page
		reach := unsafe.Slice(unsafe.SliceData(b), pages*page) // the mapping is longer
		core := make([]byte, pages)
		if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&reach[0])), uintptr(len(reach)), uintptr(unsafe.Pointer(&core[0]))); errno != 0 {
			t.Fatal(errno)
		}
		for i := range core {
			if core[i]&1 == 0 {
				t.Fatalf("of %d octets page %d is not in place", octets, i)
			}
		}
	}
	if _, err := tableMemory(1 << 62 >> (64 - 8*unsafe.Sizeof(uintptr(0)))); err == nil {
		t.Error("no error for more than there is")
	}
}
