//go:build linux

package live_test

import (
	"net"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// packet describes a raw frame of IPv4.
type packet struct {
	src, dst netip.AddrPort
	protocol layers.IPProtocol
	flags    byte   // of TCP: FIN 1, SYN 2, ACK 16
	id       uint16 // of IPv4, for fragments
	payload  []byte // behind the transport header; of other protocols, behind IPv4's
}

// TCP control bits.
const (
	fin = 0x01
	syn = 0x02
	ack = 0x10
)

// to is the hardware address of all frames that a test makes: of no host, so
// that nobody answers.
var to, from = net.HardwareAddr{2, 0, 0, 0, 0, 2}, net.HardwareAddr{2, 0, 0, 0, 0, 1}

// frame returns the frame, in fragments of at most mtu octets of payload each
// where mtu is not 0; mtu is a multiple of 8.
func (p packet) frames(mtu int) (out [][]byte) {
	ip := &layers.IPv4{Version: 4, TTL: 64, Id: p.id, Protocol: p.protocol, SrcIP: p.src.Addr().AsSlice(), DstIP: p.dst.Addr().AsSlice()}
	transport := p.transport(ip)
	for at := 0; at == 0 || at < len(transport); {
		n := len(transport) - at
		ip.Flags = 0
		if mtu > 0 && n > mtu {
			n, ip.Flags = mtu, layers.IPv4MoreFragments
		}
		ip.FragOffset = uint16(at / 8)
		ether := &layers.Ethernet{SrcMAC: from, DstMAC: to, EthernetType: layers.EthernetTypeIPv4}
		out = append(out, serialize(ether, ip, gopacket.Payload(transport[at:at+n])))
		at += n
	}
	return out
}

// frame returns the frame whole.
func (p packet) frame() []byte { return p.frames(0)[0] }

// transport returns what stands behind the header of IPv4.
func (p packet) transport(ip *layers.IPv4) []byte {
	switch p.protocol {
	case layers.IPProtocolUDP:
		udp := &layers.UDP{SrcPort: layers.UDPPort(p.src.Port()), DstPort: layers.UDPPort(p.dst.Port())}
		_ = udp.SetNetworkLayerForChecksum(ip) // knows IPv4
		return serialize(udp, gopacket.Payload(p.payload))
	case layers.IPProtocolTCP:
		tcp := &layers.TCP{SrcPort: layers.TCPPort(p.src.Port()), DstPort: layers.TCPPort(p.dst.Port()), Window: 1000,
			FIN: p.flags&fin != 0, SYN: p.flags&syn != 0, ACK: p.flags&ack != 0}
		_ = tcp.SetNetworkLayerForChecksum(ip)
		return serialize(tcp, gopacket.Payload(p.payload))
	}
	return p.payload
}

// serialize returns the octets of layers that a test made right.
func serialize(ls ...gopacket.SerializableLayer) []byte {
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// inTurn hands out frames one after another, again and again.
func inTurn(frames [][]byte) func([]byte) []byte {
	at := 0
	return func(b []byte) []byte {
		b = append(b, frames[at]...)
		at = (at + 1) % len(frames)
		return b
	}
}

// port is the endpoint of an address and a port.
func port(address string, n uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(address), n)
}
