package traffic

import (
	"encoding/binary"
	"math/rand/v2"
)

const (
	ethernetLen = 14
	ipv4Len     = 20
	ipv6Len     = 40
	tcpLen      = 20
	udpLen      = 8
	maxFrame    = ethernetLen + 65535

	tcpFIN = 0x01
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpPSH = 0x08
	tcpACK = 0x10

	protocolTCP = 6
	protocolUDP = 17
)

// flow is one flow's headers. They follow from the seed and the flow's number,
// so that no memory is kept for a flow.
type flow struct {
	six              bool
	protocol, tos    byte
	src, dst         [16]byte // IPv4 in the first four octets
	srcPort, dstPort uint16
}

func newFlow(s *Spec, k int) (f flow) {
	var p rand.PCG
	p.Seed(s.Seed, uint64(k)+1)
	r := p.Uint64()
	take := func(n uint64) uint64 { v := r % n; r /= n; return v }
	f.six = int(take(100)) < s.IPv6
	f.protocol, f.dstPort = protocolTCP, 443
	if take(2) == 1 {
		f.protocol, f.dstPort = protocolUDP, 53
	}
	if s.Lifelike {
		f.tos = [...]byte{0, 0, 0, 0x28, 0xb8}[take(5)]
	}
	f.srcPort = uint16(1024 + take(65536-1024))
	number := [3]byte{byte(k >> 16), byte(k >> 8), byte(k)}
	if !f.six {
		f.src[0], f.dst[0] = 10, 10
		copy(f.src[1:4], number[:])
		binary.BigEndian.PutUint16(f.dst[1:], uint16(r))
		f.dst[3] = byte(r >> 16)
		return f
	}
	prefix := [4]byte{0x20, 0x01, 0x0d, 0xb8}
	copy(f.src[:], prefix[:])
	copy(f.dst[:], prefix[:])
	binary.BigEndian.PutUint64(f.src[4:], p.Uint64())
	copy(f.src[13:], number[:])
	binary.BigEndian.PutUint64(f.dst[4:], p.Uint64())
	binary.BigEndian.PutUint32(f.dst[12:], uint32(r))
	return f
}

// append appends a frame of this size, or as short as the headers allow.
func (f *flow) append(b []byte, size int, flags byte) []byte {
	n := max(size-ethernetLen, ipv4Len+tcpLen) // IP total length
	if f.six {
		n = max(size-ethernetLen, ipv6Len+tcpLen)
	}
	start := len(b)
	b = append(b, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1) // locally administered addresses
	var l4 int
	var pseudo uint32
	if f.six {
		b, l4 = f.appendIPv6(b, n), n-ipv6Len
		pseudo = sum(f.src[:]) + sum(f.dst[:])
	} else {
		b, l4 = f.appendIPv4(b, n), n-ipv4Len
		pseudo = sum(f.src[:4]) + sum(f.dst[:4])
	}
	pseudo += uint32(f.protocol) + uint32(l4)
	b = f.appendTransport(b, l4, flags, pseudo)
	return append(b, zeros[:ethernetLen+n-(len(b)-start)]...)
}

// appendIPv4 appends EtherType and IPv4 header (RFC 791 §3.1) for a packet of n octets.
func (f *flow) appendIPv4(b []byte, n int) []byte {
	b = append(b, 0x08, 0x00, 0x45, f.tos, byte(n>>8), byte(n), 0, 0, 0, 0, 64, f.protocol, 0, 0)
	b = append(b, f.src[:4]...)
	b = append(b, f.dst[:4]...)
	h := b[len(b)-ipv4Len:]
	binary.BigEndian.PutUint16(h[10:], ^fold(sum(h)))
	return b
}

// appendIPv6 appends EtherType and IPv6 header (RFC 8200 §3) for a packet of n octets.
func (f *flow) appendIPv6(b []byte, n int) []byte {
	n -= ipv6Len
	b = append(b, 0x86, 0xdd, 0x60|f.tos>>4, f.tos<<4, 0, 0, byte(n>>8), byte(n), f.protocol, 64)
	b = append(b, f.src[:]...)
	return append(b, f.dst[:]...)
}

// appendTransport appends a TCP or UDP header; l4 is the length with payload and
// pseudo the sum of the pseudo header. A payload of zeros adds nothing to it.
func (f *flow) appendTransport(b []byte, l4 int, flags byte, pseudo uint32) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, f.srcPort)
	b = binary.BigEndian.AppendUint16(b, f.dstPort)
	at := start + 16 // RFC 9293 §3.1
	if f.protocol == protocolUDP {
		b = append(b, byte(l4>>8), byte(l4), 0, 0)
		at = start + 6 // RFC 768
	} else {
		b = append(b, 0, 0, 0, 1, 0, 0, 0, 1, tcpLen/4<<4, flags, 0x03, 0xe8, 0, 0, 0, 0)
	}
	check := ^fold(pseudo + sum(b[start:]))
	if check == 0 && f.protocol == protocolUDP {
		check = 0xffff // 0 would mean none
	}
	binary.BigEndian.PutUint16(b[at:], check)
	return b
}

var zeros [maxFrame]byte

// sum adds up 16-bit words (RFC 1071); b has an even length.
func sum(b []byte) (s uint32) {
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	return s
}

func fold(s uint32) uint16 {
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s)
}
