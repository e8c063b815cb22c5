package flow

// TCP control bits, as in tcpControlBits (RFC 7125 §3).
const (
	FIN = 0x01
	SYN = 0x02
	RST = 0x04
	PSH = 0x08
	ACK = 0x10
	URG = 0x20
	ECE = 0x40
	CWR = 0x80
	NS  = 0x100
)

// Packet is the one unit of observation: a single packet (Packets = 1), or the
// sum that a first-level cache already made of several packets of one flow.
//
// Counters are of wire packets: a GSO or GRO super-packet counts as its
// segments with their replicated headers.
type Packet struct {
	Key
	// TCPFlags is the OR of the TCP control bits.
	TCPFlags       uint16
	MinTTL, MaxTTL uint8
	Packets        uint64 // at least 1
	// Octets counts IP total lengths (RFC 5102 octetDeltaCount), not frames.
	Octets      uint64
	First, Last Time
	// MinLength and MaxLength are IP total lengths in octets.
	MinLength, MaxLength uint32

	// What follows is taken from the flow's first packet and kept.

	SrcMAC, DstMAC [6]byte
	// FlowLabel is the IPv6 flow label, 20 bits.
	FlowLabel uint32
	// VLAN and CustomerVLAN are the outer and the inner 802.1Q or 802.1ad tag
	// control information (priority, DEI, 12-bit id); 0 where there is no tag.
	VLAN, CustomerVLAN uint16
	// MPLS holds the three topmost label stack entries without their TTL: label
	// (20 bits), experimental (3), bottom of stack (1), as IANA 70 to 72 have it.
	MPLS [3][3]byte
	// MPLSDepth counts the label stack entries, also those not kept.
	MPLSDepth uint8
	// Fragment is set once any packet of the flow was an IP fragment.
	Fragment bool
	// Egress is the ifIndex of the interface that the packet leaves by where it
	// was observed there; else 0, until the flow's route lookup fills it in. A
	// flow whose Egress stays 0 is local or unroutable: Route.Status tells.
	Egress uint32

	_ [4]byte // to 128 octets, two cache lines, where uint64 is aligned to four as well
}

// Sum adds p to the observation s of the same flow.
func (s *Packet) Sum(p *Packet) {
	s.TCPFlags |= p.TCPFlags
	s.MinTTL = min(s.MinTTL, p.MinTTL)
	s.MaxTTL = max(s.MaxTTL, p.MaxTTL)
	s.Packets += p.Packets
	s.Octets += p.Octets
	s.First = min(s.First, p.First)
	s.Last = max(s.Last, p.Last)
	s.MinLength = min(s.MinLength, p.MinLength)
	s.MaxLength = max(s.MaxLength, p.MaxLength)
	s.Fragment = s.Fragment || p.Fragment
}
