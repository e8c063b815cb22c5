package cache

import "cacheflow/cache/flow"

// Expire ends every flow whose timeout has passed at the horizon, the time up
// to which all sources have handed over everything; at most limit of them. It
// returns how many left: when that is limit there may be more.
func (t *Table) Expire(horizon flow.Time, limit int) (n int) {
	t.stats.Polls++
	t.now = max(t.now, horizon)
	n = t.expire(byAge, t.ended, horizon, 0, limit)
	n = t.expire(byAge, t.made, horizon, n, limit)
	return t.expire(byUse, t.used, horizon, n, limit)
}

// expire ends flows from the old end of one ring until one is not due.
func (t *Table) expire(r ring, sentinel uint32, horizon flow.Time, n, limit int) int {
	var who [batch]uint32
	for n < limit {
		k, i := 0, t.nodes.oldest(r, sentinel)
		for k < min(batch, limit-n) && i != sentinel && t.due(i, horizon) != 0 {
			who[k] = i
			k++
			i = t.nodes[i].links[r].prev
		}
		if k == 0 {
			break
		}
		t.approach(who[:k])
		for _, i := range who[:k] {
			t.leave(i, t.due(i, horizon))
		}
		n += k
	}
	return n
}

// due returns why the flow is over at a time, or 0 where it is not: after FIN
// or RST by linger; else by whichever of the two timeouts came first.
func (t *Table) due(i uint32, at flow.Time) flow.EndReason {
	n := &t.nodes[i]
	idle := at-n.seen >= t.inactive
	ms := uint32(uint64(at) / 1e6)
	if t.sums[i].TCPFlags&(flow.FIN|flow.RST) != 0 {
		if idle || passed(ms, n.mark+t.lingerMs) {
			return flow.EndOfFlow
		}
		return 0
	}
	active := n.mark + t.activeMs
	if idle {
		if passed(milliseconds(n.seen)+t.inactiveMs, active) {
			return flow.ActiveTimeout
		}
		return flow.IdleTimeout
	}
	if passed(ms, active) {
		return flow.ActiveTimeout
	}
	return 0
}

// passed reports whether a is at or behind b, in milliseconds modulo 2^32.
func passed(a, b uint32) bool { return int32(a-b) >= 0 }

// evict ends the least recently used flow, to make room.
func (t *Table) evict() {
	i := t.nodes.oldest(byUse, t.used)
	reason := t.due(i, t.now)
	if reason == 0 {
		reason = flow.LackOfResources
	}
	t.leave(i, reason)
}

// Flush ends flows that are in the cache, at most limit of them, and returns how
// many left. It goes on where the last call stopped, and by slots, which lie in a
// row: in an empty cache they were given out in the order of the first packets.
func (t *Table) Flush(limit int) (n int) {
	var who [batch]uint32
	for n < limit {
		k := t.sweep(who[:min(batch, limit-n)])
		if k == 0 {
			break
		}
		t.approach(who[:k])
		for _, i := range who[:k] {
			t.leave(i, flow.ForcedEnd)
		}
		n += k
	}
	return n
}

// sweep fills who with the next slots that hold a flow, and returns how many
// there were.
func (t *Table) sweep(who []uint32) (n int) {
	for left := t.stats.Active; left > 0 && n < len(who); {
		if t.swept++; t.swept >= t.entries {
			t.swept = 0
		}
		if t.sums[t.swept].Packets != 0 {
			who[n] = t.swept
			n++
			left--
		}
	}
	return n
}

// oldest fills who with the least recently used slots, and returns how many
// there were.
func (t *Table) oldest(who []uint32) (n int) {
	for i := t.nodes.oldest(byUse, t.used); n < len(who) && i != t.used; n++ {
		who[n] = i
		i = t.nodes[i].links[byUse].prev
	}
	return n
}

// approach loads what the leaving of these slots is about to touch, as prefetch
// does for packets.
func (t *Table) approach(who []uint32) {
	x := t.touched
	for _, i := range who {
		x ^= t.sums[i].Version ^ byte(t.sums[i].First) ^ byte(t.nodes[i].mark)
	}
	for _, i := range who {
		l := &t.nodes[i].links
		x ^= byte(t.nodes[l[byUse].prev].mark) ^ byte(t.nodes[l[byUse].next].mark)
		x ^= byte(t.nodes[l[byAge].prev].mark) ^ byte(t.nodes[l[byAge].next].mark)
	}
	var hash [batch]uint32
	for k, i := range who {
		hash[k] = t.seeds.hash(&t.sums[i].Key)
	}
	for _, h := range hash[:len(who)] {
		x ^= byte(t.index[t.index.home(h)])
	}
	t.touched = x
}

// leave ends a flow of which only the slot is known.
func (t *Table) leave(i uint32, reason flow.EndReason) {
	t.end(i, t.seeds.hash(&t.sums[i].Key), reason)
}

// end takes the flow out of the cache and hands its record over.
func (t *Table) end(i, hash uint32, reason flow.EndReason) {
	t.index.remove(hash, i)
	t.nodes.remove(byUse, i)
	t.nodes.remove(byAge, i)
	t.record(i)
	t.out.End = reason
	t.sums[i].Packets = 0
	t.nodes[i].links[byAge].next = t.freeHead
	t.freeHead = i
	t.left(&t.out)
	t.emit(&t.out)
}
