package export

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"cacheflow/cache/flow"
)

// sender is the goroutine of an exporter that has its socket.
type sender struct {
	e       *Exporter
	sock    socket
	conn    connection   // sock, where its collector can hang up; nil while there is none
	stream  *stream      // conn, where it is one
	secured *association // conn, where it is one
	ended   Reason       // why nothing will be sent any more
	files   *fileWriter  // sock, where it writes to files
	session *Session
	names   *resolver // nil where the collector has no name
	pacer   pacer
	gentle  bool            // pacer is that of GentleRate
	timer   *time.Timer     // of the one wait that there is at a time
	ctx     context.Context // of run, for the waits inside the session's sink
	batch   []flow.Record
	burst   burst     // datagrams that are to leave
	singly  bool      // the socket takes no bursts, or the kernel refused one
	now     flow.Time // replay: the largest Expired so far

	renewed  time.Time // when the socket's write deadline was last moved
	rebound  time.Time // when a new source address was last looked for
	trouble  Reason    // what datagrams meet
	troubled time.Time // when one last met it
	attempts int       // sends repeated for the present burst
	downAt   time.Time // when the collector was last found not to be there; the zero Time while it is up
	probed   time.Time // when it was last asked whether it is back
}

const (
	// batchRecords are taken from the queue at once.
	batchRecords = 256
	// sendTimeout bounds the wait for a full socket buffer.
	sendTimeout = time.Second
	// bufferPauses bounds the waits for a full device queue: 1, 2, 4 … 64 ms.
	bufferPauses = 7
	// calm is how long no datagram must have failed for trouble to be over.
	calm = 10 * time.Second
	// askInterval is how often a collector that is down is asked whether it is back.
	askInterval = time.Second
	// rebindInterval is how often a new source address is looked for.
	rebindInterval = time.Second
)

func newSender(e *Exporter, sock socket) *sender {
	s := &sender{e: e, pacer: newPacer(cmp.Or(e.cfg.Rate, DefaultRate)), timer: time.NewTimer(time.Hour), batch: make([]flow.Record, batchRecords)}
	s.session = newSession(e.cfg, s.send)
	s.names = newResolver(e)
	s.use(sock)
	return s
}

// use has what follows leave by sock.
func (s *sender) use(sock socket) {
	_, bursts := sock.(burster)
	s.sock, s.renewed, s.singly = sock, time.Time{}, !bursts
	s.conn, _ = sock.(connection)
	s.stream, _ = sock.(*stream)
	s.secured, _ = sock.(*association)
	s.files, _ = sock.(*fileWriter)
}

// live tells whether a clock drives the session; else the records do.
func (s *sender) live() bool { return s.e.cfg.Now != nil }

// greet announces at the start of a session what the collector must know. A file without
// flows has none of it.
func (s *sender) greet() {
	if s.live() && s.files == nil {
		s.session.SendTemplates(s.present())
		s.depart()
	}
}

// present is the time that messages have now.
func (s *sender) present() flow.Time {
	if s.live() {
		s.now = s.e.cfg.Now()
	}
	return s.now
}

// run sends until ctx ends, the queue is empty and Shutdown was called, or a collector
// that hung up does not come back until then. It returns why what is left was not sent.
func (s *sender) run(ctx context.Context) Reason {
	s.ctx = ctx
	defer s.timer.Stop()
	defer s.resolveBeside()()
	defer s.hangUp()
	s.greet()
	for ctx.Err() == nil {
		if s.renew(); s.ended != None {
			return s.ended
		}
		s.relocate()
		n, last := s.take()
		s.encode(s.batch[:n])
		switch {
		case n > 0:
		case last:
			s.flush()
			return None
		default:
			pause := s.pause()
			if s.holds() {
				pause = min(pause, askInterval)
			}
			s.timer.Reset(pause)
			select {
			case <-s.e.wake:
			case <-s.e.draining.Done():
			case <-s.gone():
			case <-s.timer.C:
			case <-ctx.Done():
			}
		}
	}
	return Unsent
}

// gone is closed when the collector has hung up.
func (s *sender) gone() <-chan struct{} {
	if s.conn == nil {
		return nil
	}
	return s.conn.ended()
}

