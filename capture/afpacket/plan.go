//go:build linux

package afpacket

import "os"

const (
	// maxRings is how many interfaces have a ring of their own; all further
	// ones share one.
	maxRings = 8
	// fullBlock is a block's size where the ring has room for a few of them:
	// some thousand frames, and still in the CPU's cache when they are read.
	fullBlock = 256 << 10
	// minBlocks is how many blocks a ring has at the least.
	minBlocks = 4
)

// minRing is the smallest ring, in octets: a block is a page at least.
func minRing() int { return minBlocks * os.Getpagesize() }

// blockSize returns the block size of a ring of the given memory.
func blockSize(memory int) int {
	size := os.Getpagesize()
	for size < fullBlock && size*2*minBlocks <= memory {
		size *= 2
	}
	return size
}

// A plan divides the ring memory of one worker. What it hands out never sums up
// to more than it was made with.
type plan struct {
	each   int // the share of each interface; 0 where their number is open
	pool   int // octets that are left for rings of their own
	shared int // octets of the ring that all further interfaces share
	rings  int // rings of their own
	least  int // a smaller share is not worth a ring
}

// newPlan divides memory for count interfaces that are there now or were named;
// open says that others may come.
func newPlan(memory, count int, open bool) plan {
	p := plan{least: max(minRing(), memory/64)}
	switch {
	case count > maxRings || count*minRing() > memory || open && memory < 2*minRing():
		p.shared = memory
	case open:
		p.shared = max(minRing(), memory/8)
		p.pool = memory - p.shared
	default:
		p.pool = memory
		p.each = memory / max(count, 1)
	}
	return p
}

// share returns the size of the ring of each of n interfaces that come at once;
// 0 sends them to the shared ring. Where others may come, a quarter of the pool
// is left for them.
func (p *plan) share(n int) int {
	size := p.each
	if size == 0 {
		size = p.pool / 4 * 3 / max(n, 1)
		if size < p.least {
			return 0
		}
	}
	return whole(size)
}

// whole rounds the size of a ring down to whole blocks.
func whole(size int) int {
	block := blockSize(size)
	return size / block * block
}

// take reports whether there is room for a ring of that size, and takes it.
func (p *plan) take(size int) bool {
	if size == 0 || p.rings == maxRings || p.pool < size {
		return false
	}
	p.rings++
	p.pool -= size
	return true
}

// give takes a ring's memory back.
func (p *plan) give(size int) {
	p.rings--
	p.pool += size
}
