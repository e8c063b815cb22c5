package export

import (
	"bytes"
	"time"

	"cacheflow/cache/flow"
)

// Biflows (RFC 5103): the records of a conversation's two directions leave the cache
// at nearly the same time, and go out as one. Who began it comes first.

const (
	// biflowWait is how long a record waits for that of the reverse direction, in
	// cache time.
	biflowWait = 5 * time.Second
	// maxWaiting bounds the records that wait: 3.5 MiB. The oldest leaves alone when
	// there are more.
	maxWaiting = 1 << 14
	// maxInitiators bounds the conversations that go on, of which is remembered who
	// began them: 3.3 MiB. The one that is longest without a record is forgotten.
	maxInitiators = 1 << 16
)

// reverse8 and reverse4 are what a biflow has of collected8 and collected4 in the reverse
// direction. Left out is what belongs to a link (MAC addresses, VLANs, MPLS), what the
// ToS tells (DSCP), TTLs, flowDirection and fragmentFlags: by default tshark takes no
// template of more than 60 fields, and nfdump 1.7.1 none of more than 80.
var reverse8, reverse4 = newReverse(8), newReverse(4)

func newReverse(counter uint16) group {
	return group{
		[]field{
			{ipClassOfService, 1}, {ingressInterface, 4}, {egressInterface, 4},
			{packetDeltaCount, counter}, {octetDeltaCount, counter},
			{minimumIPTotalLength, 4}, {maximumIPTotalLength, 4},
			{flowEndReason, 1}, {forwardingStatus, 1},
		},
		func(b []byte, r *flow.Record, _ int64) []byte {
			b = append(b, r.ToS)
			b = be.AppendUint32(b, r.Input)
			b = be.AppendUint32(b, r.Egress)
			b = appendCounters(b, r, counter)
			b = be.AppendUint32(b, r.MinLength)
			b = be.AppendUint32(b, r.MaxLength)
			return append(b, uint8(r.End), uint8(r.Status))
		},
	}
}

// initiatorFirst is biflowDirection: of a biflow, what is not reverse is the direction of
// its initiator (RFC 5103 §6.3).
var initiatorFirst = group{
	[]field{{biflowDirection, 1}},
	func(b []byte, _ *flow.Record, _ int64) []byte { return append(b, 1) },
}

// tuple is what the directions of a conversation have in common, as one of them has it.
// Neither interfaces nor ToS are in it, which differ.
type tuple struct {
	src, dst          [16]byte
	srcPort, dstPort  uint16
	protocol, version uint8
}

func (t tuple) reverse() tuple {
	t.src, t.dst = t.dst, t.src
	t.srcPort, t.dstPort = t.dstPort, t.srcPort
	return t
}

// Types of ICMP (RFC 792) and ICMPv6 (RFC 4443) echo.
const (
	echoReply    = 0
	echoRequest  = 8
	echoRequest6 = 128
	echoReply6   = 129
)

// tupleOf returns r's tuple; false if no other flow could be recognised as its reverse.
// An echo request's type is the port of who answers; the rest of ICMP stays apart.
func tupleOf(r *flow.Record) (t tuple, ok bool) {
	t = tuple{r.Src, r.Dst, r.SrcPort, r.DstPort, r.Protocol, r.Version}
	if r.IsICMP() {
		t.srcPort, t.dstPort = 0, echoRequest
		if !isEchoRequest(r) {
			t.srcPort, t.dstPort = echoRequest, 0
		}
		return t, isEchoRequest(r) || isEchoReply(r)
	}
	return t, t != t.reverse()
}

func isEchoRequest(r *flow.Record) bool {
	return r.Version == 4 && r.DstPort>>8 == echoRequest || r.Version == 6 && r.DstPort>>8 == echoRequest6
}

func isEchoReply(r *flow.Record) bool {
	return r.Version == 4 && r.DstPort>>8 == echoReply || r.Version == 6 && r.DstPort>>8 == echoReply6
}

// biflows pairs records.
type biflows struct {
	waiting    *aging[waiting]
	initiators *aging[struct{}] // by the initiator's tuple
}

type waiting struct {
	record flow.Record
	due    flow.Time // when it leaves alone
}

func newBiflows(records, conversations int) *biflows {
	return &biflows{newAging[waiting](records), newAging[struct{}](conversations)}
}

// match returns the record that waits for the one with tuple t, nil for none. The
// record stays until the next call of wait.
func (b *biflows) match(t *tuple) *flow.Record {
	reverse := t.reverse()
	if i := b.waiting.find(&reverse); i != 0 {
		return &b.waiting.remove(i).record
	}
	return nil
}

