package export

import "cacheflow/cache/flow"

// queue is a ring of records in fixed memory. Its owner locks it.
type queue struct {
	ring []flow.Record
	head int // the oldest record
	len  int
}

func newQueue(records int) queue { return queue{ring: make([]flow.Record, records)} }

// clear empties the queue and returns what was in it.
func (q *queue) clear() Count {
	n := min(q.len, len(q.ring)-q.head)
	c := sum(q.ring[q.head : q.head+n])
	c.add(sum(q.ring[:q.len-n]))
	q.len = 0
	return c
}

func (q *queue) room() int { return len(q.ring) - q.len }

// put appends as many of rs as there is room for, and returns how many.
func (q *queue) put(rs []flow.Record) int {
	rs = rs[:min(len(rs), q.room())]
	tail := (q.head + q.len) % len(q.ring)
	n := copy(q.ring[tail:], rs)
	copy(q.ring, rs[n:])
	q.len += len(rs)
	return len(rs)
}

// take moves the oldest records to batch and returns how many.
func (q *queue) take(batch []flow.Record) int {
	batch = batch[:min(len(batch), q.len)]
	n := copy(batch, q.ring[q.head:])
	copy(batch[n:], q.ring)
	q.head = (q.head + len(batch)) % len(q.ring)
	q.len -= len(batch)
	return len(batch)
}
