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
	var slots [batch]uint32
	var reasons [batch]flow.EndReason
	for n < limit {
		k := 0
		for i := t.nodes.oldest(r, sentinel); k < min(batch, limit-n) && i != sentinel; k++ {
			reason := t.due(i, horizon)
			if reason == 0 {
				break
			}
			slots[k], reasons[k] = i, reason
			i = t.nodes[i].links[r].prev
		}
		if k == 0 {
			break
		}
		t.leave(slots[:k], reasons[:k])
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
	t.end(i, t.seeds.hash(&t.sums[i].Key), reason)
}

// Flush ends the flows that are in the cache, at most limit of them, and returns
// how many left: by age, those that carried FIN or RST after the others. In a
// cache that filled without losing a flow that is their order in memory.
func (t *Table) Flush(limit int) (n int) {
	n = t.flush(t.made, 0, limit)
	return t.flush(t.ended, n, limit)
}

// flush ends flows from the old end of one ring by age.
func (t *Table) flush(sentinel uint32, n, limit int) int {
	var slots [batch]uint32
	for n < limit {
		k := t.nodes.collect(byAge, sentinel, slots[:min(batch, limit-n)])
		if k == 0 {
			break
		}
		t.leave(slots[:k], forced[:k])
		n += k
	}
	return n
}

// forced is the reason of a batch that is flushed.
var forced = func() (reasons [batch]flow.EndReason) {
	for i := range reasons {
		reasons[i] = flow.ForcedEnd
	}
	return reasons
}()

// leave ends up to batch flows, in order.
func (t *Table) leave(slots []uint32, reasons []flow.EndReason) {
	var hashes [batch]uint32
	t.lookAway(slots, &hashes)
	for k, i := range slots {
		t.end(i, hashes[k], reasons[k])
	}
}

// end takes the flow out of the cache and hands its record over.
func (t *Table) end(i, hash uint32, reason flow.EndReason) {
	t.index.remove(hash, i)
	t.nodes.remove(byUse, i)
	t.nodes.remove(byAge, i)
	t.record(i)
	t.out.End = reason
	t.nodes[i].links[byAge].next = t.freeHead
	t.freeHead = i
	t.left(&t.out)
	t.emit(&t.out)
}
