package cache

import (
	"cacheflow/cache/flow"
	"cacheflow/cache/prefetch"
)

// What is about to be touched is fetched from memory ahead of its turn, in steps: the
// index, then the flow, then its neighbours in the ring by use. While the memory
// answers, the groups of packets before are worked on. Nothing but time depends on it.

// group is how many packets take a step together: enough for a step to be over when
// the next one needs it, few enough for what was fetched to be in the first-level
// processor cache still.
const group = 16

// stages is how many groups are under way: in each of the three steps, and observed.
const stages = 4

// ahead is what is known of a group of packets under way.
type ahead struct {
	packets []flow.Packet
	hashes  [group]uint32
	// Packets of one flow come back to back: once is enough for them.
	trains  [group]uint32 // their hashes, then their slots
	n       int           // of trains; of those that are in the table, once that is known
	unknown int
}

// look begins with a group: it hashes the keys and fetches the places of the index.
func (t *Table) look(g *ahead, ps []flow.Packet) {
	g.packets, g.n = ps, 0
	var homes [group]uint32
	for i := range ps {
		h := t.seeds.hash(&ps[i].Key)
		g.hashes[i] = h
		if g.n == 0 || g.trains[g.n-1] != h {
			g.trains[g.n] = h
			homes[g.n] = uint32(t.index.home(h))
			g.n++
		}
	}
	prefetch.Lines(t.index, 0, homes[:g.n])
}

// lookUp fetches the flows of the group.
func (t *Table) lookUp(g *ahead) {
	known := 0
	for _, h := range g.trains[:g.n] {
		if s, ok := t.likely(h); ok {
			g.trains[known] = s
			known++
		}
	}
	g.n, g.unknown = known, g.n-known
	t.fetchFlows(g.trains[:known])
}

// lookAround fetches the neighbours of the flows, which a change of their use touches.
func (t *Table) lookAround(g *ahead) {
	var around [2 * group]uint32
	for i, s := range g.trains[:g.n] {
		use := &t.nodes[s].links[byUse]
		around[2*i], around[2*i+1] = use.prev, use.next
	}
	prefetch.Lines(t.nodes, 0, around[:2*g.n])
}

// fetchFlows fetches what a packet touches of each flow.
func (t *Table) fetchFlows(slots []uint32) {
	prefetch.Lines(t.sums, 0, slots)
	prefetch.Lines(t.sums, 64, slots)
	prefetch.Lines(t.nodes, 0, slots)
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

// batch is how many flows leave at once, for their cache misses to overlap.
const batch = 32

// lookAway hashes the keys of up to batch flows into hashes, and fetches what their leaving
// touches: its steps follow one another at once, so that only the misses of one step
// overlap.
func (t *Table) lookAway(slots []uint32, hashes *[batch]uint32) {
	var by [4 * batch]uint32
	n := len(slots)
	t.fetchFlows(slots)
	for k, i := range slots {
		l := &t.nodes[i].links
		by[4*k], by[4*k+1], by[4*k+2], by[4*k+3] = l[byUse].prev, l[byUse].next, l[byAge].prev, l[byAge].next
	}
	prefetch.Lines(t.nodes, 0, by[:4*n])
	for k, i := range slots {
		hashes[k] = t.seeds.hash(&t.sums[i].Key)
		by[k] = uint32(t.index.home(hashes[k]))
	}
	prefetch.Lines(t.index, 0, by[:n])
}
