package cache

import "cacheflow/cache/flow"

// Expire ends every flow whose timeout has passed at the horizon, the time up
// to which all sources have handed over everything; at most limit of them. It
// returns how many left: when that is limit there may be more.
func (t *Table) Expire(horizon flow.Time, limit int) (n int) {
	t.stats.Polls++
	t.now = max(t.now, horizon)
	n = t.expire(t.ages, t.ended, horizon, 0, limit)
	n = t.expire(t.ages, t.made, horizon, n, limit)
	return t.expire(t.lru, t.entries, horizon, n, limit)
}

// expire ends flows from the old end of one ring until one is not due.
func (t *Table) expire(ring links, sentinel uint32, horizon flow.Time, n, limit int) int {
	for n < limit {
		i := ring.oldest(sentinel)
		if i == sentinel {
			break
		}
		reason := t.due(&t.slots[i], horizon)
		if reason == 0 {
			break
		}
		t.leave(i, reason)
		n++
	}
	return n
}

// due returns why the flow is over at a time, or 0 where it is not: after FIN
// or RST by linger; else by whichever of the two timeouts came first.
func (t *Table) due(s *slot, at flow.Time) flow.EndReason {
	idle := at-s.seen >= t.inactive
	ms := uint32(uint64(at) / 1e6)
	if s.TCPFlags&(flow.FIN|flow.RST) != 0 {
		if idle || passed(ms, s.mark+t.lingerMs) {
			return flow.EndOfFlow
		}
		return 0
	}
	active := s.mark + t.activeMs
	if idle {
		if passed(milliseconds(s.seen)+t.inactiveMs, active) {
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
	i := t.lru.oldest(t.entries)
	reason := t.due(&t.slots[i], t.now)
	if reason == 0 {
		reason = flow.LackOfResources
	}
	t.leave(i, reason)
}

// Flush ends the flows that are in the cache, the least recently used first, at
// most limit of them, and returns how many left.
func (t *Table) Flush(limit int) (n int) {
	for ; n < limit; n++ {
		i := t.lru.oldest(t.entries)
		if i == t.entries {
			break
		}
		t.leave(i, flow.ForcedEnd)
	}
	return n
}

// leave ends a flow of which only the slot is known.
func (t *Table) leave(i uint32, reason flow.EndReason) {
	t.end(i, t.seeds.hash(&t.slots[i].Key), reason)
}

// end takes the flow out of the cache and hands its record over.
func (t *Table) end(i, hash uint32, reason flow.EndReason) {
	s := &t.slots[i]
	t.index.remove(hash, i)
	t.lru.remove(i)
	t.ages.remove(i)
	t.out = flow.Record{Packet: s.Packet, Route: s.route, End: reason, Expired: t.now}
	t.ages[i].next = t.freeHead
	t.freeHead = i
	t.left(&t.out)
	t.emit(&t.out)
}
