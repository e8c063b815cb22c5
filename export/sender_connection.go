package export

import (
	"net/netip"
	"time"
)

// What a sender does where its collector can hang up.

// A connection is a socket that its collector, or the network, can end.
type connection interface {
	socket
	// isGone reports whether a new one has to be made.
	isGone() bool
	// ended is closed when the collector has hung up.
	ended() <-chan struct{}
}

// renew calls a collector again that has hung up, as soon as it may. If it ends without,
// s.ended says why.
func (s *sender) renew() {
	for s.conn != nil && s.conn.isGone() && !s.postpones() {
		s.session.Flush(s.present()) // one that reads to the end still gets it
		s.depart()
		s.hangUp()
		port, remote := s.e.port, s.collector()
		sock, err := s.e.connect(s.ctx)
		if err != nil {
			s.ended = NoCollector
			return
		}
		s.use(sock)
		s.downAt = time.Time{}
		s.begin(port != 0 && s.e.port == port && s.collector() == remote)
	}
}

// begin greets a collector that has been called again. Between the same ports and addresses it
// is the same Transport Session as before (RFC 7011 §2), whose sequence numbers go on, so that
// what was lost shows; else a new one (§8.1), with sequence numbers from 0.
func (s *sender) begin(same bool) {
	if same {
		s.session.resume()
	} else {
		s.session.restart()
	}
	s.greet()
}

// hangUp ends the connection, if there is one.
func (s *sender) hangUp() {
	stream, secured := s.stream, s.secured
	s.conn, s.stream, s.secured = nil, nil, nil
	switch {
	case stream != nil:
		s.hangUpStream(stream)
	case secured != nil:
		s.dissociate(secured)
	}
}

func (s *sender) collector() netip.AddrPort {
	a, _ := s.e.RemoteAddr()
	return a
}
