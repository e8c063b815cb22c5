//go:build linux

package route

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
)

// fib is a large IPv4 table as Readers see it. A trie of a million routes costs a
// lookup several loads that miss the processor's caches, one after the other;
// this costs one: an array by the first three octets of the address (DIR-24-8:
// Gupta, Lin, McKeown, "Routing lookups in hardware at memory access speeds",
// 1998). The few prefixes longer than /24 are in a trie that only the entries
// above them lead to; those up to /16 are in an array of their own, so that a
// change of a short prefix stays cheap.
//
// It takes 64 MiB of address space, and as much memory as its prefixes spread
// over. One goroutine writes, entry by entry; any may read at the same time, and
// finds for each address the route before a change or the one after it.
type fib struct {
	long   []uint32                 // by /24: index of the route of a prefix of /17 to /24
	short  [1 << 16]uint32          // by /16: the same up to /16, where long has none
	longer trie                     // prefixes longer than /24
	routes atomic.Pointer[[]*route] // by index; nil at 0, which stands for none
}

// below marks an entry of long under which there are, or were, longer prefixes.
const below = 1 << 31

// newFIB returns a fib of the IPv4 routes in t.
func newFIB(t *trie) *fib {
	f := &fib{long: make([]uint32, 1<<24), longer: newTrie()}
	f.routes.Store(&[]*route{nil})
	for p, r := range t.version.Load().All4() {
		f.insert(p, r)
	}
	f.longer.published = true
	return f
}

// lookup returns the route of the longest prefix that contains the address, nil
// for none. It may be called by any goroutine.
func (f *fib) lookup(n uint32) *route {
	e := atomic.LoadUint32(&f.long[n>>8])
	if e-1 >= below-1 { // none, or a longer one
		return f.lookupAround(n, e)
	}
	return (*f.routes.Load())[e]
}

// lookupAround looks among the prefixes that are not in e, the entry of long.
func (f *fib) lookupAround(n, e uint32) *route {
	if e&below != 0 {
		if r := f.longer.lookup(address4(n)); r != nil {
			return r
		}
		e &^= below
	}
	if e == 0 {
		e = atomic.LoadUint32(&f.short[n>>16])
	}
	return (*f.routes.Load())[e]
}

// insert makes r the route of p, whose length r knows.
func (f *fib) insert(p netip.Prefix, r *route) {
	if p.Bits() <= 24 {
		f.paint(p, -1, f.index(r))
		return
	}
	f.longer.insert(p, r)
	e := &f.long[first4(p)>>8]
	atomic.StoreUint32(e, *e|below)
}

// remove makes cover, the route of the next shorter prefix around p or nil, the
// answer where that of p was.
func (f *fib) remove(p netip.Prefix, cover *route) {
	switch {
	case p.Bits() > 24:
		f.longer.remove(p)
	case cover == nil || p.Bits() > 16 && cover.bits <= 16:
		f.paint(p, p.Bits(), 0)
	default:
		f.paint(p, p.Bits(), f.index(cover))
	}
}

// paint sets to e all entries within p whose route's length is between least and
// p's. Those of longer prefixes stay.
func (f *fib) paint(p netip.Prefix, least int, e uint32) {
	entries, width := f.short[:], 16
	if p.Bits() > 16 {
		entries, width = f.long, 24
	}
	first := int(first4(p) >> (32 - width))
	entries = entries[first : first+1<<(width-p.Bits())]
	for i, old := range entries {
		if n := f.length(old &^ below); least <= n && n <= p.Bits() {
			atomic.StoreUint32(&entries[i], old&below|e)
		}
	}
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

// first4 returns the first address of an IPv4 prefix.
func first4(p netip.Prefix) uint32 {
	a := p.Addr().As4()
	return binary.BigEndian.Uint32(a[:])
}

// address4 returns the address of a number.
func address4(n uint32) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], n)
	return netip.AddrFrom4(a)
}
