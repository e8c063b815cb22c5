package export

import "cacheflow/cache/flow"

// header10 is the size of an IPFIX Message Header (RFC 7011 §3.1).
const header10 = 16

// seal10 fills in the header. The sequence number is that of all Data Records
// before this message, options data records among them.
func seal10(s *Session, t flow.Time) {
	secs, _ := s.wallAt(t)
	h := s.buf[:header10]
	be.PutUint16(h[0:], uint16(IPFIX))
	be.PutUint16(h[2:], uint16(len(s.buf)))
	be.PutUint32(h[4:], secs)
	be.PutUint32(h[8:], s.sequence)
	be.PutUint32(h[12:], s.cfg.SourceID)
	s.sequence += uint32(s.msg.DataRecords)
}
