package export

import "hash/maphash"

// aging is a map of fixed memory that knows in which order its entries came. A key may
// have several.
type aging[V any] struct {
	seed maphash.Seed
	// entries[0] is the two ends of the list: newer is the oldest entry, older the
	// newest one.
	entries []agingEntry[V]
	chains  []int32 // by hash: the newest entry, 0 for none
	free    int32   // a chain of entries without a key
	len     int
}

type agingEntry[V any] struct {
	key          tuple
	value        V
	chain        int32 // the next older one with this hash
	older, newer int32
}

// newAging returns a map for a number of entries, a power of two.
func newAging[V any](size int) *aging[V] {
	a := &aging[V]{seed: maphash.MakeSeed(), entries: make([]agingEntry[V], size+1), chains: make([]int32, size)}
	for i := size; i > 0; i-- {
		a.entries[i].chain, a.free = a.free, int32(i)
	}
	return a
}

func (a *aging[V]) isFull() bool { return a.free == 0 }

// oldest returns the entry that came first, 0 for none.
func (a *aging[V]) oldest() int32 { return a.entries[0].newer }

// find returns the oldest entry of k, 0 for none.
func (a *aging[V]) find(k *tuple) (found int32) {
	for i := *a.chain(k); i != 0; i = a.entries[i].chain {
		if a.entries[i].key == *k {
			found = i
		}
	}
	return found
}

// add adds an entry; there must be room.
func (a *aging[V]) add(k *tuple) *V {
	i := a.free
	e := &a.entries[i]
	a.free = e.chain
	chain := a.chain(k)
	e.key, e.chain, *chain = *k, *chain, i
	last := a.entries[0].older
	e.older, e.newer = last, 0
	a.entries[last].newer, a.entries[0].older = i, i
	a.len++
	return &e.value
}

// remove forgets an entry and returns its value, which stays until the next add.
func (a *aging[V]) remove(i int32) *V {
	e := &a.entries[i]
	at := a.chain(&e.key)
	for *at != i {
		at = &a.entries[*at].chain
	}
	*at = e.chain
	a.entries[e.older].newer, a.entries[e.newer].older = e.newer, e.older
	e.chain, a.free = a.free, i
	a.len--
	return &e.value
}

func (a *aging[V]) chain(k *tuple) *int32 {
	return &a.chains[maphash.Comparable(a.seed, *k)&uint64(len(a.chains)-1)]
}
