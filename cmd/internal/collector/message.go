package collector

import (
	"encoding/binary"
)

// be is network byte order.
var be = binary.BigEndian

// Header lengths in octets.
const (
	header5  = 24
	header9  = 20 // RFC 3954 §5.1
	header10 = 16 // RFC 7011 §3.1
	record5  = 48
	setSize  = 4 // of a set's id and length
)

// message is what a datagram's header says.
type message struct {
	version  uint16
	count    uint16 // v5, v9: records
	domain   uint32
	sequence uint32
	uptime   uint32 // v5, v9: sysUpTime in milliseconds
	exported int64  // the header's wall time in milliseconds since 1970
	sampling uint32 // v5: the sampling interval
	sets     []byte // v9, IPFIX: what follows the header
}

// accepted is the Reason of what is not refused.
const accepted = Reasons

// parse reads the header and checks all lengths on the level of sets, so that a
// malformed message is refused before any of it is used (RFC 7011 §9.1).
func parse(b []byte) (message, Reason) {
	if len(b) < 2 {
		return message{}, TruncatedHeader
	}
	m := message{version: be.Uint16(b)}
	var reason Reason
	switch m.version {
	case netflow5:
		reason = m.parse5(b)
	case netflow9:
		reason = m.parse9(b)
	case ipfix:
		reason = m.parse10(b)
	default:
		return m, UnknownVersion
	}
	if reason == accepted && !framed(m.sets) {
		reason = BadSetLength
	}
	return m, reason
}

func (m *message) parse5(b []byte) Reason {
	if len(b) < header5 {
		return TruncatedHeader
	}
	m.count = be.Uint16(b[2:])
	if m.count == 0 || m.count > 30 {
		return BadCount
	}
	if len(b) != header5+int(m.count)*record5 {
		return LengthMismatch
	}
	m.uptime = be.Uint32(b[4:])
	m.exported = int64(be.Uint32(b[8:]))*1000 + int64(be.Uint32(b[12:])/1e6)
	m.sequence = be.Uint32(b[16:])
	m.domain = uint32(be.Uint16(b[20:]))
	m.sampling = uint32(be.Uint16(b[22:]) & 0x3fff) // below two bits of mode
	return accepted
}

func (m *message) parse9(b []byte) Reason {
	if len(b) < header9 {
		return TruncatedHeader
	}
	m.count = be.Uint16(b[2:])
	m.uptime = be.Uint32(b[4:])
	m.exported = int64(be.Uint32(b[8:])) * 1000
	m.sequence = be.Uint32(b[12:])
	m.domain = be.Uint32(b[16:])
	m.sets = b[header9:]
	return accepted
}

func (m *message) parse10(b []byte) Reason {
	if len(b) < header10 {
		return TruncatedHeader
	}
	if int(be.Uint16(b[2:])) != len(b) {
		return LengthMismatch
	}
	m.exported = int64(be.Uint32(b[4:])) * 1000
	m.sequence = be.Uint32(b[8:])
	m.domain = be.Uint32(b[12:])
	m.sets = b[header10:]
	return accepted
}

// framed reports whether b is a sequence of whole sets.
func framed(b []byte) bool {
	for len(b) > 0 {
		if len(b) < setSize {
			return false
		}
		n := int(be.Uint16(b[2:]))
		if n < setSize || n > len(b) {
			return false
		}
		b = b[n:]
	}
	return true
}

// wall converts a sysUpTime stamp of v5 or v9 to milliseconds since 1970. All
// three are modulo 2^32, which wraps after 49.7 days: a stamp is within half of
// that of the header's.
func (m *message) wall(stamp uint32) int64 {
	return m.exported - int64(int32(m.uptime-stamp))
}
