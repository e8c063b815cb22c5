//go:build linux

package guest_test

import (
	"net"
	"sync"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"cacheflow/test/judge"
	"cacheflow/test/traffic"
)

const (
	flows     = 600
	packets   = 10_000 // and the fragments
	datagrams = 100    // in fragments, of each IP version
	ethernet  = 14     // octets of a link header
)

// packet is an Ethernet frame without VLAN tag, and whether it is to have one.
type packet struct {
	frame  []byte
	tagged bool
}

// ip returns the packet without link header.
func (p packet) ip() []byte { return p.frame[ethernet:] }

// append appends the frame to b.
func (p packet) append(b []byte) []byte {
	b = append(b, p.frame[:12]...)
	if p.tagged {
		b = append(b, 0x81, 0x00, 0x00, 0x07)
	}
	return append(b, p.frame[12:]...)
}

// load returns packets and what they must be accounted for as: flows of IPv4 and
// IPv6, TCP and UDP, a third of them tagged, and two UDP flows in fragments.
var load = sync.OnceValues(func() (ps []packet, want judge.Sum) {
	g, err := traffic.New(traffic.Spec{Flows: flows, InTurn: true, IPv6: 40})
	if err != nil {
		panic(err)
	}
	for i := range packets {
		ps = append(ps, packet{g.Next(nil), i%flows%3 == 0})
	}
	for id := range uint16(datagrams) {
		for _, f := range append(fragments4(id), fragments6(id)...) {
			ps = append(ps, packet{f, id%3 == 0})
		}
	}
	want = judge.Sum{Records: flows + 2, Packets: uint64(len(ps))}
	for _, p := range ps {
		want.Octets += uint64(len(p.ip()))
	}
	return ps, want
})

// fragments4 returns a UDP datagram of IPv4 in three frames.
func fragments4(id uint16) (out [][]byte) {
	for i, piece := range pieces() {
		ip := &layers.IPv4{Version: 4, TTL: 64, Id: id, FragOffset: uint16(i * pieceSize / 8), Protocol: layers.IPProtocolUDP,
			SrcIP: net.IPv4(192, 0, 2, 1), DstIP: net.IPv4(198, 51, 100, 1)}
		if i < 2 {
			ip.Flags = layers.IPv4MoreFragments
		}
		out = append(out, frame(layers.EthernetTypeIPv4, ip, piece))
	}
	return out
}

// fragments6 returns a UDP datagram of IPv6 in three frames.
func fragments6(id uint16) (out [][]byte) {
	for i, piece := range pieces() {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolIPv6Fragment,
			SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2")}
		offset := uint16(i * pieceSize)
		if i < 2 {
			offset |= 1 // more fragments
		}
		// RFC 8200 §4.5
		header := []byte{byte(layers.IPProtocolUDP), 0, byte(offset >> 8), byte(offset), 0, 0, byte(id >> 8), byte(id)}
		out = append(out, frame(layers.EthernetTypeIPv6, ip, append(header, piece...)))
	}
	return out
}

// pieceSize is what a fragment carries, in octets: a multiple of 8.
const pieceSize = 400

// pieces returns a UDP datagram from port 5000 to port 6000 in three pieces.
func pieces() [3][]byte {
	b := make([]byte, 3*pieceSize)
	copy(b, []byte{5000 >> 8, 5000 & 0xff, 6000 >> 8, 6000 & 0xff, 3 * pieceSize >> 8, 3 * pieceSize & 0xff})
	return [3][]byte{b[:pieceSize:pieceSize], b[pieceSize : 2*pieceSize : 2*pieceSize], b[2*pieceSize:]}
}

// frame returns a frame to a host that is not there, so that nobody answers.
func frame(ethernetType layers.EthernetType, ip gopacket.SerializableLayer, payload []byte) []byte {
	ether := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: ethernetType}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ether, ip, gopacket.Payload(payload)); err != nil {
		panic(err)
	}
	return b.Bytes()
}
