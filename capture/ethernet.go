package capture

import (
	"encoding/binary"

	"cacheflow/cache/flow"
)

// EtherTypes (IANA ieee-802-numbers). A smaller number than typeMin is the
// length of an IEEE 802.3 frame.
const (
	typeMin   = 0x0600
	typeIPv4  = 0x0800
	typeVLAN  = 0x8100 // 802.1Q, customer tag
	typeIPv6  = 0x86dd
	typeMPLS  = 0x8847
	typeMPLSm = 0x8848 // MPLS with upstream-assigned label (RFC 5332)
	typePPPoE = 0x8864 // session stage; discovery (0x8863) carries no IP
	typeSVLAN = 0x88a8 // 802.1ad, service tag
	typeQinQ  = 0x9100 // service tag before 802.1ad
)

const (
	ethernetLength = 14
	tagLength      = 4
	// maxTags bounds the walk. The first tag is VLAN, the second CustomerVLAN.
	maxTags = 4
)

func (d *Decoder) ethernet(f *Frame, p *flow.Packet) Reason {
	b := f.Data
	if len(b) < ethernetLength {
		return TruncatedLink
	}
	p.DstMAC = [6]byte(b[0:6])
	p.SrcMAC = [6]byte(b[6:12])
	t := binary.BigEndian.Uint16(b[12:])
	if t == typeIPv4 && !f.HasTag {
		return d.ipv4(f, p, ethernetLength)
	}
	return d.etherType(f, p, ethernetLength, t)
}

// etherType decodes what lies at off and is of type t, behind any VLAN tags.
func (d *Decoder) etherType(f *Frame, p *flow.Packet, off int, t uint16) Reason {
	tags := 0
	if f.HasTag {
		p.VLAN, tags = f.TCI, 1
	}
	for ; t == typeVLAN || t == typeSVLAN || t == typeQinQ; tags++ {
		if tags == maxTags {
			return TooManyTags
		}
		if len(f.Data) < off+tagLength {
			return TruncatedLink
		}
		switch tci := binary.BigEndian.Uint16(f.Data[off:]); tags {
		case 0:
			p.VLAN = tci
		case 1:
			p.CustomerVLAN = tci
		}
		t = binary.BigEndian.Uint16(f.Data[off+2:])
		off += tagLength
	}
	if t < typeMin {
		return d.llc(f, p, off)
	}
	return d.protocol(f, p, off, t)
}

// protocol decodes what lies at off and is of type t, which is not a VLAN tag.
func (d *Decoder) protocol(f *Frame, p *flow.Packet, off int, t uint16) Reason {
	switch t {
	case typeIPv4:
		return d.ipv4(f, p, off)
	case typeIPv6:
		return d.ipv6(f, p, off)
	case typeMPLS, typeMPLSm:
		return d.mpls(f, p, off)
	case typePPPoE:
		return d.pppoe(f, p, off)
	}
	return NonIP
}

// snap is an 802.2 header with the SNAP that RFC 1042 puts before an EtherType.
const snap = "\xaa\xaa\x03\x00\x00\x00"

// llc decodes IP behind RFC 1042's SNAP header; everything else that begins
// with an 802.2 header (spanning tree, IS-IS …) is not IP.
func (d *Decoder) llc(f *Frame, p *flow.Packet, off int) Reason {
	b := f.Data[off:]
	if len(b) < len(snap)+2 || string(b[:len(snap)]) != snap {
		return NonIP
	}
	return d.protocol(f, p, off+len(snap)+2, binary.BigEndian.Uint16(b[len(snap):]))
}
