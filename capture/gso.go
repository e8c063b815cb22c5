package capture

import (
	"encoding/binary"

	"cacheflow/cache/flow"
)

// segment enters a super-packet of the given IP total length as the packets
// that go over the wire: each has size octets of payload, the last one the
// rest, and each has the headers again.
func segment(p *flow.Packet, length, headers, size int) {
	payload := length - headers
	if payload <= size {
		count(p, length)
		return
	}
	n := (payload + size - 1) / size
	p.Packets = uint64(n)
	p.Octets = uint64(length + (n-1)*headers)
	p.MinLength = uint32(headers + payload - (n-1)*size)
	p.MaxLength = uint32(headers + size)
}

// maxNesting bounds the headers of tunnels that headerLength looks through.
const maxNesting = 2

// headerLength returns how many octets of a super-packet each segment repeats
// behind the outer IP header: the transport header b. The kernel's gso_size is
// that of the innermost packet, so that the headers of a tunnel count as well.
func headerLength(protocol uint8, b []byte) int { return repeated(protocol, b, maxNesting) }

func repeated(protocol uint8, b []byte, nesting int) int {
	switch protocol {
	case flow.ProtocolTCP:
		if len(b) <= 12 {
			return tcpLength
		}
		return max(tcpLength, int(b[12]>>4)*4)
	case flow.ProtocolUDP:
		return udpLength + udpTunnel(b, nesting)
	}
	if nesting == 0 {
		return 0
	}
	switch protocol {
	case flow.ProtocolIPIP:
		return repeatedIP(b, typeIPv4, nesting)
	case flow.ProtocolIPv6:
		return repeatedIP(b, typeIPv6, nesting)
	case flow.ProtocolGRE:
		return greTunnel(b, nesting)
	}
	return 0
}

// UDP ports of the tunnels whose payload the kernel segments.
const (
	portVXLAN    = 4789 // RFC 7348
	portVXLANOld = 8472 // Linux's default for vxlan devices
	portGeneve   = 6081 // RFC 8926
)

const typeBridged = 0x6558 // an Ethernet frame, in GRE and Geneve

// udpTunnel returns the length of the headers inside the UDP datagram b where
// it is a tunnel's.
func udpTunnel(b []byte, nesting int) int {
	if nesting == 0 || len(b) < udpLength+8 {
		return 0
	}
	inner := b[udpLength:]
	switch binary.BigEndian.Uint16(b[2:]) {
	case portVXLAN, portVXLANOld:
		return 8 + repeatedIP(within(inner, 8, len(inner)), typeBridged, nesting)
	case portGeneve:
		header := 8 + int(inner[0]&0x3f)*4
		return header + repeatedIP(within(inner, header, len(inner)), binary.BigEndian.Uint16(inner[2:]), nesting)
	}
	return 0
}

// greTunnel returns the length of a GRE header (RFC 2784, RFC 2890) and of the
// headers behind it.
func greTunnel(b []byte, nesting int) int {
	if len(b) < 4 {
		return 0
	}
	header := 4
	for _, present := range []byte{0x80, 0x20, 0x10} { // checksum, key, sequence number
		if b[0]&present != 0 {
			header += 4
		}
	}
	return header + repeatedIP(within(b, header, len(b)), binary.BigEndian.Uint16(b[2:]), nesting)
}

// repeatedIP returns the length of the headers of b, an IP packet or a bridged
// Ethernet frame: what can be read of them.
func repeatedIP(b []byte, t uint16, nesting int) int {
	link := 0
	if t == typeBridged {
		if len(b) < ethernetLength {
			return 0
		}
		link, t = ethernetLength, binary.BigEndian.Uint16(b[12:])
		b = b[link:]
	}
	switch {
	case t == typeIPv4 && len(b) >= ipv4Length:
		header := max(ipv4Length, int(b[0]&0x0f)*4)
		return link + header + repeated(b[9], within(b, header, len(b)), nesting-1)
	case t == typeIPv6 && len(b) >= ipv6Length:
		c := walk(b)
		return link + c.at + repeated(c.protocol, within(b, c.at, len(b)), nesting-1)
	}
	return link
}
