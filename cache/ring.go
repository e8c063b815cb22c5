package cache

// link is a slot's neighbours in a doubly linked ring of slot numbers.
type link struct{ prev, next uint32 }

// ring is one of the two kinds of ring that every flow is in: by use or by age.
type ring int

const (
	byUse ring = iota
	byAge
	rings
)

// sentinels is how many rings of one kind there are at the most.
const sentinels = 2

// nodes is the memory of the rings. Numbers from the table's size on are the
// rings' sentinels: next of a sentinel is the newest, prev the oldest.
type nodes []node

// newNodes makes the sentinels of x, the last ones of it, empty rings.
func newNodes(x nodes) nodes {
	for i := len(x) - sentinels; i < len(x); i++ {
		self := link{uint32(i), uint32(i)}
		x[i].links = [rings]link{self, self}
	}
	return x
}

// pushFront makes slot i the newest of the ring of sentinel s.
func (x nodes) pushFront(r ring, s, i uint32) {
	n := x[s].links[r].next
	x[i].links[r] = link{prev: s, next: n}
	x[n].links[r].prev = i
	x[s].links[r].next = i
}

// remove takes slot i out of its ring.
func (x nodes) remove(r ring, i uint32) {
	l := x[i].links[r]
	x[l.prev].links[r].next = l.next
	x[l.next].links[r].prev = l.prev
}

// moveFront makes slot i, which is in the ring of sentinel s, its newest.
func (x nodes) moveFront(r ring, s, i uint32) {
	if x[s].links[r].next == i {
		return
	}
	x.remove(r, i)
	x.pushFront(r, s, i)
}

// oldest returns the oldest slot of the ring, or s itself where it is empty.
func (x nodes) oldest(r ring, s uint32) uint32 { return x[s].links[r].prev }

// collect fills slots with the oldest of the ring, and returns how many there
// were.
func (x nodes) collect(r ring, s uint32, slots []uint32) (n int) {
	for i := x.oldest(r, s); n < len(slots) && i != s; n++ {
		slots[n] = i
		i = x[i].links[r].prev
	}
	return n
}
