package export

import "time"

// What a sender does where a stream carries its messages: a record is sent once the
// collector's host has acknowledged it, and whoever hangs up is called again.

// ackInterval is how often acknowledgements are looked for while nothing is sent.
const ackInterval = 50 * time.Millisecond

// sendStream sends the burst. What does not arrive is dropped when the connection ends.
func (s *sender) sendStream() {
	for i := range s.burst.messages {
		if err := s.stream.send(s.ctx, s.burst.messages[i], s.burst.datagram(i)); err != nil {
			s.e.cfg.Logger.Debug("write failed", "exporter", s.e.cfg.Name, "error", err)
		}
	}
	s.countArrived(s.stream)
}

// countArrived counts what the collector's host has acknowledged.
func (s *sender) countArrived(st *stream) {
	e := s.e
	e.mu.Lock()
	defer e.mu.Unlock()
	st.arrived(func(f *flight) {
		e.stats.Building.sub(f.Flows)
		e.stats.Sent.add(f.Flows)
		e.stats.Datagrams.add(f.octets)
		e.stats.Templates += uint64(f.Templates)
	})
}

// hangUpStream ends the connection after what is on its way has arrived. What has not is
// dropped.
func (s *sender) hangUpStream(st *stream) {
	e := s.e
	e.disconnected()
	st.finish(s.ctx)
	s.countArrived(st)
	var lost Count
	e.mu.Lock()
	for i := range st.flight {
		f := &st.flight[i]
		lost.add(f.Flows)
		e.stats.Building.sub(f.Flows)
		e.stats.drop(Hangup, f.Flows, e.now())
		e.stats.Failed[Hangup].add(f.octets)
	}
	e.mu.Unlock()
	st.tcp.Close()
	<-st.gone
	switch ending := e.draining.Err() != nil; {
	case lost.Records > 0 || st.cause() != nil && !ending:
		e.cfg.Logger.Warn("the connection was lost", "exporter", e.cfg.Name, "error", st.cause(), "records lost", lost.Records)
	case !ending:
		e.cfg.Logger.Info("the collector hung up", "exporter", e.cfg.Name)
	}
}
