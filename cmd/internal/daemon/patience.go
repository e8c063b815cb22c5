package daemon

import (
	"time"

	"cacheflow/cache/flow"
)

const (
	// patienceShare is the part of the time that a shard may spend waiting for room,
	// and maxPatience what it may save up.
	patienceShare = 4 // a quarter
	maxPatience   = 100 * time.Millisecond
	roomPause     = time.Millisecond
)

// patience lets a shard wait for room in the exporters' queues while its source can
// do without it. The kernel's first-level cache hands a generation over at once, and
// a small flow cache turns it into as many records, in far less time than they take
// to send; meanwhile the kernel counts on. The wait is bounded: where an exporter
// cannot keep up, its records are dropped and counted as without it, and it is not waited
// for until half of its queue is empty.
type patience struct {
	now    func() flow.Time
	left   time.Duration
	filled flow.Time
}

// await returns when a set has room for n records, or no time is left to wait for it.
func (p *patience) await(set exporterSet, n int) {
	now := p.now()
	p.left = min(p.left+now.Sub(p.filled)/patienceShare, maxPatience)
	p.filled = now
	for !set.hasRoom(n) {
		if p.left <= 0 {
			set.giveUp(n)
			break
		}
		time.Sleep(roomPause)
		later := p.now()
		p.left -= later.Sub(now)
		now = later
	}
	p.filled = now
}
