//go:build linux

package afpacket

import (
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// What is cut off a frame changes nothing that is metered, of an ordinary frame
// and of a super-packet; nothing is rejected, however short.
func TestSnapChangesNothing(t *testing.T) {
	tcp := make([]byte, 20+600)
	tcp[0], tcp[3], tcp[12], tcp[13] = 1, 80, 8<<4, flow.SYN|flow.ACK
	vxlan := append(udp(9, 4789, 0), append(make([]byte, 8), ether(unix.ETH_P_IP, ip4("1.1.1.1", "2.2.2.2", flow.ProtocolTCP, tcp))...)...)
	options := ip4("10.0.0.1", "10.0.0.2", flow.ProtocolTCP, append(make([]byte, 40), tcp...))
	options[0] = 0x4f
	hopByHop := append([]byte{flow.ProtocolTCP, 0, 0, 0, 0, 0, 0, 0}, tcp...)
	packets := map[string][]byte{
		"TCP":       ip4("10.0.0.1", "10.0.0.2", flow.ProtocolTCP, tcp),
		"UDP":       ip4("10.0.0.1", "10.0.0.2", flow.ProtocolUDP, udp(1, 2, 500)),
		"ICMP":      ip4("10.0.0.1", "10.0.0.2", flow.ProtocolICMP, append([]byte{3, 1}, tcp...)),
		"GRE":       ip4("10.0.0.1", "10.0.0.2", flow.ProtocolGRE, append([]byte{0, 0, 8, 0}, options...)),
		"VXLAN":     ip4("10.0.0.1", "10.0.0.2", flow.ProtocolUDP, vxlan),
		"options":   options,
		"TCP 6":     ip6("fd00::1", "fd00::2", flow.ProtocolTCP, tcp),
		"UDP 6":     ip6("fd00::1", "fd00::2", flow.ProtocolUDP, udp(1, 2, 500)),
		"VXLAN 6":   ip6("fd00::1", "fd00::2", flow.ProtocolUDP, vxlan),
		"extension": ip6("fd00::1", "fd00::2", flow.ProtocolHopByHop, hopByHop),
	}
	p := newProgram()
	p.snap(DefaultSnap)
	ethernet := p.interpreter(t, map[bpf.Extension]uint32{bpf.ExtLinkLayerType: unix.ARPHRD_ETHER})
	raw := p.interpreter(t, map[bpf.Extension]uint32{bpf.ExtLinkLayerType: unix.ARPHRD_NONE})
	for name, packet := range packets {
		etherType := uint16(unix.ETH_P_IP)
		if packet[0]>>4 == 6 {
			etherType = unix.ETH_P_IPV6
		}
		for _, gso := range []uint16{0, 100} {
			checkSnap(t, name, ethernet, capture.Frame{Link: capture.LinkEthernet, GSOSize: gso}, ether(etherType, packet))
			checkSnap(t, name+" tagged", ethernet, capture.Frame{Link: capture.LinkEthernet, GSOSize: gso}, ether(unix.ETH_P_8021Q, tag(5, etherType, packet)))
			checkSnap(t, name+" without link header", raw, capture.Frame{Link: capture.LinkRaw, GSOSize: gso}, packet)
		}
	}
	short := ethernet(ether(unix.ETH_P_IP, packets["TCP"]))
	if short != 54 || raw(packets["UDP 6"]) != 60 || ethernet(ether(unix.ETH_P_IP, packets["options"])) != DefaultSnap {
		t.Errorf("TCP is kept in %d octets", short)
	}
}

// checkSnap decodes a frame whole and cut, at each length on the wire.
func checkSnap(t *testing.T, name string, snap func([]byte) int, f capture.Frame, data []byte) {
	t.Helper()
	decoder := capture.NewDecoder(capture.DecoderOptions{KeepFragmentsApart: true})
	for wire := 14; wire <= len(data); wire++ {
		n := snap(data[:wire])
		if n == 0 {
			t.Fatalf("%s: a frame of %d octets is rejected", name, wire)
		}
		var whole, cut flow.Packet
		f.Wire, f.Data = wire, data[:wire]
		want := decoder.Decode(&f, &whole)
		f.Data = data[:min(n, wire)]
		if got := decoder.Decode(&f, &cut); got != want || want == capture.Decoded && cut != whole {
			t.Fatalf("%s: %d of %d octets decode as %v %+v, all of them as %v %+v", name, n, wire, got, cut, want, whole)
		}
	}
}
