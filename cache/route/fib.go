//go:build linux

package route

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
)

// fib is the IPv4 table as Readers see it: an array of 2^16 blocks by the first
// two octets, whose 256 entries are by the third; each entry is the route of the
// longest prefix up to /24. A lookup is three loads, of which one misses the
// caches where the table is large. Longer prefixes, few in practice, are in a
// trie that only the entries above them lead to.
//
// One goroutine writes, entry by entry; any may read at the same time, and finds
// for each address the route before a change or the one after it.
type fib struct {
	blocks [1 << 16]atomic.Pointer[block]
	routes atomic.Pointer[[]*route] // by entry; nil at 0, which stands for no route
	longer trie                     // prefixes longer than /24

	// The owner's.
	own     [1 << 16]bool     // the block is this slot's own
	uniform map[uint32]*block // blocks of one entry throughout, shared by slots
}

type block [256]uint32

// below marks an entry under which there are, or were, prefixes longer than /24.
const below = 1 << 31

func newFIB() *fib {
	f := &fib{uniform: make(map[uint32]*block), longer: newTrie()}
	f.routes.Store(&[]*route{nil})
	none := f.filled(0)
	for i := range f.blocks {
		f.blocks[i].Store(none)
	}
	return f
}

// lookup returns the route of the longest prefix that contains the address, nil
// for none. It may be called by any goroutine.
func (f *fib) lookup(a [4]byte) *route {
	b := f.blocks[binary.BigEndian.Uint16(a[:])].Load()
	e := atomic.LoadUint32(&b[a[2]])
	if e&below != 0 {
		if r := f.longer.lookup(netip.AddrFrom4(a)); r != nil {
			return r
		}
		e &^= below
	}
	return (*f.routes.Load())[e]
}

// insert makes r the route of p, whose length r knows.
func (f *fib) insert(p netip.Prefix, r *route) {
	if p.Bits() > 24 {
		f.longer.insert(p, r)
		a := p.Addr().As4()
		e := f.entry(a)
		atomic.StoreUint32(e, *e|below)
		return
	}
	f.paint(p, -1, f.index(r))
}

// remove makes cover, the route of the next shorter prefix around p or nil, the
// answer where that of p was.
func (f *fib) remove(p netip.Prefix, cover *route) {
	if p.Bits() > 24 {
		f.longer.remove(p)
		return
	}
	var e uint32
	if cover != nil {
		e = f.index(cover)
	}
	f.paint(p, p.Bits(), e)
}

// paint sets to e all entries within p whose route's length is between least and
// p's. Those of longer prefixes stay.
func (f *fib) paint(p netip.Prefix, least int, e uint32) {
	a, bits := p.Addr().As4(), p.Bits()
	within := func(old uint32) bool {
		n := f.length(old)
		return least <= n && n <= bits
	}
	if bits > 16 {
		f.entry(a) // makes the block the slot's own
		b := f.blocks[binary.BigEndian.Uint16(a[:])].Load()
		set(b[int(a[2]):int(a[2])+1<<(24-bits)], within, e)
		return
	}
	first := int(binary.BigEndian.Uint16(a[:]))
	for i := first; i < first+1<<(16-bits); i++ {
		switch b := f.blocks[i].Load(); {
		case f.own[i]:
			set(b[:], within, e)
		case within(b[0]):
			f.blocks[i].Store(f.filled(e))
		}
	}
}

func set(entries []uint32, within func(uint32) bool, e uint32) {
	for i, old := range entries {
		if within(old &^ below) {
			atomic.StoreUint32(&entries[i], old&below|e)
		}
	}
}

// entry returns that of the address in a block of its slot's own.
func (f *fib) entry(a [4]byte) *uint32 {
	i := binary.BigEndian.Uint16(a[:])
	b := f.blocks[i].Load()
	if !f.own[i] {
		c := *b
		b = &c
		f.own[i] = true
		f.blocks[i].Store(b)
	}
	return &b[a[2]]
}

// filled returns the shared block of e.
func (f *fib) filled(e uint32) *block {
	b := f.uniform[e]
	if b == nil {
		b = new(block)
		for i := range b {
			b[i] = e
		}
		f.uniform[e] = b
	}
	return b
}

// index returns the entry that stands for r. It is r's for the life of the fib,
// so that a Reader that still holds it is never led to another route.
func (f *fib) index(r *route) uint32 {
	if r.index == 0 {
		old := *f.routes.Load()
		r.index = uint32(len(old))
		grown := append(old, r)
		f.routes.Store(&grown)
	}
	return r.index
}

// length returns the prefix length of an entry's route, -1 for none.
func (f *fib) length(e uint32) int {
	if e == 0 {
		return -1
	}
	return int((*f.routes.Load())[e].bits)
}
