package capture

import (
	"encoding/binary"

	"cacheflow/cache/flow"
)

const (
	tcpLength = 20
	udpLength = 8
	// controlBits are the 12 bits behind TCP's data offset, the reserved ones
	// as they were observed (RFC 7125 §3).
	controlBits = 0x0fff
)

// transport fills in ports and flags from b, the readable part of what lies
// behind the IP headers. Where they are cut off, or belong to a protocol
// without ports, they stay 0.
func transport(p *flow.Packet, b []byte) {
	switch p.Protocol {
	case flow.ProtocolTCP:
		ports(p, b)
		if len(b) >= 14 {
			p.TCPFlags = binary.BigEndian.Uint16(b[12:]) & controlBits
		}
	case flow.ProtocolUDP, flow.ProtocolUDPLite, flow.ProtocolSCTP, flow.ProtocolDCCP:
		ports(p, b)
	case flow.ProtocolICMP, flow.ProtocolICMPv6:
		if len(b) >= 2 && p.IsICMP() {
			p.DstPort = binary.BigEndian.Uint16(b) // type and code
		}
	}
}

func ports(p *flow.Packet, b []byte) {
	if len(b) >= 4 {
		p.SrcPort = binary.BigEndian.Uint16(b)
		p.DstPort = binary.BigEndian.Uint16(b[2:])
	}
}
