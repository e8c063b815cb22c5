package export

import (
	"time"

	"cacheflow/cache/flow"
)

// appendLine appends r as a line to the open block of lines.
func (s *Session) appendLine(r *flow.Record, now flow.Time) Reason {
	if len(s.buf) == 0 {
		s.open(now)
	}
	s.scratch = append(s.cfg.Line(s.scratch[:0], r, s.epoch/int64(time.Millisecond)), '\n')
	if len(s.buf)+len(s.scratch) > s.cfg.MTU {
		s.Flush(now)
		s.open(now)
	}
	s.buf = append(s.buf, s.scratch...)
	s.carried(r, Count{1, r.Packets, r.Octets})
	return None
}

// sealLines is the end of a block of lines, which has no header.
func sealLines(*Session, flow.Time) {}
