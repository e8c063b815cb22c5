//go:build linux

package kernel

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"cacheflow/bpf"
)

// victimLog is what left the sets of a CPU: a queue that a run of the program writes
// to and this process alone reads (bpf/sets.h). Positions only ever grow, modulo 2^32.
type victimLog struct {
	places []bpf.ProgramEntry // a power of two of them; none where the ring has the victims
	state  *bpf.ProgramCpu
	at     uint32 // what has been read, up to here
}

// storesInOrder says whether every processor of this kind is known to show its stores to
// others in the order that it makes them in, which the program relies on to write a log.
const storesInOrder = runtime.GOARCH == "amd64" || runtime.GOARCH == "386"

// logEntry is the size in octets of a place in a log.
const logEntry = int(unsafe.Sizeof(bpf.ProgramEntry{}))

// end is up to where entries have been put.
func (l *victimLog) end() uint32 { return atomic.LoadUint32(&l.state.Logged) }

// entry is the one at a position, which lies before end.
func (l *victimLog) entry(at uint32) *bpf.ProgramEntry { return &l.places[int(at)&(len(l.places)-1)] }

// release gives the places of what has been read back to the program.
func (l *victimLog) release() { atomic.StoreUint32(&l.state.Taken, l.at) }
