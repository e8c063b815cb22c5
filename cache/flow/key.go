package flow

import "net/netip"

// Direction tells at which side of an interface a packet was observed. The
// values are those of flowDirection, IANA information element 61.
type Direction uint8

const (
	Ingress Direction = 0
	Egress  Direction = 1
)

// String returns the router's word for the direction.
func (d Direction) String() string {
	if d == Egress {
		return "Output"
	}
	return "Input"
}

// Key is the router's Flow Key: addresses, ports, protocol, ToS and input
// interface, and the direction, which tells flows metered at egress apart.
//
// A Key has no padding and is compared with == or Equal. Whoever fills one in
// leaves every octet that it does not use at zero.
type Key struct {
	// Src and Dst hold an IPv6 address, or an IPv4 address in their first four
	// octets with zeros behind it; Version tells which.
	Src, Dst [16]byte
	// SrcPort and DstPort are in host byte order. Of ICMP and ICMPv6, SrcPort is
	// 0 and DstPort is type×256 + code, as a router keeps it. They are 0 for
	// protocols without ports and for fragments whose first was not seen.
	SrcPort, DstPort uint16
	// Input is the ifIndex of the interface that the packet came in by; 0 for
	// this host's own packets, and where the capture cannot know (a leaving
	// frame seen by AF_PACKET).
	Input uint32
	// Protocol is the IPv4 protocol, or the IPv6 next header behind the
	// extension headers that the decoder walks.
	Protocol uint8
	// ToS is the IPv4 type of service or the IPv6 traffic class, all eight bits.
	ToS uint8
	// Version is the IP version: 4 or 6.
	Version   uint8
	Direction Direction
}

// Equal reports whether k and o are the same key. It is == field by field, which
// the compiler inlines, where == on the whole calls memequal.
func (k *Key) Equal(o *Key) bool {
	return k.Src == o.Src && k.Dst == o.Dst &&
		k.SrcPort == o.SrcPort && k.DstPort == o.DstPort && k.Input == o.Input &&
		k.Protocol == o.Protocol && k.ToS == o.ToS && k.Version == o.Version && k.Direction == o.Direction
}

// SrcAddr returns the source address.
func (k *Key) SrcAddr() netip.Addr { return addr(k.Version, &k.Src) }

// DstAddr returns the destination address.
func (k *Key) DstAddr() netip.Addr { return addr(k.Version, &k.Dst) }

// DSCP returns the differentiated services code point (RFC 2474), IANA 195.
func (k *Key) DSCP() uint8 { return k.ToS >> 2 }

// IsICMP reports whether DstPort carries an ICMP or ICMPv6 type and code.
func (k *Key) IsICMP() bool {
	return k.Version == 4 && k.Protocol == ProtocolICMP || k.Version == 6 && k.Protocol == ProtocolICMPv6
}

func addr(version uint8, a *[16]byte) netip.Addr {
	switch version {
	case 4:
		return netip.AddrFrom4([4]byte(a[:4]))
	case 6:
		return netip.AddrFrom16(*a)
	}
	return netip.Addr{}
}

// IP protocol numbers that the stages treat by name (IANA protocol-numbers).
const (
	ProtocolHopByHop = 0
	ProtocolICMP     = 1
	ProtocolIGMP     = 2
	ProtocolIPIP     = 4
	ProtocolTCP      = 6
	ProtocolUDP      = 17
	ProtocolDCCP     = 33
	ProtocolIPv6     = 41
	ProtocolRouting  = 43
	ProtocolFragment = 44
	ProtocolGRE      = 47
	ProtocolESP      = 50
	ProtocolAH       = 51
	ProtocolICMPv6   = 58
	ProtocolNoNext   = 59
	ProtocolDstOpts  = 60
	ProtocolSCTP     = 132
	ProtocolMobility = 135
	ProtocolUDPLite  = 136
)
