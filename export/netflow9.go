package export

import "cacheflow/cache/flow"

// header9 is the size of NetFlow v9's packet header (RFC 3954 §5.1).
const header9 = 20

// seal9 fills in the header. Count is that of all records, templates among
// them; the sequence number counts Export Packets. There is no field below the
// second, so that the boot time that a collector computes is up to 1 s early.
func seal9(s *Session, t flow.Time) {
	secs, _ := s.wallAt(t)
	h := s.buf[:header9]
	be.PutUint16(h[0:], uint16(NetFlow9))
	be.PutUint16(h[2:], uint16(s.msg.Templates+s.msg.DataRecords))
	be.PutUint32(h[4:], sysUpTime(t))
	be.PutUint32(h[8:], secs)
	be.PutUint32(h[12:], s.sequence)
	be.PutUint32(h[16:], s.cfg.SourceID)
	s.sequence++
}
