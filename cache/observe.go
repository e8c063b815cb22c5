package cache

import "cacheflow/cache/flow"

// batch is how many observations are looked up at once: enough for their cache
// misses to overlap, few enough to stay in the first-level cache.
const batch = 32

// Observe adds each observation to its flow, in order, making the flow where
// there is none. A flow that a packet finds past its timeout leaves first.
func (t *Table) Observe(ps []flow.Packet) {
	var hashes [batch]uint32
	for len(ps) > 0 {
		n := min(len(ps), batch)
		t.prefetch(ps[:n], &hashes)
		for i := range n {
			t.observe(&ps[i], hashes[i])
		}
		ps = ps[n:]
	}
}

// prefetch hashes the keys and loads what observe is about to touch. The loads
// of one loop do not depend on each other, so the processor overlaps them.
func (t *Table) prefetch(ps []flow.Packet, hashes *[batch]uint32) {
	var likely [batch]uint32
	for i := range ps {
		h := t.seeds.hash(&ps[i].Key)
		hashes[i] = h
		likely[i] = t.likely(h)
	}
	x := t.touched
	for _, i := range likely[:len(ps)] {
		s := &t.slots[i]
		x ^= s.Version ^ byte(s.First) ^ byte(t.lru[i].prev)
	}
	t.touched = x
}

// likely returns the slot whose hash is h, without comparing keys, or any slot
// where there is none near its home.
func (t *Table) likely(h uint32) uint32 {
	i := t.index.home(h)
	for range 4 {
		v := t.index[i]
		if uint32(v>>32) == h && v != 0 {
			return uint32(v) - 1
		}
		if i++; v == 0 || i == len(t.index) {
			break
		}
	}
	return t.lru.oldest(t.entries) % t.entries
}

func (t *Table) observe(p *flow.Packet, hash uint32) {
	t.now = max(t.now, p.Last)
	t.count(p)
	i := t.find(&p.Key, hash)
	if i == t.entries {
		t.create(p, hash)
		return
	}
	s := &t.slots[i]
	ended := s.TCPFlags&(flow.FIN|flow.RST) != 0
	if reason := t.endedBy(s, p); reason != 0 {
		t.end(i, hash, reason)
		t.create(p, hash)
		return
	}
	s.Sum(p)
	s.seen = t.now
	t.lru.moveFront(t.entries, i)
	if !ended && p.TCPFlags&(flow.FIN|flow.RST) != 0 {
		t.lingers(s, i)
	}
}

// endedBy returns why the packet does not belong to the flow any more, or 0: it
// comes past a timeout, or opens a new connection on the ports of one that
// closed. A packet from before the flow was last seen joins it.
func (t *Table) endedBy(s *slot, p *flow.Packet) flow.EndReason {
	if s.TCPFlags&(flow.FIN|flow.RST) != 0 && p.TCPFlags&flow.SYN != 0 {
		return flow.EndOfFlow
	}
	if p.First < s.seen {
		return 0
	}
	return t.due(s, p.First)
}

// find returns the slot of the flow, or the number of entries where there is
// none. The hash only says where to look: the whole key is compared.
func (t *Table) find(k *flow.Key, hash uint32) uint32 {
	x := t.index
	for i := x.home(hash); ; {
		v := x[i]
		if v == 0 {
			return t.entries
		}
		if uint32(v>>32) == hash && t.slots[uint32(v)-1].Key == *k {
			return uint32(v) - 1
		}
		if i++; i == len(x) {
			i = 0
		}
	}
}

// create puts a new flow into a free slot; of a full cache the least recently
// used flow leaves, and a new one is never refused.
func (t *Table) create(p *flow.Packet, hash uint32) {
	if t.freeHead == t.entries {
		t.evict()
	}
	i := t.freeHead
	t.freeHead = t.ages[i].next
	s := &t.slots[i]
	*s = slot{Packet: *p, seen: t.now, mark: milliseconds(t.now)}
	if t.router != nil {
		egress := t.router.Lookup(&s.Key, s.FlowLabel, &s.route)
		if s.Egress == 0 {
			s.Egress = egress
		} else { // the packet was seen leaving: the table cannot know better
			s.route.Status = flow.Forwarded
		}
	}
	t.index.insert(hash, i)
	t.lru.pushFront(t.entries, i)
	t.ages.pushFront(t.made, i)
	if p.TCPFlags&(flow.FIN|flow.RST) != 0 {
		t.lingers(s, i)
	}
	t.added(s)
}

// lingers moves a flow whose first FIN or RST has come to the ring of those
// that end soon: what follows joins it, and does not prolong it.
func (t *Table) lingers(s *slot, i uint32) {
	s.mark = milliseconds(t.now)
	t.ages.remove(i)
	t.ages.pushFront(t.ended, i)
}
