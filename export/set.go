package export

import (
	"slices"

	"cacheflow/cache/flow"
)

// setHeader is the size of a FlowSet's (RFC 3954 §5.2) or Set's (RFC 7011
// §3.3.2) header: id and length.
const setHeader = 4

// makeRoom sees to it that the open message has an open set of this id with
// room for size octets, and that it leads with templates when they are due.
func (s *Session) makeRoom(id uint16, size int, now flow.Time) {
	if len(s.buf) > 0 && !s.fits(id, size) {
		s.Flush(now)
	}
	if len(s.buf) == 0 {
		s.open(now)
		if !s.led || s.refreshDue(now) {
			s.led = true // unless the sink asks for templates again
			s.appendTemplates(now)
		} else if now >= s.optionsAt() {
			s.appendOptions(now, func(o *options) bool { return now >= o.due })
		}
		if !s.fits(id, size) { // templates took most of a small message
			s.Flush(now)
			s.open(now)
		}
	}
	s.openSet(id)
}

// fits reports whether size octets more in a set of this id, padded to four
// octets, stay within the MTU.
func (s *Session) fits(id uint16, size int) bool {
	end := len(s.buf)
	if s.set == 0 || s.setID != id {
		end = pad4(end) + setHeader
	}
	return pad4(end+size) <= s.cfg.messageSize()
}

// pad4 rounds up to four octets. Headers and finished sets are multiples of
// four, so that the offset in the message aligns the set.
func pad4(n int) int { return (n + 3) &^ 3 }

func (s *Session) openSet(id uint16) {
	if s.set != 0 && s.setID == id {
		return
	}
	s.closeSet()
	s.set, s.setID = len(s.buf), id
	s.buf = be.AppendUint16(s.buf, id)
	s.buf = append(s.buf, 0, 0)
}

// closeSet pads the open set with zeros, fewer than any record of ours, so
// that the next one starts at four octets (RFC 3954 §5.3, RFC 7011 §3.3.1).
func (s *Session) closeSet() {
	if s.set == 0 {
		return
	}
	for len(s.buf)%4 != 0 {
		s.buf = append(s.buf, 0)
	}
	be.PutUint16(s.buf[s.set+2:], uint16(len(s.buf)-s.set))
	s.set = 0
}

// RequestTemplates has the next message with data lead with templates, since the collector may
// not have them; one that is open goes as it is. Alone they go once repeatInterval has passed
// since the last, and so do options, which may be many more octets.
func (s *Session) RequestTemplates() {
	s.led, s.again = false, true
	for _, o := range s.options {
		if o.due != never {
			o.due = min(o.due, o.sent.Add(repeatInterval))
		}
	}
}

// refreshDue tells whether templates have to go out again (RFC 3954 §7, RFC
// 7011 §8.4). A stream has lost none.
func (s *Session) refreshDue(now flow.Time) bool {
	return !s.cfg.Transport.isStream() && s.packets >= s.cfg.TemplatePackets || now >= s.refreshAt()
}

// refreshAt returns when templates go out though nothing else does.
func (s *Session) refreshAt() flow.Time {
	switch {
	case s.cfg.Transport.isStream():
		return never
	case s.again:
		return s.templatesAt.Add(repeatInterval)
	}
	return s.templatesAt.Add(s.cfg.TemplateInterval)
}

// SendTemplates sends the open message, then all templates in messages of
// their own, as happens before the first data (RFC 7011 §8.4); the first
// message with data then leads with them once more (RFC 3954 §7). NetFlow v5
// has none.
func (s *Session) SendTemplates(now flow.Time) {
	if !s.cfg.Protocol.hasTemplates() {
		return
	}
	s.Flush(now)
	s.open(now)
	s.appendTemplates(now)
	s.announced = true
	s.Flush(now)
}

// appendTemplates appends all templates and options to the open message, and
// to as many more as they need.
func (s *Session) appendTemplates(now flow.Time) {
	s.again = false // unless the sink asks for them
	for _, t := range s.templates.all {
		s.appendInSet(s.format.templateSet, t.record, now)
		s.msg.Templates++
	}
	for _, o := range s.options {
		s.closeSet() // one Options Template Record a set: nfdump reads only the first
		s.appendInSet(s.format.optionsSet, o.template, now)
		s.msg.Templates++
	}
	s.appendOptions(now, func(o *options) bool { return o.constant || now >= o.due })
	s.templatesAt = now
	s.packets = 0
	if s.again { // what followed the message that was lost is due again as well
		s.RequestTemplates()
	}
}

// optionsAt returns when the next options are due: with the templates where those are to come
// again.
func (s *Session) optionsAt() flow.Time {
	at := never
	if s.again {
		return at
	}
	for _, o := range s.options {
		at = min(at, o.due)
	}
	return at
}

// appendOptions appends the records of the moment of those options that which chooses,
// to the open message and to as many more as they need.
func (s *Session) appendOptions(now flow.Time, which func(*options) bool) {
	for _, o := range s.options {
		if !which(o) {
			continue
		}
		s.scratch = o.records(s.scratch[:0])
		for b := s.scratch; len(b) > 0; b = b[o.size:] {
			s.appendInSet(o.id, b[:o.size], now)
			s.msg.DataRecords++
		}
		if o.due != never {
			o.sent, o.due = now, now.Add(o.interval)
		}
	}
}

// sendOptions sends the open message, then options in messages of their own.
func (s *Session) sendOptions(now flow.Time, which func(*options) bool) {
	s.Flush(now)
	s.open(now)
	s.appendOptions(now, which)
	s.Flush(now)
}

// Report sends the open message, then the statistics of the moment: what the collector
// should know last. Where nothing was sent before, nobody has the templates for it.
func (s *Session) Report(now flow.Time) {
	s.Flush(now)
	if s.cfg.File.Path != "" && !s.led {
		return // and it has no templates
	}
	if s.announced && slices.ContainsFunc(s.options, (*options).isStatistics) {
		if s.again {
			s.SendTemplates(now)
		}
		s.sendOptions(now, (*options).isStatistics)
	}
}

func (s *Session) appendInSet(id uint16, b []byte, now flow.Time) {
	if !s.fits(id, len(b)) {
		s.Flush(now)
		s.open(now)
	}
	s.openSet(id)
	s.buf = append(s.buf, b...)
}