// take moves records from the queue to the batch, those that were left there before
// others; last says that no more can come.
func (s *sender) take() (n int, last bool) {
	e := s.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.isHeld() {
		return 0, false
	}
	if len(e.rest) > 0 {
		n, e.rest = copy(s.batch, e.rest), nil
		return n, false
	}
	n = e.queue.take(s.batch)
	if n > 0 {
		c := sum(s.batch[:n])
		e.stats.Queued.sub(c)
		e.stats.Building.add(c)
		notify(e.roomy)
	}
	return n, e.state >= closing && e.queue.len == 0
}

// encode feeds the session, and sends what that fills.
func (s *sender) encode(rs []flow.Record) {
	if s.live() {
		s.present()
		s.rotate()
		s.session.Tick(s.now)
	}
	if s.stream != nil {
		s.countArrived(s.stream)
	}
	for i := range rs {
		if s.ctx.Err() != nil {
			return // they stay in Building, which end drops
		}
		if s.isInterrupted() {
			s.leave(rs[i:])
			break
		}
		r := &rs[i]
		if !s.live() {
			s.advance(r.Expired)
		}
		s.rotate()
		if why := s.session.Append(r, s.now); why != None {
			s.skip(r, why)
		}
	}
	s.depart()
	e := s.e
	e.mu.Lock()
	e.stats.Splits, e.stats.WideInterfaces = s.session.Splits(), s.session.WideInterfaces()
	e.mu.Unlock()
}

// advance moves the time of a replay to that of its records. What was due in
// between goes out first, as of when it was due.
func (s *sender) advance(t flow.Time) {
	s.now = max(s.now, t)
	for due, ok := s.session.Due(); ok && due <= s.now; due, ok = s.session.Due() {
		s.session.Tick(due)
	}
}

func (s *sender) flush() {
	s.session.Finish(s.present())
	s.depart()
	s.session.Report(s.now) // with what has just been sent
	s.depart()
}

// pause returns how long nothing is due, if no record comes.
func (s *sender) pause() time.Duration {
	pause := time.Hour
	if s.stream != nil && len(s.stream.flight) > 0 {
		pause = ackInterval
	}
	if s.secured != nil {
		pause = max(0, time.Until(s.secured.until))
	}
	if !s.live() {
		return pause
	}
	now := s.e.cfg.Now()
	pause = s.untilRotation(pause)
	if due, ok := s.session.next(); ok {
		pause = min(pause, max(0, due.Sub(now)))
	}
	return pause
}

// skip counts a record that the protocol cannot carry.
func (s *sender) skip(r *flow.Record, why Reason) {
	e := s.e
	c := Count{1, r.Packets, r.Octets}
	e.mu.Lock()
	e.stats.Building.sub(c)
	e.stats.drop(why, c, e.now())
	e.mu.Unlock()
}

// send is the session's sink. The datagram leaves in a burst with those that follow
// at once, if the pacer lets them.
func (s *sender) send(m *Message) {
	if !s.burst.fits(len(m.Data)) {
		s.depart()
	}
	s.burst.add(m)
	pause := s.pace()
	if pause > 0 || s.singly {
		s.depart()
	}
	if pause > 0 {
		s.sleep(pause)
	}
	s.present()
}

// pace returns how long to wait after a datagram: after and not before, so that no
// header is older than its departure.
func (s *sender) pace() time.Duration {
	if !s.gentle && s.e.cfg.Rate == 0 && s.e.isWaitedFor() {
		s.gentle, s.pacer = true, newPacer(GentleRate)
	}
	pause := s.pacer.sent(time.Now())
	if pause > 0 {
		s.e.mu.Lock()
		s.e.stats.Paced++
		s.e.mu.Unlock()
	}
	return pause
}

// depart sends the burst. What cannot be sent is dropped; its sequence numbers stay
// used, so that the collector sees the gap.
func (s *sender) depart() {
	b := &s.burst
	defer b.reset()
	if s.stream != nil {
		s.sendStream()
		return
	}
	if n := len(b.messages); n > 1 && !s.singly {
		if why := s.transmit(b.data); !s.singly {
			s.account(0, n, why)
			return
		}
	}
	for i := range b.messages {
		s.account(i, i+1, s.transmit(b.datagram(i)))
	}
}

// account counts what became of messages from to end of the burst.
func (s *sender) account(from, end int, why Reason) {
	s.report(why)
	s.judge(why)
	if why != None && s.live() && slices.ContainsFunc(s.burst.messages[from:end], hasTemplates) {
		s.session.RequestTemplates()
	}
	e := s.e
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Retries += uint64(s.attempts)
	for i := from; i < end; i++ {
		m := &s.burst.messages[i]
		octets := len(s.burst.datagram(i))
		e.stats.Building.sub(m.Flows)
		if why != None {
			e.stats.drop(why, m.Flows, e.now())
			e.stats.Failed[why].add(octets)
			continue
		}
		e.stats.Sent.add(m.Flows)
		e.stats.Datagrams.add(octets)
		e.stats.Templates += uint64(m.Templates)
	}
}

