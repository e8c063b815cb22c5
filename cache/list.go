package cache

// link is a slot's neighbours in a doubly linked ring of slot numbers.
type link struct{ prev, next uint32 }

// links is the memory of one or more rings, apart from the slots, so that
// moving an entry touches a few octets only. Numbers from the table's size on
// are the rings' sentinels: next of a sentinel is the newest, prev the oldest.
type links []link

// newLinks has room for entries slots and as many empty rings as asked for.
func newLinks(entries, rings int) links {
	l := make(links, entries+rings)
	for i := entries; i < len(l); i++ {
		l[i] = link{uint32(i), uint32(i)}
	}
	return l
}

// pushFront makes slot i the newest of the ring of sentinel s.
func (l links) pushFront(s, i uint32) {
	n := l[s].next
	l[i] = link{prev: s, next: n}
	l[n].prev = i
	l[s].next = i
}

// remove takes slot i out of its ring.
func (l links) remove(i uint32) {
	p, n := l[i].prev, l[i].next
	l[p].next = n
	l[n].prev = p
}

// moveFront makes slot i, which is in the ring of sentinel s, its newest.
func (l links) moveFront(s, i uint32) {
	if l[s].next == i {
		return
	}
	l.remove(i)
	l.pushFront(s, i)
}

// oldest returns the oldest slot of the ring, or s itself where it is empty.
func (l links) oldest(s uint32) uint32 { return l[s].prev }
