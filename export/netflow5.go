package export

import (
	"math"

	"cacheflow/cache/flow"
)

// NetFlow v5, as Cisco's NetFlow Collection Engine documents it: a header of
// 24 octets and up to 30 records of 48.
const (
	header5     = 24
	record5     = 48
	maxRecords5 = 30
	// MaxParts bounds the records into which one flow is split: 2^48 octets.
	MaxParts = 1 << 16
)

// append5 appends r as one record, or as several whose counters sum up to its
// own where these exceed 32 bits.
func (s *Session) append5(r *flow.Record, now flow.Time) Reason {
	if r.Version != 4 {
		return NotIPv4
	}
	parts := max(1, parts32(r.Packets), parts32(r.Octets))
	if parts > MaxParts {
		return TooLarge
	}
	in, out := s.index16(r.Input), s.index16(r.Egress)
	packets, octets := split{r.Packets, parts}, split{r.Octets, parts}
	for i := range parts {
		if len(s.buf) == 0 {
			s.open(now)
		}
		p, o := packets.part(i), octets.part(i)
		s.buf = appendRecord5(s.buf, r, in, out, p, o)
		count := Count{Packets: uint64(p), Octets: uint64(o)}
		if i == parts-1 {
			count.Records = 1
		}
		s.carried(r, count)
		if s.msg.DataRecords == maxRecords5 || len(s.buf)+record5 > s.cfg.MTU {
			s.Flush(now)
		}
	}
	s.splits += parts - 1
	return None
}

// appendRecord5 appends one record. What NetFlow v5 has no room for is left
// out: an IPv6 next hop (0), the ninth TCP flag.
func appendRecord5(b []byte, r *flow.Record, in, out uint16, packets, octets uint32) []byte {
	b = append(b, r.Src[:4]...)
	b = append(b, r.Dst[:4]...)
	if r.NextHopVersion == 4 {
		b = append(b, r.NextHop[:4]...)
	} else {
		b = append(b, 0, 0, 0, 0)
	}
	b = be.AppendUint16(b, in)
	b = be.AppendUint16(b, out)
	b = be.AppendUint32(b, packets)
	b = be.AppendUint32(b, octets)
	b = be.AppendUint32(b, sysUpTime(r.First))
	b = be.AppendUint32(b, sysUpTime(r.Last))
	b = be.AppendUint16(b, r.SrcPort)
	b = be.AppendUint16(b, r.DstPort) // ICMP: type×256 + code
	b = append(b, 0, uint8(r.TCPFlags), r.Protocol, r.ToS)
	b = putAS2(b, r, 0)
	return append(b, r.SrcPrefixLen, r.DstPrefixLen, 0, 0)
}

// index16 returns i where it fits, else what the configuration puts in its
// place, never its low 16 bits: 0 is SNMP's "unknown" (RFC 2863).
func (s *Session) index16(i uint32) uint16 {
	if i <= math.MaxUint16 {
		return uint16(i)
	}
	s.wide++
	return s.cfg.Interfaces[i]
}

// parts32 returns how many 32-bit counters n needs.
func parts32(n uint64) uint64 {
	parts := n / math.MaxUint32
	if n%math.MaxUint32 != 0 {
		parts++
	}
	return parts
}

// split divides a counter evenly.
type split struct{ total, parts uint64 }

func (s split) part(i uint64) uint32 {
	n := s.total / s.parts
	if i < s.total%s.parts {
		n++
	}
	return uint32(n)
}

// seal5 fills in the header. The flow sequence is the number of records before
// this datagram; uptime and wall time are of one instant, since collectors
// compute the boot time from them.
func seal5(s *Session, t flow.Time) {
	secs, nsecs := s.wallAt(t)
	h := s.buf[:header5]
	be.PutUint16(h[0:], uint16(NetFlow5))
	be.PutUint16(h[2:], uint16(s.msg.DataRecords))
	be.PutUint32(h[4:], sysUpTime(t))
	be.PutUint32(h[8:], secs)
	be.PutUint32(h[12:], nsecs)
	be.PutUint32(h[16:], s.sequence)
	h[20], h[21] = s.cfg.EngineType, s.cfg.EngineID
	be.PutUint16(h[22:], s.cfg.Sampling.word())
	s.sequence += uint32(s.msg.DataRecords)
}
