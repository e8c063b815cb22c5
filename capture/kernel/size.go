//go:build linux

package kernel

import (
	"fmt"
	"math"
	"math/bits"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"cacheflow/bpf"
)

const (
	setSize  = int(unsafe.Sizeof(bpf.ProgramSet{}) + unsafe.Sizeof(bpf.ProgramSetDetails{}))
	tagsSize = 8  // of a set
	minShift = 6  // 64 sets: one chunk
	maxShift = 18 // a million entries
	// minFlows is how many flows of one CPU are worth a flip.
	minFlows = 256
	// queueShare is how many times the sets of one generation fit into a log, or into a
	// ring that has the victims too.
	queueShare = 4
	// ringShare is how many times the ring beside a log fits into it: what is not a
	// victim is rarer.
	ringShare = 2
	// wakeShare is how often user space is woken while a ring that nobody reads fills up.
	wakeShare = 4
	// maxOpen is more than a driver has come in at once, before it lets them out.
	maxOpen = 256
	// memoryShare is the part of the host's memory that the whole may take.
	memoryShare = 64
	// maxMemory keeps each array below 4 GiB, which old kernels refuse.
	maxMemory = 4 << 30
	// maxLogs is how many octets the logs of all CPUs, which are one array, may have.
	maxLogs = min(maxMemory/2, math.MaxInt/2+1)
)

// size is how large the maps are.
type size struct {
	cpus     int
	setShift int // log2 of the sets of one CPU in one generation
	ring     int // octets of each CPU's ring
	places   int // of each CPU's log; 0: victims go into the ring
}

func (s *size) sets() int    { return 1 << s.setShift }
func (s *size) entries() int { return s.sets() * bpf.Ways }

// open is how many flows, the last ones in a log, are not read before their generation is
// closed: the egress hook may still note where they leave.
func (s *size) open() uint32 { return uint32(min(s.places/4, maxOpen)) }

// memory is what the two generations, the logs and the rings take, in octets.
func (s *size) memory() int64 {
	return 2*int64(s.cpus)*int64(s.sets())*int64(setSize+tagsSize) + int64(s.cpus)*int64(s.ring+s.places*logPlace)
}

// newSize fits the maps to the host: what is asked for, or the default as far as
// it takes no more than a part of the memory.
func newSize(cfg *Config, cpus int, memory int64) (size, error) {
	s := size{cpus: cpus}
	if cpus > bpf.CPUs {
		return s, fmt.Errorf("%d CPUs: the program knows %d at most", cpus, bpf.CPUs)
	}
	entries := cfg.Entries
	if entries == 0 {
		entries = DefaultEntries
	}
	s.setShift = bits.Len(uint(entries/bpf.Ways)) - 1
	if s.entries() != entries || s.setShift < minShift || s.setShift > maxShift {
		return s, fmt.Errorf("%d entries in the kernel for each CPU: want a power of two, %d to %d",
			entries, bpf.Ways<<minShift, bpf.Ways<<maxShift)
	}
	if page := os.Getpagesize(); cfg.Ring != 0 && (cfg.Ring < page || cfg.Ring&(cfg.Ring-1) != 0 || cfg.Ring > 1<<30) {
		return s, fmt.Errorf("ring of %d octets: want a power of two, %d to %d", cfg.Ring, page, 1<<30)
	}
	s.fitQueues(cfg)
	for cfg.Entries == 0 && (s.memory() > memory/memoryShare || s.memory() > maxMemory) && s.setShift > minShift {
		s.setShift--
		s.fitQueues(cfg)
	}
	return s, nil
}

// wakeAfter is after how many flows on one CPU a generation is closed early: when all
// CPUs together may have made maxFlows, those that left as victims among them. What lasts
// is not handed over before, and the flow cache would take it for the oldest. Sets that
// overflow are no reason by themselves: a victim is no dearer than an entry that is
// drained, and a flip throws out what is worth keeping.
func (s *size) wakeAfter(maxFlows int) uint32 {
	if maxFlows == 0 {
		return math.MaxUint32
	}
	return uint32(max(maxFlows/s.cpus, minFlows))
}

// fitQueues says how long the logs and the rings are.
func (s *size) fitQueues(cfg *Config) {
	s.ring, s.places = cfg.Ring, 0
	if cfg.Ring == 0 {
		s.ring = max(queueShare*s.sets()*setSize, 16*os.Getpagesize())
	}
	if !storesInOrder || cfg.Simple || cfg.ringsOnly {
		return
	}
	s.places = s.ring / logPlace
	for int64(s.cpus)*int64(s.places)*int64(logPlace) > maxLogs {
		s.places /= 2
	}
	s.ring = max(s.places*logPlace/ringShare, os.Getpagesize())
}

// memory is the host's, in octets.
func memory() (int64, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("how much memory there is: %w", err)
	}
	return int64(info.Totalram) * int64(info.Unit), nil
}