// wait has r wait until due. There must be room: oldest makes some.
func (b *biflows) wait(t *tuple, r *flow.Record, due flow.Time) {
	*b.waiting.add(t) = waiting{*r, due}
}

// due returns when the oldest record leaves alone; false for none.
func (b *biflows) due() (flow.Time, bool) {
	i := b.waiting.oldest()
	return b.waiting.entries[i].value.due, i != 0
}

// oldest returns the record that has waited for longest, nil for none, and makes room.
// The record stays until the next call of wait.
func (b *biflows) oldest() *flow.Record {
	i := b.waiting.oldest()
	if i == 0 {
		return nil
	}
	w := b.waiting.remove(i)
	if w.record.End != flow.ActiveTimeout {
		t, _ := tupleOf(&w.record)
		b.forget(&t)
	}
	return &w.record
}

// order returns the two directions of a conversation, that of its initiator first. As
// long as active timeouts are what divides it into records, this stays so (RFC 5103 §5).
// t is r's tuple.
func (b *biflows) order(t *tuple, r, o *flow.Record) (initiator, responder *flow.Record) {
	first, known := b.forget(t)
	if !known {
		first = began(r, o)
	}
	if r.End == flow.ActiveTimeout || o.End == flow.ActiveTimeout {
		b.remember(t, first)
	}
	if first {
		return r, o
	}
	return o, r
}

// forget returns whether it is known who began the conversation of t, and if t is the
// initiator's, and knows it no more.
func (b *biflows) forget(t *tuple) (initiator, known bool) {
	if i := b.initiators.find(t); i != 0 {
		b.initiators.remove(i)
		return true, true
	}
	reverse := t.reverse()
	if i := b.initiators.find(&reverse); i != 0 {
		b.initiators.remove(i)
		return false, true
	}
	return false, false
}

func (b *biflows) remember(t *tuple, initiator bool) {
	if b.initiators.isFull() {
		b.initiators.remove(b.initiators.oldest())
	}
	if initiator {
		b.initiators.add(t)
		return
	}
	reverse := t.reverse()
	b.initiators.add(&reverse)
}

// began reports whether r, and not its reverse o, is the direction of who began: the
// earlier one. The kernel's clock may not tell two packets apart (1 to 10 ms). Then it
// is a SYN without ACK, which nobody answers with; else the one to the lower port; else
// that of the lower address, so that there is an answer. An echo request comes before
// its reply.
func began(r, o *flow.Record) bool {
	lone := func(r *flow.Record) bool { return r.TCPFlags&(flow.SYN|flow.ACK) == flow.SYN }
	switch {
	case r.IsICMP():
		return isEchoRequest(r)
	case r.First != o.First:
		return r.First < o.First
	case lone(r) != lone(o):
		return lone(r)
	case r.DstPort != r.SrcPort:
		return r.DstPort < r.SrcPort
	}
	return bytes.Compare(r.Src[:], o.Src[:]) < 0
}

// appendPaired puts r into a message together with its reverse direction, or has it wait
// for that.
func (s *Session) appendPaired(r *flow.Record, now flow.Time) {
	s.release(now)
	t, ok := tupleOf(r)
	if !ok {
		s.appendData(s.templates.pick(r), r, Count{1, r.Packets, r.Octets}, now)
		return
	}
	if o := s.biflows.match(&t); o != nil {
		initiator, responder := s.biflows.order(&t, r, o)
		s.appendBiflow(initiator, responder, now)
		return
	}
	if s.biflows.waiting.isFull() {
		s.appendOldest(now)
	}
	s.biflows.wait(&t, r, now.Add(biflowWait))
}

// release sends what has waited long enough alone.
func (s *Session) release(now flow.Time) {
	for due, ok := s.biflows.due(); ok && due <= now; due, ok = s.biflows.due() {
		s.appendOldest(now)
	}
}

func (s *Session) appendOldest(now flow.Time) {
	r := s.biflows.oldest()
	s.appendData(s.templates.pick(r), r, Count{1, r.Packets, r.Octets}, now)
}

// appendBiflow puts two flow records into a message as one Data Record.
func (s *Session) appendBiflow(initiator, responder *flow.Record, now flow.Time) {
	t := s.templates.pickPair(initiator, responder)
	s.begin(t, now)
	s.buf = t.appendRecord(s.buf, initiator, s.epoch)
	for i := range t.reverse {
		s.buf = t.reverse[i].put(s.buf, responder, s.epoch)
	}
	s.carried(initiator, Count{2, initiator.Packets + responder.Packets, initiator.Octets + responder.Octets})
	s.last = max(s.last, responder.Last)
	s.end(t, now)
}
