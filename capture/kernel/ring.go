//go:build linux

package kernel

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"cacheflow/bpf"
)

// ring is a BPF ring buffer that this process alone reads: a page with the
// consumer's position, one with the producer's, and the data twice in a row, so
// that no record is broken (kernel/bpf/ringbuf.c). Positions are unsigned longs of the
// kernel that only ever grow, modulo their size.
type ring struct {
	fd       int
	consumer *uintptr // ours to write
	producer *uintptr
	data     []byte // twice the ring
	mask     uintptr
	at       uintptr // what has been read, up to here
}

// Each record begins with its length, of which two bits are flags, and the offset
// of its page; records are aligned to eight octets.
const (
	recordHeader = 8
	busyBit      = 1 << 31
	discardBit   = 1 << 30
)

// mapRing maps the ring m.
func (p *program) mapRing(m *ebpf.Map) (ring, error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	consumer, err := p.mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return ring{}, err
	}
	b, err := p.mmap(m.FD(), int64(page), page+2*size, unix.PROT_READ)
	if err != nil {
		return ring{}, err
	}
	if size&(size-1) != 0 {
		return ring{}, fmt.Errorf("a ring of %d octets", size)
	}
	return ring{
		fd:       m.FD(),
		consumer: (*uintptr)(unsafe.Pointer(&consumer[0])),
		producer: (*uintptr)(unsafe.Pointer(&b[0])),
		data:     b[page:],
		mask:     uintptr(size - 1),
	}, nil
}

// end is up to where records have been made, committed or not.
func (r *ring) end() uintptr { return atomic.LoadUintptr(r.producer) }

// next returns the record at the position at, which lies before end, and the
// position behind it. It returns no record where one was given up, and ok = false
// where the next is not committed yet.
func (r *ring) next(at uintptr) (record *bpf.ProgramRecord, behind uintptr, ok bool) {
	h := &r.data[at&r.mask]
	length := atomic.LoadUint32((*uint32)(unsafe.Pointer(h)))
	if length&busyBit != 0 {
		return nil, at, false
	}
	octets := length &^ (busyBit | discardBit)
	behind = at + (uintptr(octets)+recordHeader+7)&^7
	if length&discardBit != 0 {
		return nil, behind, true
	}
	return (*bpf.ProgramRecord)(unsafe.Add(unsafe.Pointer(h), recordHeader)), behind, true
}

// release gives what has been read back to the program.
func (r *ring) release() { atomic.StoreUintptr(r.consumer, r.at) }
