package export

import (
	"time"

	"cacheflow/cache/flow"
)

// Session is the sender's half of one Transport Session (RFC 7011 §2): the
// message under construction, the sequence number, and when templates are due.
// It does no I/O and reads no clock. It is not safe for concurrent use.
//
// Times are cache time and must not go back from call to call.
type Session struct {
	cfg       Config
	sink      func(*Message)
	format    format
	templates templates
	options   []*options
	biflows   *biflows // nil unless configured
	scratch   []byte   // options data records

	buf      []byte // the open message, capacity MTU; empty if none is open
	msg      Message
	set      int       // offset of the open set in buf, 0 if none
	setID    uint16    // its id
	opened   flow.Time // when the open message began
	last     flow.Time // the largest Last in it
	hasLast  bool
	epoch    int64 // wall time of flow.Time 0 in ns, taken when the message began
	sequence uint32

	announced   bool // templates went out in a message of their own
	led         bool // a message with data led with templates, or need not
	again       bool // RequestTemplates was called since templates were sent
	templatesAt flow.Time
	packets     int // datagrams since templates were sent

	splits, wide uint64
}

const (
	// FlushInterval is how long a record may wait, in cache time, for its message
	// to fill.
	FlushInterval = time.Second
	// repeatInterval is how long, in cache time, neither options nor templates alone are
	// repeated.
	repeatInterval = time.Second
)

// format is what tells the protocols apart at the level of messages.
type format struct {
	header int // octets
	// templateSet and optionsSet are the ids of the sets that carry templates.
	templateSet, optionsSet uint16
	// seal fills in the header of the finished message and moves the sequence
	// number on. t is header time.
	seal func(s *Session, t flow.Time)
}

var formats = map[Protocol]format{
	NetFlow5: {header: header5, seal: seal5},
	NetFlow9: {header: header9, templateSet: 0, optionsSet: 1, seal: seal9},
	IPFIX:    {header: header10, templateSet: 2, optionsSet: 3, seal: seal10},
	JSON:     {seal: sealLines},
}

// NewSession returns a session that hands its finished messages to sink, in
// order, during the calls of its methods. Of cfg it uses what concerns
// messages.
func NewSession(cfg Config, sink func(*Message)) (*Session, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return newSession(cfg, sink), nil
}

func newSession(cfg Config, sink func(*Message)) *Session {
	s := &Session{cfg: cfg, sink: sink, format: formats[cfg.Protocol], buf: make([]byte, 0, cfg.messageSize())}
	s.begun()
	if cfg.Protocol.hasTemplates() {
		s.templates = newTemplates(&cfg)
		s.options = newOptions(&s.cfg, &s.templates)
	}
	if cfg.Fields.Biflow {
		s.biflows = newBiflows(maxWaiting, maxInitiators)
	}
	return s
}

// begun sets what is known of templates at the beginning of a Transport Session. By UDP they
// go out twice, in a message of their own and at the head of the first one with data; a
// stream loses neither, and a file has the latter only.
func (s *Session) begun() {
	s.led, s.announced = s.cfg.Transport.isStream(), s.cfg.File.Path != ""
}

// Append puts r into a message. It returns None, or the Reason why this
// protocol cannot carry r, which then is in no message.
func (s *Session) Append(r *flow.Record, now flow.Time) Reason {
	switch s.cfg.Protocol {
	case NetFlow5:
		return s.append5(r, now)
	case JSON:
		return s.appendLine(r, now)
	}
	t := s.templates.pick(r)
	if t == nil {
		return NoIPVersion
	}
	switch {
	case s.biflows != nil:
		s.appendPaired(r, now)
		return None
	case t.narrow && !fits32(r):
		return s.appendParts(t, r, now)
	}
	s.appendData(t, r, Count{1, r.Packets, r.Octets}, now)
	return None
}

// appendData puts r, which is to count as c, into a message as one Data Record.
func (s *Session) appendData(t *template, r *flow.Record, c Count, now flow.Time) {
	s.begin(t, now)
	s.buf = t.appendRecord(s.buf, r, s.epoch)
	s.carried(r, c)
	s.end(t, now)
}

// begin sees to it that the open message has room for a record of t.
func (s *Session) begin(t *template, now flow.Time) {
	if !s.announced {
		s.SendTemplates(now)
	}
	s.makeRoom(t.id, t.size, now)
}

