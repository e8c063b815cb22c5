package generate

import (
	"testing"
	"unsafe"
)

// A table gets as much as it asks for, zeroed, from where a huge page begins.
func TestTableMemory(t *testing.T) {
	for _, octets := range []int{hugePage, 5*hugePage + 4097} {
		b, err := tableMemory(octets)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != octets || uintptr(unsafe.Pointer(&b[0]))%hugePage != 0 {
			t.Errorf("asked for %d octets, got %d at %p", octets, len(b), b)
		}
		for i, v := range b {
			if v != 0 {
				t.Fatalf("octet %d is %d", i, v)
			}
		}
	}
}
