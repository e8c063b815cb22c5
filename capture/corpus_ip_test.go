package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// l4 are transport headers and others of which the corpus has one each, by
// protocol number: what gopacket cannot write is spelled out.
var l4 = []struct {
	name   string
	number layers.IPProtocol
	hex    string
}{
	{"IGMP", 2, "1600 0000 e0000001"},
	{"DCCP", 33, "1451 1389 0600 0000 0400 0001"},
	{"GRE", 47, "0000 0800 4500001c 00000000 4011 0000 0a000003 0a000004 0035 0035 0008 0000"},
	{"ESP", 50, "00001000 00000001 0102030405060708"},
	{"EIGRP", 88, "0205 0000 00000000"},
	{"OSPF", 89, "0201002c 01010101"},
	{"SCTP", 132, "0b59 0b5a 00000001 00000000 03000010"},
	{"UDP-Lite", 136, "04d2 10e1 0008 0000"},
	{"experiment", 253, "ffffffff ffffffff"},
}

func (b builder) ipv4Frames() []corpusFrame {
	e := eth(layers.EthernetTypeIPv4)
	n := ip4(layers.IPProtocolTCP)
	u := ip4(layers.IPProtocolUDP)
	options := ip4(layers.IPProtocolTCP)
	options.Options = []layers.IPv4Option{{OptionType: 7, OptionLength: 7, OptionData: []byte{4, 0, 0, 0, 0}}}
	echo := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 1, Seq: 2}
	unreachable := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 3)}
	frames := []corpusFrame{
		{what: "TCP", data: b.bytes(e, n, tcp(n), payload)},
		{what: "TCP with padding", data: padded(b.bytes(e, n, tcp(n)))},
		{what: "TCP behind IP options", data: b.bytes(e, options, tcp(options), payload)},
		{what: "UDP", data: b.bytes(e, u, udp(u), payload)},
		{what: "UDP with padding", data: padded(b.bytes(e, u, udp(u)))},
		{what: "ICMP echo", data: padded(b.bytes(e, ip4(1), echo, payload))},
		{what: "ICMP port unreachable", data: b.bytes(e, ip4(1), unreachable, u, udp(u))},
		{what: "IPIP", data: b.bytes(e, ip4(4), u, udp(u), payload)},
		{what: "IPv6 in IPv4", data: b.bytes(e, ip4(41), ip6(17), udp(ip6(17)), payload)},
		{what: "AH", data: b.bytes(e, ip4(51), b.raw("0604 0000 00000001 00000001 0102030405060708090a0b0c"), tcp(n), payload)},
	}
	for _, p := range l4 {
		frames = append(frames, corpusFrame{what: p.name, data: padded(b.bytes(e, ip4(p.number), b.raw(p.hex)))})
	}
	return frames
}

func (b builder) ipv6Frames() []corpusFrame {
	e := eth(layers.EthernetTypeIPv6)
	n := ip6(layers.IPProtocolTCP)
	u := ip6(layers.IPProtocolUDP)
	c := ip6(layers.IPProtocolICMPv6)
	echo := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
	_ = echo.SetNetworkLayerForChecksum(c)
	frames := []corpusFrame{
		{what: "TCP", data: b.bytes(e, n, tcp(n), payload)},
		{what: "UDP", data: b.bytes(e, u, udp(u), payload)},
		{what: "ICMPv6 echo", data: b.bytes(e, c, echo, b.raw("00010002"))},
		{what: "IPv6 in IPv6", data: b.bytes(e, ip6(41), u, udp(u), payload)},
		{what: "nothing", data: padded(b.bytes(e, ip6(59), b.raw("00")))},
	}
	for _, p := range l4 {
		frames = append(frames, corpusFrame{what: p.name, data: b.bytes(e, ip6(p.number), b.raw(p.hex))})
	}
	return frames
}

// extension headers, whose first octet is the next header's number.
var extensions = []struct {
	name   string
	number layers.IPProtocol
	hex    string
}{
	{"hop-by-hop", 0, "%02x 00 0502 0000 0100"},
	{"destination options", 60, "%02x 01 010c 00000000 00000000 00000000"},
	{"routing", 43, "%02x 02 04 00 00000000 20010db8000000000000000000000009"},
	{"AH", 51, "%02x 04 0000 00000001 00000001 0102030405060708 090a0b0c"},
	{"mobility", 135, "%02x 01 05 00 0000 0000 0000000000000000"},
	{"atomic fragment", 44, "%02x 00 0000 00000007"},
}

// extensionFrames puts each header, and each pair of two, before UDP.
func (b builder) extensionFrames() (frames []corpusFrame) {
	u := ip6(17)
	header := func(i int, next layers.IPProtocol) gopacket.Payload {
		return b.raw(fmt.Sprintf(extensions[i].hex, uint8(next)))
	}
	e := eth(layers.EthernetTypeIPv6)
	for i, x := range extensions {
		frames = append(frames, corpusFrame{x.name, b.bytes(e, ip6(x.number), header(i, 17), udp(u), payload), 0})
		for j, y := range extensions {
			frames = append(frames, corpusFrame{x.name + ", " + y.name,
				b.bytes(e, ip6(x.number), header(i, y.number), header(j, 17), udp(u), payload), 0})
		}
	}
	return append(frames,
		corpusFrame{"mobility alone", b.bytes(e, ip6(135), header(4, 59)), 0},
		corpusFrame{"ESP behind hop-by-hop", b.bytes(e, ip6(0), header(0, 50), b.raw("00001000 00000001 0102030405060708")), 0})
}

// fragments4 are the trains of two UDP datagrams that are interleaved, the
// second in reverse order.
func (b builder) fragments4() (frames []corpusFrame) {
	data := make([]byte, 64)
	train := func(id, port uint16) (parts [][]byte) {
		binary.BigEndian.PutUint16(data, port)
		binary.BigEndian.PutUint16(data[2:], 53)
		binary.BigEndian.PutUint16(data[4:], 64)
		for at := 0; at < 64; at += 24 {
			n := ip4(17)
			n.Id, n.FragOffset = id, uint16(at/8)
			if at+24 < 64 {
				n.Flags = layers.IPv4MoreFragments
			}
			parts = append(parts, b.bytes(eth(layers.EthernetTypeIPv4), n, gopacket.Payload(data[at:min(at+24, 64)])))
		}
		return parts
	}
	x, y := train(1, 1001), train(2, 1002)
	for i := range x {
		frames = append(frames,
			corpusFrame{fmt.Sprintf("first datagram, part %d", i), x[i], 0},
			corpusFrame{fmt.Sprintf("second datagram, part %d", 2-i), y[2-i], 0})
	}
	return frames
}

// fragments6 is a datagram whose destination options are in its first fragment
// only, and later fragments that say another next header.
func (b builder) fragments6() (frames []corpusFrame) {
	data := append([]byte(b.raw("11 00 0104 00000000  07d1 0035 0040 0000")), make([]byte, 56)...)
	for at := 0; at < 72; at += 24 {
		more := uint16(1)
		if at+24 == 72 {
			more = 0
		}
		h := b.raw(fmt.Sprintf("3c 00 %04x 00000009", uint16(at)|more))
		frames = append(frames, corpusFrame{fmt.Sprintf("part %d", at/24),
			b.bytes(eth(layers.EthernetTypeIPv6), ip6(44), h, gopacket.Payload(data[at:at+24])), 0})
	}
	return frames
}
