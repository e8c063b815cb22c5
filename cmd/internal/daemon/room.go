package daemon

// Who may wait for room in an exporter's queue, and for how long. While packets are metered
// it is a shard whose source can wait (patience), or an operator's clearing; at the end it
// is every shard. One exporter that is slow must not be waited for at the others' cost.

// wanted is the room that n records need, of a queue that is shorter as much as there can be.
func (e *exporter) wanted(n int) int { return min(n, e.Config().QueueRecords) }

// isIdle reports whether an exporter whose collector is up has nothing queued.
func (e *exporter) isIdle() bool { return e.Up() && e.Room() == e.Config().QueueRecords }

// hasRoom reports whether every exporter that sends has room for n records, but for those that
// were given up and have not caught up since.
func (x exporterSet) hasRoom(n int) bool {
	for _, e := range x {
		if e.late.Load() && e.Room() >= e.Config().QueueRecords/2 {
			e.late.Store(false)
		}
		if e.Sends() && !e.late.Load() && e.Room() < e.wanted(n) {
			return false
		}
	}
	return true
}

// giveUp has those without room for n records not be waited for until they have caught up.
func (x exporterSet) giveUp(n int) {
	for _, e := range x {
		if e.Room() < e.wanted(n) {
			e.late.Store(true)
		}
	}
}

// isHeldUp reports whether an exporter that gets records has nothing to send, while another
// one is waited for.
func (o outlets) isHeldUp(by *exporter) bool {
	for _, e := range o.copied {
		if e != by && e.isIdle() {
			return true
		}
	}
	for _, g := range o.groups {
		takers := g.takers.Load()
		for i, e := range g.members {
			if takers>>i&1 != 0 && e != by && e.isIdle() {
				return true
			}
		}
	}
	return false
}
