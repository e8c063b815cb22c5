package collector

import "time"

// session follows one sequence number space: v5 counts records, v9 datagrams
// (RFC 3954 §5.1), IPFIX data records with options among them (RFC 7011 §3.1).
type session struct {
	last     time.Time
	next     uint32 // expected sequence number
	known    bool   // whether next is
	records  uint64
	lost     uint64
	sampling uint32
	// boot is systemInitTimeMilliseconds (160), which flow times as uptimes need
	// in IPFIX; 0 where it was not told.
	boot int64
}

// lateness is how far behind a sequence number can be and still count as a
// datagram that came late; from further behind the exporter has begun anew.
const lateness = 2048

// maxGap is the largest step forward that counts as loss.
const maxGap = 1 << 24

// follow compares the datagram's sequence number with the expected one. Where
// the number of its records is not sure, the next datagram is taken as it
// comes.
func (d *decoding) follow() {
	s, m := d.session, &d.message
	s.records += uint64(d.units)
	units := uint32(1)
	lost := &d.stats.LostDatagrams
	if m.version != netflow9 {
		units, lost = uint32(d.units), &d.stats.LostRecords
	}
	gap := int32(m.sequence - s.next)
	switch {
	case !s.known || gap == 0:
	case gap > 0 && gap < maxGap:
		s.lost += uint64(gap)
		*lost += uint64(gap)
	case gap < 0 && gap > -lateness && m.sequence != 0:
		d.stats.Late++
		back := min(uint64(units), s.lost)
		s.lost -= back
		*lost -= back
		return
	default:
		d.stats.Restarts++
	}
	s.next, s.known = m.sequence+units, d.sure || m.version == netflow9
}
