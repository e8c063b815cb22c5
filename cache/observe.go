package cache

import "cacheflow/cache/flow"

// Observe adds each observation to its flow, in order, making the flow where
// there is none. A flow that a packet finds past its timeout leaves first. Groups of
// packets are under way at once, each a step behind the one that follows it.
func (t *Table) Observe(ps []flow.Packet) {
	var under [stages]ahead
	groups := (len(ps) + group - 1) / group
	for i := range groups + stages - 1 {
		if i < groups {
			t.look(&under[i%stages], ps[i*group:min(i*group+group, len(ps))])
		}
		if k := i - 1; k >= 0 && k < groups {
			t.lookUp(&under[k%stages])
		}
		if k := i - 2; k >= 0 && k < groups {
			t.lookAround(&under[k%stages])
		}
		if k := i - 3; k >= 0 {
			t.observeAll(&under[k%stages])
		}
	}
}

// observeAll adds the packets of a group, for which all that they touch has been fetched.
func (t *Table) observeAll(g *ahead) {
	if g.unknown > 0 && t.isFull() { // as many will have to leave
		var slots [group]uint32
		oldest := t.nodes.collect(byUse, t.used, slots[:g.unknown])
		t.lookAway(slots[:oldest], new([batch]uint32))
	}
	for i := range g.packets {
		t.observe(&g.packets[i], g.hashes[i])
	}
}

func (t *Table) observe(p *flow.Packet, hash uint32) {
	t.now = max(t.now, p.Last)
	t.count(p)
	i := t.find(&p.Key, hash)
	if i == t.entries {
		t.create(p, hash)
		return
	}
	s := &t.sums[i]
	ended := s.TCPFlags&(flow.FIN|flow.RST) != 0
	if reason := t.endedBy(i, p); reason != 0 {
		t.end(i, hash, reason)
		t.create(p, hash)
		return
	}
	s.Sum(p)
	t.nodes[i].seen = t.now
	t.nodes.moveFront(byUse, t.used, i)
	if !ended && p.TCPFlags&(flow.FIN|flow.RST) != 0 {
		t.lingers(i)
	}
}

// endedBy returns why the packet does not belong to the flow any more, or 0: it
// comes past a timeout, or opens a new connection on the ports of one that
// closed. A packet from before the flow was last seen joins it.
func (t *Table) endedBy(i uint32, p *flow.Packet) flow.EndReason {
	if t.sums[i].TCPFlags&(flow.FIN|flow.RST) != 0 && p.TCPFlags&flow.SYN != 0 {
		return flow.EndOfFlow
	}
	if p.First < t.nodes[i].seen {
		return 0
	}
	return t.due(i, p.First)
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
		if uint32(v>>32) == hash && t.sums[uint32(v)-1].Key.Equal(k) {
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
	if t.isFull() {
		t.evict()
	}
	i := t.takeSlot()
	n := &t.nodes[i]
	s := &t.sums[i]
	*s = *p
	*n = node{seen: t.now, mark: milliseconds(t.now)}
	if t.router != nil {
		t.route(i)
	}
	t.index.insert(hash, i)
	t.nodes.pushFront(byUse, t.used, i)
	t.nodes.pushFront(byAge, t.made, i)
	if p.TCPFlags&(flow.FIN|flow.RST) != 0 {
		t.lingers(i)
	}
	t.added(s)
}

func (t *Table) isFull() bool { return t.freeHead == t.entries && t.fresh == t.entries }

// takeSlot returns a free slot of a table that is not full.
func (t *Table) takeSlot() uint32 {
	i := t.freeHead
	if i == t.entries {
		i = t.fresh
		t.fresh++
		return i
	}
	t.freeHead = t.nodes[i].links[byAge].next
	return i
}

// route asks for the way that a new flow takes, once for its life. The answer is
// put together in t.out, where no record is under way now; a variable would
// escape to the heap.
func (t *Table) route(i uint32) {
	s, n, r := &t.sums[i], &t.nodes[i], &t.out.Route
	*r = flow.Route{}
	egress := t.router.Lookup(&s.Key, s.FlowLabel, r)
	switch s.Egress {
	case 0:
		s.Egress = egress
	case egress:
		r.Status = flow.Forwarded
	default: // the packet was seen leaving elsewhere: the table does not know by which gateway
		r.Status = flow.Forwarded
		r.NextHop, r.NextHopVersion = [16]byte{}, 0
	}
	n.nextHopVersion, n.srcPrefixLen, n.dstPrefixLen, n.status = r.NextHopVersion, r.SrcPrefixLen, r.DstPrefixLen, r.Status
	if r.NextHopVersion != 0 {
		t.nextHops[i] = r.NextHop
	}
}

// lingers moves a flow whose first FIN or RST has come to the ring of those
// that end soon: what follows joins it, and does not prolong it.
func (t *Table) lingers(i uint32) {
	t.nodes[i].mark = milliseconds(t.now)
	t.nodes.remove(byAge, i)
	t.nodes.pushFront(byAge, t.ended, i)
}
