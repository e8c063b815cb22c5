package capture

import (
	"encoding/binary"

	"cacheflow/cache/flow"
)

// Lengths of the link headers other than Ethernet's, and where their fields
// lie (https://www.tcpdump.org/linktypes.html).
const (
	sllLength   = 16 // packet type 0, ARPHRD type 2, address length 4, address 6, protocol 14
	sll2Length  = 20 // protocol 0, interface 4, ARPHRD type 8, packet type 10, address length 11, address 12
	nullLength  = 4
	pppoeLength = 6 // version and type 0, code 1, session 2, length 4 (RFC 2516 §4)
)

// sll decodes a Linux cooked frame. Its one address is the sender's.
func (d *Decoder) sll(f *Frame, p *flow.Packet) Reason {
	b := f.Data
	if len(b) < sllLength {
		return TruncatedLink
	}
	if binary.BigEndian.Uint16(b[4:]) == uint16(len(p.SrcMAC)) {
		p.SrcMAC = [6]byte(b[6:12])
	}
	return d.etherType(f, p, sllLength, binary.BigEndian.Uint16(b[14:]))
}

func (d *Decoder) sll2(f *Frame, p *flow.Packet) Reason {
	b := f.Data
	if len(b) < sll2Length {
		return TruncatedLink
	}
	if int(b[11]) == len(p.SrcMAC) {
		p.SrcMAC = [6]byte(b[12:18])
	}
	return d.etherType(f, p, sll2Length, binary.BigEndian.Uint16(b))
}

// null decodes a frame behind a protocol family, which DLT_NULL has in the
// byte order of the machine that captured and DLT_LOOP in network byte order.
// Families are small: the smaller reading is the right one.
func (d *Decoder) null(f *Frame, p *flow.Packet) Reason {
	if len(f.Data) < nullLength {
		return TruncatedLink
	}
	switch min(binary.LittleEndian.Uint32(f.Data), binary.BigEndian.Uint32(f.Data)) {
	case 2: // AF_INET everywhere
		return d.ipv4(f, p, nullLength)
	case 10, 23, 24, 28, 30: // AF_INET6 of Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin
		return d.ipv6(f, p, nullLength)
	}
	return NonIP
}

// ppp decodes a frame of DLT_PPP, DLT_PPP_SERIAL or DLT_PPP_ETHER. Its first
// octet tells them apart: none of the marks is a PPP protocol in use.
func (d *Decoder) ppp(f *Frame, p *flow.Packet) Reason {
	b := f.Data
	if len(b) < 2 {
		return TruncatedLink
	}
	switch b[0] {
	case 0xff: // address and control of HDLC-like framing (RFC 1662 §3.1)
		if b[1] == 0x03 {
			return d.pppProtocol(f, p, 2)
		}
	case 0x0f, 0x8f: // Cisco HDLC: address, control, EtherType (RFC 1547 §4.3.1)
		if len(b) < 4 {
			return TruncatedLink
		}
		return d.etherType(f, p, 4, binary.BigEndian.Uint16(b[2:]))
	case pppoeVersion:
		return d.pppoe(f, p, 0)
	}
	return d.pppProtocol(f, p, 0)
}

// pppoeVersion is version 1, type 1 (RFC 2516 §4).
const pppoeVersion = 0x11

// pppoe decodes the session packet at off.
func (d *Decoder) pppoe(f *Frame, p *flow.Packet, off int) Reason {
	if len(f.Data) < off+pppoeLength {
		return TruncatedLink
	}
	if f.Data[off] != pppoeVersion || f.Data[off+1] != 0 { // code 0: session data
		return NonIP
	}
	return d.pppProtocol(f, p, off+pppoeLength)
}

// PPP protocol numbers (IANA ppp-numbers).
const (
	pppIPv4  = 0x0021
	pppIPv6  = 0x0057
	pppMPLS  = 0x0281
	pppMPLSm = 0x0283
)

// pppProtocol decodes what lies behind the protocol number at off, which is
// one octet where it was compressed: only its last octet is odd (RFC 1661 §2).
func (d *Decoder) pppProtocol(f *Frame, p *flow.Packet, off int) Reason {
	if len(f.Data) <= off {
		return TruncatedLink
	}
	number := uint16(f.Data[off])
	off++
	if number&1 == 0 {
		if len(f.Data) <= off {
			return TruncatedLink
		}
		number = number<<8 | uint16(f.Data[off])
		off++
	}
	switch number {
	case pppIPv4:
		return d.ipv4(f, p, off)
	case pppIPv6:
		return d.ipv6(f, p, off)
	case pppMPLS, pppMPLSm:
		return d.mpls(f, p, off)
	}
	return NonIP
}
