//go:build linux

package afpacket

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

const (
	ethernetLength = 14
	// transportSnap is what is kept from the transport header on: all of TCP's
	// but its options, of which nothing is metered.
	transportSnap = 20
	// snapSeen is how long a frame must be for all that snap loads: a load
	// beyond a frame's end would reject it (filter.rst).
	snapSeen = ethernetLength + 40 + 4
)

// tunnelPorts are the UDP ports behind which a super-packet has more headers
// that its segments repeat: VXLAN, as IANA and as Linux have it, and Geneve.
var tunnelPorts = []uint32{4789, 8472, 6081}

// snap returns how much of an accepted frame is kept: of TCP and UDP without
// tags, labels, IP options or extension headers what is metered, of all else
// full octets. Most frames then take 160 octets of the ring, not 350, which
// makes it last twice as long and cheaper to read.
func (p *program) snap(full int) {
	p.emit(bpf.LoadExtension{Num: bpf.ExtLen})
	p.jumpIf(bpf.JumpLessThan, snapSeen, "full")
	p.emit(bpf.LoadExtension{Num: bpf.ExtLinkLayerType})
	p.jumpIf(bpf.JumpNotEqual, unix.ARPHRD_ETHER, "no link header")
	p.emit(bpf.LoadAbsolute{Off: 12, Size: 2})
	p.jumpIf(bpf.JumpEqual, unix.ETH_P_IP, "14 IPv4")
	p.jumpIf(bpf.JumpEqual, unix.ETH_P_IPV6, "14 IPv6")
	p.jump("full")
	p.label("no link header")
	for _, hatype := range []uint32{unix.ARPHRD_NONE, unix.ARPHRD_PPP, unix.ARPHRD_RAWIP} {
		p.jumpIf(bpf.JumpEqual, hatype, "version")
	}
	p.jump("full")
	p.label("version")
	p.emit(
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
	)
	p.jumpIf(bpf.JumpEqual, 4, "0 IPv4")
	p.jumpIf(bpf.JumpEqual, 6, "0 IPv6")
	p.jump("full")
	for _, link := range []uint32{0, ethernetLength} {
		p.label(fmt.Sprint(link, " IPv4"))
		p.emit(bpf.LoadAbsolute{Off: link, Size: 1})
		p.jumpIf(bpf.JumpNotEqual, 0x45, "full") // options
		p.snapTransport(link+9, link+20)
		p.label(fmt.Sprint(link, " IPv6"))
		p.snapTransport(link+6, link+40)
	}
	p.label("full")
	p.emit(bpf.RetConstant{Val: uint32(full)})
}

// snapTransport returns what is kept of a frame whose protocol and transport
// header stand at these offsets.
func (p *program) snapTransport(protocol, transport uint32) {
	p.emit(bpf.LoadAbsolute{Off: protocol, Size: 1})
	tcp := fmt.Sprint("TCP ", transport)
	p.jumpIf(bpf.JumpEqual, flow.ProtocolTCP, tcp)
	p.jumpIf(bpf.JumpNotEqual, flow.ProtocolUDP, "full")
	p.emit(bpf.LoadAbsolute{Off: transport + 2, Size: 2})
	for _, port := range tunnelPorts {
		p.jumpIf(bpf.JumpEqual, port, "full")
	}
	p.label(tcp)
	p.emit(bpf.RetConstant{Val: transport + transportSnap})
}
