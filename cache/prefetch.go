package cache

import "cacheflow/cache/flow"

// batch is how many flows are looked up at once: enough for their cache misses to
// overlap, few enough to stay in the first-level cache.
const batch = 32

// Prefetching loads what is about to be touched, step by step: the index, then
// the flow, then its neighbours. The loads of one step do not depend on each
// other, so the processor overlaps their cache misses, as far as it looks ahead:
// the loops that load do nothing else. Nothing but time depends on it.

// prefetchPackets hashes the keys of up to batch packets into hashes, and loads
// what observe is about to touch.
func (t *Table) prefetchPackets(ps []flow.Packet, hashes *[batch]uint32) {
	var trains, slots [batch]uint32 // packets of one flow come back to back: once is enough for them
	n := 0
	for i := range ps {
		h := t.seeds.hash(&ps[i].Key)
		hashes[i] = h
		if n == 0 || trains[n-1] != h {
			trains[n] = h
			n++
		}
	}
	x := t.sink
	for _, h := range trains[:n] {
		x ^= byte(t.index[t.index.home(h)])
	}
	known := 0
	for _, h := range trains[:n] {
		if s, ok := t.likely(h); ok {
			slots[known] = s
			known++
		}
	}
	for _, s := range slots[:known] {
		x ^= t.sums[s].Version ^ byte(t.sums[s].First) ^ byte(t.nodes[s].mark)
	}
	for _, s := range slots[:known] {
		use := t.nodes[s].links[byUse]
		x ^= byte(t.nodes[use.prev].mark) ^ byte(t.nodes[use.next].mark)
	}
	t.sink = x
	if unknown := n - known; unknown > 0 && t.isFull() { // as many will have to leave
		oldest := t.nodes.collect(byUse, t.used, slots[:unknown])
		t.prefetchSlots(slots[:oldest], new([batch]uint32))
	}
}

// likely returns the slot whose hash is h, without comparing keys; false where
// there is none near its home.
func (t *Table) likely(h uint32) (slot uint32, ok bool) {
	i := t.index.home(h)
	for range 4 {
		v := t.index[i]
		if uint32(v>>32) == h && v != 0 {
			return uint32(v) - 1, true
		}
		if i++; v == 0 || i == len(t.index) {
			break
		}
	}
	return 0, false
}

// prefetchSlots hashes the keys of up to batch flows into hashes, and loads what
// their leaving is about to touch.
func (t *Table) prefetchSlots(slots []uint32, hashes *[batch]uint32) {
	x := t.sink
	for _, i := range slots {
		x ^= t.sums[i].Version ^ byte(t.sums[i].First) ^ byte(t.nodes[i].mark)
	}
	for _, i := range slots {
		l := &t.nodes[i].links
		x ^= byte(t.nodes[l[byUse].prev].mark) ^ byte(t.nodes[l[byUse].next].mark)
		x ^= byte(t.nodes[l[byAge].prev].mark) ^ byte(t.nodes[l[byAge].next].mark)
	}
	for k, i := range slots {
		hashes[k] = t.seeds.hash(&t.sums[i].Key)
	}
	for _, h := range hashes[:len(slots)] {
		x ^= byte(t.index[t.index.home(h)])
	}
	t.sink = x
}
