package cache

// index finds a slot by the hash of its key: open addressing with linear
// probing, two places an entry, so that it is never more than half full. A place
// holds the hash in its high half and the slot's number plus one in its low half;
// 0 is an empty place.
type index []uint64

// home is where the search for a hash begins: hash/2^32 of the way through, so
// that the index may have any length.
func (x index) home(hash uint32) int { return int(uint64(hash) * uint64(len(x)) >> 32) }

func place(hash, slot uint32) uint64 { return uint64(hash)<<32 | uint64(slot+1) }

// insert adds a slot that is not in the index.
func (x index) insert(hash, slot uint32) {
	i := x.home(hash)
	for x[i] != 0 {
		if i++; i == len(x) {
			i = 0
		}
	}
	x[i] = place(hash, slot)
}

// remove takes a slot out and moves back what had to step over it.
func (x index) remove(hash, slot uint32) {
	hole, want := x.home(hash), place(hash, slot)
	for x[hole] != want {
		if hole++; hole == len(x) {
			hole = 0
		}
	}
	for i := hole; ; {
		if i++; i == len(x) {
			i = 0
		}
		v := x[i]
		if v == 0 {
			break
		}
		// v may fill the hole unless its home lies behind the hole.
		if h := x.home(uint32(v >> 32)); distance(h, i, len(x)) >= distance(hole, i, len(x)) {
			x[hole], hole = v, i
		}
	}
	x[hole] = 0
}

// distance is how many places b lies behind a on a ring of n.
func distance(a, b, n int) int {
	if b >= a {
		return b - a
	}
	return b - a + n
}
