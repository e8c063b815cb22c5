package capture

import (
	"encoding/binary"

	"cacheflow/cache/flow"
)

const (
	ipv6Length = 40
	// maxExtensions bounds the walk. The protocol of a longer chain is the
	// number of the first header that was not read.
	maxExtensions = 16
)

// ipv6 decodes the packet at off (RFC 8200 §3).
func (d *Decoder) ipv6(f *Frame, p *flow.Packet, off int) Reason {
	b := f.Data[off:]
	if len(b) < ipv6Length {
		return TruncatedIP
	}
	if b[0]>>4 != 6 {
		return BadVersion
	}
	length := ipv6Length + int(binary.BigEndian.Uint16(b[4:]))
	// 0 is the mark of a jumbogram (RFC 2675 §3) or of a super-packet above
	// 65 535 octets; with no next header nothing follows but padding.
	if length == ipv6Length && b[6] != flow.ProtocolNoNext {
		length = room(f, off)
	}
	length = min(length, room(f, off)) // a length field cannot make octets

	word := binary.BigEndian.Uint32(b)
	p.Version = 6
	p.ToS = byte(word >> 20)
	p.FlowLabel = word & 0xfffff
	p.MinTTL, p.MaxTTL = b[7], b[7]
	p.Src = [16]byte(b[8:24])
	p.Dst = [16]byte(b[24:40])

	c := walk(b[:min(len(b), length)])
	p.Protocol = c.protocol
	l4 := within(b, c.at, length)
	if c.isFragment {
		d.fragment(f, p, l4, c.id, 0, c.first)
		count(p, length)
		return Decoded
	}
	transport(p, l4)
	if f.GSOSize != 0 {
		segment(p, length, c.at+headerLength(p.Protocol, l4), int(f.GSOSize))
		return Decoded
	}
	count(p, length)
	return Decoded
}

// chain is what a walk over the extension headers found.
type chain struct {
	at       int   // offset of what follows them, behind the end where it cannot be read
	protocol uint8 // its protocol, or that of the first header that cannot be read
	// id and first tell of the fragment header, where isFragment says that
	// there is one which splits the packet.
	id                uint32
	isFragment, first bool
}

// walk follows the extension headers of the IPv6 packet b (RFC 8200 §4), up to
// a later fragment's data, whose headers are in the first fragment.
func walk(b []byte) chain {
	c := chain{at: ipv6Length, protocol: b[6]}
	for range maxExtensions {
		var size int
		if len(b) < c.at+8 { // the shortest extension header
			if isExtension(c.protocol) {
				c.at = len(b)
			}
			return c
		}
		switch h := b[c.at:]; c.protocol {
		case flow.ProtocolHopByHop, flow.ProtocolRouting, flow.ProtocolDstOpts:
			size = (int(h[1]) + 1) * 8
		case flow.ProtocolAH:
			size = (int(h[1]) + 2) * 4 // RFC 4302 §2.2
		case flow.ProtocolMobility:
			// It carries no payload so far (RFC 6275 §6.1.1): then it is the protocol.
			if h[0] == flow.ProtocolNoNext {
				return c
			}
			size = (int(h[1]) + 1) * 8
		case flow.ProtocolFragment:
			size = 8
			c.split(h)
		default:
			return c
		}
		c.protocol = b[c.at]
		c.at += size
		if c.isFragment && !c.first {
			return c
		}
	}
	if isExtension(c.protocol) {
		c.at = len(b)
	}
	return c
}

// split reads the fragment header h (RFC 8200 §4.5). An atomic fragment, at
// offset 0 with none to follow, is a complete packet (RFC 6946).
func (c *chain) split(h []byte) {
	part := binary.BigEndian.Uint16(h[2:])
	offset, more := part>>3, part&1 != 0
	if offset == 0 && !more {
		return
	}
	c.isFragment, c.first = true, offset == 0
	c.id = binary.BigEndian.Uint32(h[4:])
}

// isExtension reports whether walk reads on behind a header of protocol n.
func isExtension(n uint8) bool {
	switch n {
	case flow.ProtocolHopByHop, flow.ProtocolRouting, flow.ProtocolFragment,
		flow.ProtocolAH, flow.ProtocolDstOpts, flow.ProtocolMobility:
		return true
	}
	return false
}
