package export

import (
	"time"

	"cacheflow/cache/flow"
)

// Whether a collector is up, and what becomes of records while it is not: where several
// share them, those that wait go to another.

// Up reports whether the collector takes messages, as far as this host can know. A stream
// or an association is up while it is connected. Datagrams are, once the collector's name is resolved, until
// one is refused (ICMP says that nobody listens, or that there is no such host), finds no way
// or may not leave, and again once none has met that for 10 s. Files are, but for 10 s after
// one could not be written. A collector that takes datagrams and says nothing is up, dead or
// alive.
func (e *Exporter) Up() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.up
}

// Sends reports whether what is queued leaves the queue, if only in vain: there is a socket
// or a file, and nothing holds records back.
func (e *Exporter) Sends() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.connected && !e.isHeld()
}

// Hold has records wait in the queue while the collector is not up, for Reclaim, instead
// of being sent in vain; it is then asked each second, by templates, whether it is back.
// It holds nothing in a replay, nor after Shutdown.
func (e *Exporter) Hold(hold bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hold = hold
	notify(e.wake)
}

// Reclaim moves the oldest records that wait, and are in no message yet, to batch, and
// returns how many. They are counted as Moved.
func (e *Exporter) Reclaim(batch []flow.Record) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	begun := copy(batch, e.rest)
	e.rest = e.rest[begun:]
	n := begun + e.queue.take(batch[begun:])
	taken, waited := sum(batch[:begun]), sum(batch[begun:n])
	e.stats.Building.sub(taken)
	e.stats.Queued.sub(waited)
	e.stats.Dropped[Moved].add(taken)
	e.stats.Dropped[Moved].add(waited)
	if n > begun {
		notify(e.roomy)
	}
	return n
}

// isHeld reports whether records are to wait. The caller holds mu.
func (e *Exporter) isHeld() bool {
	return e.hold && !e.up && e.state < closing && e.cfg.Now != nil
}

// disconnected notes that there is no socket.
func (e *Exporter) disconnected() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.connected, e.up = false, false
}

func (e *Exporter) setUp(up bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up = up
}

// isDown tells a collector that is not there from a message that was in the way.
func (r Reason) isDown() bool {
	switch r {
	case Refused, Unreachable, NotPermitted, NoSource, NotWritten:
		return true
	}
	return false
}

// judge notes by what a message met whether the collector is up.
func (s *sender) judge(why Reason) {
	switch {
	case why.isDown():
		s.downAt = time.Now()
		s.e.setUp(false)
		s.names.hurry()
	case why == None && !s.downAt.IsZero():
		s.recover()
	}
}

// recover has the collector be up once it has been calm.
func (s *sender) recover() {
	if time.Since(s.downAt) >= calm {
		s.downAt = time.Time{}
		s.e.setUp(true)
	}
}

// holds reports whether records wait, and asks the collector whether it is back.
func (s *sender) holds() bool {
	s.e.mu.Lock()
	held := s.e.isHeld()
	s.e.mu.Unlock()
	if held && time.Since(s.probed) >= askInterval {
		s.probed = time.Now()
		s.probe()
	}
	return held
}

// probe sends what carries no record: an answer that nobody listens is met by the next
// one. A file is not asked, but tried by what is written next.
func (s *sender) probe() {
	if s.files != nil {
		s.recover()
		return
	}
	s.session.probe(s.present())
	s.depart()
}

// probe sends the open message, and then one without a flow: NetFlow v5's header alone, or the
// templates, unless Tick is about to.
func (s *Session) probe(now flow.Time) {
	s.Flush(now)
	switch {
	case !s.cfg.Protocol.hasTemplates():
		s.open(now)
		s.Flush(now)
	case !s.again || now >= s.refreshAt():
		s.SendTemplates(now)
	}
}

// leave keeps records that were taken from the queue for later, or for Reclaim.
func (s *sender) leave(rs []flow.Record) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	s.e.rest = rs
}

// isInterrupted reports whether no message is to begin now.
func (s *sender) isInterrupted() bool {
	if s.conn != nil && s.conn.isGone() {
		return true
	}
	return !s.downAt.IsZero() && s.holds()
}
