package export

import "time"

// rotate begins a new file where the time or the size of the present one has come, or it
// could not be written. Each file is a Transport Session of its own (RFC 5655 §7).
func (s *sender) rotate() {
	if s.files == nil {
		return
	}
	now := s.wall()
	s.files.begin(now)
	if !s.files.isDue(now, s.session.cfg.MTU) {
		return
	}
	s.session.Flush(s.now)
	s.depart()
	s.files.finish()
	s.session.restart()
	s.files.begin(now)
}

// wall returns the wall time of now.
func (s *sender) wall() time.Time { return s.e.cfg.Epoch().Add(time.Duration(s.now)) }

// untilRotation shortens a pause to when the present file has to end.
func (s *sender) untilRotation(pause time.Duration) time.Duration {
	if s.files == nil || s.files.file == nil || s.files.end.IsZero() {
		return pause
	}
	return min(pause, max(0, s.files.end.Sub(s.wall())))
}

// restart has what follows be a new Transport Session: its sequence numbers begin at 0, and
// all templates and options come before data (RFC 7011 §3.1, §8).
func (s *Session) restart() {
	s.sequence = 0
	s.resume()
}

// resume goes on with the Transport Session to a collector that knows nothing of it: all
// templates and options come before data.
func (s *Session) resume() {
	s.begun()
	for _, o := range s.options {
		if o.due != never {
			o.due = 0
		}
	}
}