// end sends the open message if it has no room for another record of t.
func (s *Session) end(t *template, now flow.Time) {
	if !s.fits(t.id, t.size) {
		s.Flush(now)
	}
}

// appendParts puts r into messages as several records, whose counters sum up to its own.
func (s *Session) appendParts(t *template, r *flow.Record, now flow.Time) Reason {
	parts := max(parts32(r.Packets), parts32(r.Octets))
	if parts > MaxParts {
		return TooLarge
	}
	part := *r
	packets, octets := split{r.Packets, parts}, split{r.Octets, parts}
	for i := range parts {
		part.Packets, part.Octets = uint64(packets.part(i)), uint64(octets.part(i))
		count := Count{Packets: part.Packets, Octets: part.Octets}
		if i == parts-1 {
			count.Records = 1
		}
		s.appendData(t, &part, count, now)
	}
	s.splits += parts - 1
	return None
}

// carried counts what the open message has just been given of r.
func (s *Session) carried(r *flow.Record, c Count) {
	s.msg.DataRecords++
	s.msg.Flows.add(c)
	if !s.hasLast || r.Last > s.last {
		s.last, s.hasLast = r.Last, true
	}
}

// Due returns when something has to leave: the open message, or a record that waits
// for its reverse direction; false if there is neither.
func (s *Session) Due() (flow.Time, bool) {
	due, open := s.opened.Add(FlushInterval), len(s.buf) > 0
	if s.biflows != nil {
		if alone, waits := s.biflows.due(); waits && (!open || alone < due) {
			return alone, true
		}
	}
	return due, open
}

// Tick sends what is due at now: records that have waited for their reverse direction,
// the open message after FlushInterval, and templates and options whose time has come
// while there was nothing to send.
func (s *Session) Tick(now flow.Time) {
	if s.biflows != nil {
		s.release(now)
	}
	due, ok := s.next()
	switch {
	case !ok || now < due:
	case len(s.buf) > 0:
		s.Flush(now)
	case now >= s.refreshAt():
		s.SendTemplates(now)
	default:
		s.sendOptions(now, func(o *options) bool { return now >= o.due })
	}
}

// Finish sends all that is left.
func (s *Session) Finish(now flow.Time) {
	if s.biflows != nil {
		for s.biflows.waiting.len > 0 {
			s.appendOldest(now)
		}
	}
	s.Flush(now)
}

// next returns when Tick has something to do; false for never, as things are.
func (s *Session) next() (flow.Time, bool) {
	if due, ok := s.Due(); ok {
		return due, true
	}
	return min(s.refreshAt(), s.optionsAt()), s.announced && s.cfg.File.Path == ""
}

// Flush finishes the open message, if there is one. Its header time is now, or
// the largest Last in it if that is later: a header before its own records
// would underflow at the collector.
func (s *Session) Flush(now flow.Time) {
	if len(s.buf) == 0 {
		return
	}
	s.closeSet()
	if s.hasLast {
		now = max(now, s.last)
	}
	s.format.seal(s, now)
	s.packets++
	s.msg.Data = s.buf
	s.sink(&s.msg)
	s.buf, s.msg, s.hasLast = s.buf[:0], Message{}, false
}

// Pending returns what is in the open message.
func (s *Session) Pending() Count { return s.msg.Flows }

// Splits returns how many records were sent beyond one per flow record, where
// counters of four octets had to be split.
func (s *Session) Splits() uint64 { return s.splits }

// WideInterfaces returns how many interface indexes did not fit into NetFlow
// v5's 16 bits.
func (s *Session) WideInterfaces() uint64 { return s.wide }

// open begins a message.
func (s *Session) open(now flow.Time) {
	s.buf = s.buf[:s.format.header]
	s.set = 0
	s.opened = now
	epoch := s.cfg.Epoch()
	if !s.cfg.Fields.Timestamps.isNTP() {
		// The milliseconds of one record are then the same in all protocols.
		epoch = epoch.Truncate(time.Millisecond)
	}
	s.epoch = epoch.UnixNano()
}

// wallAt returns the wall time of t in seconds since 1970 and the rest in
// nanoseconds.
func (s *Session) wallAt(t flow.Time) (secs, nsecs uint32) {
	w := time.Unix(0, s.epoch).Add(time.Duration(t))
	return uint32(w.Unix()), uint32(w.Nanosecond())
}