func hasTemplates(m Message) bool { return m.Templates > 0 }

// transmit sends a datagram, or those of the burst. What the kernel refuses as a
// burst only is not sent, and none will be tried again: singly says so.
func (s *sender) transmit(b []byte) Reason {
	s.attempts = 0
	if s.secured != nil && s.secured.isLost() {
		return Hangup
	}
	for repeated, pauses := false, 0; s.ctx.Err() == nil; s.attempts++ {
		s.renewDeadline()
		err := s.write(b)
		if err == nil {
			return None
		}
		switch why := classify(err); {
		case len(b) > s.burst.size && wantsSingly(err):
			s.singly = true
			return why
		case s.secured != nil && s.secured.isEndedBy(err):
			return Hangup
		case (why == Refused || why == Unreachable) && !repeated:
			// The error may be the ICMP answer to an earlier datagram (udp(7));
			// this one has not been sent.
			repeated = true
			s.refusal(why)
		case why == BufferFull && !isTimeout(err) && pauses < bufferPauses:
			s.sleep(time.Millisecond << pauses)
			pauses++
		case (why == NoSource || why == Unreachable) && s.rebind():
		default:
			return why
		}
	}
	return Unsent
}

func (s *sender) write(b []byte) error {
	if len(b) > s.burst.size {
		return s.sock.(burster).writeBurst(b, s.burst.size)
	}
	_, err := s.sock.Write(b)
	return err
}

// rebind gives the exporter a new source address after the kernel's choice was
// removed from this host, as when a PPP link comes up again: a connected socket
// keeps the old one. The port stays the same. It returns false if it is too
// early to look again, or in vain.
func (s *sender) rebind() bool {
	e, now := s.e, time.Now()
	if s.secured != nil || e.cfg.Source.IsValid() || now.Sub(s.rebound) < rebindInterval {
		return false
	}
	s.rebound = now
	local, _ := e.LocalAddr()
	remote, _ := e.RemoteAddr()
	probe, err := e.dial(s.ctx, remote.String(), netip.AddrPort{})
	if err != nil {
		return false
	}
	source := addrPort(probe.LocalAddr()).Addr()
	probe.Close()
	if source == local.Addr() {
		return false
	}
	s.sock.Close() // it has the port
	sock, err := e.dial(s.ctx, remote.String(), netip.AddrPortFrom(source, local.Port()))
	if err != nil {
		return false
	}
	s.use(sock)
	e.reached(sock)
	return true
}

// renewDeadline bounds the wait of a Write for a full socket buffer to between
// half and all of sendTimeout, without a call for each datagram.
func (s *sender) renewDeadline() {
	if now := time.Now(); now.Sub(s.renewed) > sendTimeout/2 {
		s.renewed = now
		s.sock.SetWriteDeadline(now.Add(sendTimeout)) // a datagram socket has no error for it
	}
}

// refusal notes that an earlier datagram did not arrive. Whoever will listen at
// the collector next knows no templates. (Not so in a replay, whose datagrams
// depend on its records alone.)
func (s *sender) refusal(why Reason) {
	s.report(why)
	s.judge(why)
	s.e.mu.Lock()
	s.e.stats.Refusals++
	s.e.mu.Unlock()
	if s.live() {
		s.session.RequestTemplates()
	}
}

// sleep waits for d, or until ctx ends, by the sender's one timer.
func (s *sender) sleep(d time.Duration) {
	s.timer.Reset(d)
	select {
	case <-s.timer.C:
	case <-s.ctx.Done():
	}
}

// report tells once that datagrams begin to fail, and once that none has failed
// for a while.
func (s *sender) report(why Reason) {
	if why == s.trouble && why == None || why == Unsent || why == NotWritten || why == Hangup {
		return
	}
	log, now := s.e.cfg.Logger, time.Now()
	if why == None {
		if now.Sub(s.troubled) < calm {
			return
		}
		log.Info("datagrams leave again", "exporter", s.e.cfg.Name)
	} else if s.troubled = now; why != s.trouble {
		log.Warn("datagrams are lost", "exporter", s.e.cfg.Name, "reason", why)
	}
	s.trouble = why
}
