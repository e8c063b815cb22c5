//go:build linux

package kernel

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"cacheflow/bpf"
)

// victimLog is what left the sets of a CPU or passed them by: a queue that a run of the
// program writes to and this process alone reads (bpf/sets.h). Positions only ever grow,
// modulo 2^32.
type victimLog struct {
	places []bpf.ProgramFlow // a power of two of them; none where the ring has the victims
	state  *bpf.ProgramCpu
	open   uint32 // how many of the last ones are left alone while their generation is open
	at     uint32 // what has been read, up to here
}

// storesInOrder says whether every processor of this kind is known to show its stores to
// others in the order that it makes them in, which the program relies on to write a log.
const storesInOrder = runtime.GOARCH == "amd64" || runtime.GOARCH == "386"

// logPlace is the size in octets of a place in a log.
const logPlace = int(unsafe.Sizeof(bpf.ProgramFlow{}))

// end is up to where flows have been put.
func (l *victimLog) end() uint32 { return atomic.LoadUint32(&l.state.Logged) }

// readable is up to where it can be read: the last ones are left alone while runs of their
// generation may note something in them.
func (l *victimLog) readable(closing bool) uint32 {
	end := l.end()
	if closing || l.open == 0 {
		return end
	}
	if end-l.at <= l.open {
		return l.at
	}
	return end - l.open
}

// flow is the one at a position, which lies before end.
func (l *victimLog) flow(at uint32) *bpf.ProgramFlow { return &l.places[int(at)&(len(l.places)-1)] }

// release gives the places of what has been read back to the program.
func (l *victimLog) release() { atomic.StoreUint32(&l.state.Taken, l.at) }
