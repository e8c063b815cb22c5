package capture

import (
	"encoding/binary"

	"cacheflow/cache/flow"
)

// The IPv4 header (RFC 791 §3.1).
const (
	ipv4Length   = 20
	moreFollow   = 0x2000 // MF, in the 16 bits of flags and offset
	offsetMask   = 0x1fff // fragment offset, in units of eight octets
	fragmentMask = moreFollow | offsetMask
)

// ipv4 decodes the packet at off.
//
// The authentication header is a protocol of its own here (51, without
// ports), as on a router, which takes the protocol octet into its key and
// looks no further; in IPv6 it is one of the extension headers.
func (d *Decoder) ipv4(f *Frame, p *flow.Packet, off int) Reason {
	b := f.Data[off:]
	if len(b) < ipv4Length {
		return TruncatedIP
	}
	if b[0]>>4 != 4 {
		return BadVersion
	}
	header := int(b[0]&0x0f) * 4
	if header < ipv4Length {
		return BadHeaderLength
	}
	length, onWire := int(binary.BigEndian.Uint16(b[2:])), room(f, off)
	if length == 0 {
		length = onWire // a super-packet above 65 535 octets, or before segmentation
	}
	if length < ipv4Length {
		return BadTotalLength
	}
	if header > length {
		return BadHeaderLength
	}
	length = min(length, onWire) // a length field cannot make octets

	p.Version = 4
	p.ToS = b[1]
	p.MinTTL, p.MaxTTL = b[8], b[8]
	p.Protocol = b[9]
	copy(p.Src[:4], b[12:16])
	copy(p.Dst[:4], b[16:20])

	l4 := within(b, header, length)
	part := binary.BigEndian.Uint16(b[6:])
	if part&fragmentMask != 0 {
		id := uint32(binary.BigEndian.Uint16(b[4:]))
		d.fragment(f, p, l4, id, p.Protocol, part&offsetMask == 0)
		count(p, length)
		return Decoded
	}
	transport(p, l4)
	if f.GSOSize != 0 {
		segment(p, length, header+headerLength(p.Protocol, l4), int(f.GSOSize))
		return Decoded
	}
	count(p, length)
	return Decoded
}

// count enters one packet of the given IP total length.
func count(p *flow.Packet, length int) {
	p.Octets = uint64(length)
	p.MinLength, p.MaxLength = uint32(length), uint32(length)
}
