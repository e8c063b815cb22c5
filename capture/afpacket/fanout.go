//go:build linux

package afpacket

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// How deep the fanout program looks; what lies deeper goes to worker 0, as does
// whatever else it cannot read.
const (
	fanoutTags   = 4
	fanoutLabels = 16
)

// Scratch memory of the fanout program.
const (
	memHash   = 0
	memOffset = 1
	memType   = 2
)

// Ethernet types and PPP protocols that lead to IP.
const (
	etherTypeQinQ = 0x9100 // before 802.1ad
	pppIPv4       = 0x0021
	pppIPv6       = 0x0057
	pppMPLS       = 0x0281 // RFC 3032 §4.3
	pppMPLSm      = 0x0283
)

// fanoutProgram spreads packets over workers by their addresses, and for IPv4
// the protocol: what all fragments of a packet carry. (The protocol of IPv6
// lies behind the extension headers, and in a fragment's next header.) It is
// the packet that is metered, the outer one of a tunnel.
//
// It runs before a frame is given to a socket (packet_rcv_fanout in
// net/packet/af_packet.c): an arriving frame then begins behind its link header
// and its outer tag, and its type is the kernel's skb->protocol; a leaving one
// of an Ethernet device begins with its link header.
func fanoutProgram(seed uint32) *program {
	p := newProgram()
	p.emit(bpf.LoadExtension{Num: bpf.ExtType})
	p.jumpIf(bpf.JumpNotEqual, unix.PACKET_OUTGOING, "network")
	p.emit(bpf.LoadExtension{Num: bpf.ExtLinkLayerType})
	p.jumpIf(bpf.JumpEqual, unix.ARPHRD_ETHER, "ethernet")
	p.jumpIf(bpf.JumpEqual, unix.ARPHRD_LOOPBACK, "ethernet")
	p.label("network")
	p.emit(
		bpf.LoadConstant{Dst: bpf.RegX, Val: 0},
		bpf.LoadExtension{Num: bpf.ExtProto},
	)
	p.jump("type")
	p.label("ethernet")
	p.emit(
		bpf.LoadConstant{Dst: bpf.RegX, Val: 14},
		bpf.LoadAbsolute{Off: 12, Size: 2},
	)
	p.label("type")
	p.tags()
	p.jumpIf(bpf.JumpEqual, unix.ETH_P_IP, "IPv4")
	p.jumpIf(bpf.JumpEqual, unix.ETH_P_IPV6, "IPv6")
	p.jumpIf(bpf.JumpEqual, unix.ETH_P_MPLS_UC, "MPLS")
	p.jumpIf(bpf.JumpEqual, unix.ETH_P_MPLS_MC, "MPLS")
	p.jumpIf(bpf.JumpEqual, unix.ETH_P_PPP_SES, "PPPoE")
	p.jumpIf(bpf.JumpEqual, 0, "nibble") // a packet socket sent it so
	p.jumpIf(bpf.JumpEqual, unix.ETH_P_ALL, "nibble")
	p.jump("unknown")
	p.pppoe()
	p.mplsStack()
	p.nibble()
	p.hash("IPv4", seed, []uint32{12, 16})
	p.hash("IPv6", seed, []uint32{8, 12, 16, 20, 24, 28, 32, 36})
	p.label("unknown")
	p.emit(bpf.RetConstant{})
	return p
}

// advance adds n to the offset in X and loads what type held.
func (p *program) advance(n uint32) {
	p.emit(
		bpf.StoreScratch{Src: bpf.RegA, N: memType},
		bpf.TXA{},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: n},
		bpf.TAX{},
		bpf.LoadScratch{Dst: bpf.RegA, N: memType},
	)
}

// tags walks VLAN tags: the type is in A, X is behind it.
func (p *program) tags() {
	for i := range fanoutTags {
		tag := fmt.Sprint("tag ", i)
		for _, t := range []uint32{unix.ETH_P_8021Q, unix.ETH_P_8021AD, etherTypeQinQ} {
			p.jumpIf(bpf.JumpEqual, t, tag)
		}
		p.jump("untagged")
		p.label(tag)
		p.emit(bpf.LoadIndirect{Off: 2, Size: 2})
		p.advance(4)
	}
	p.label("untagged")
}

// pppoe goes over a PPPoE session header and the PPP protocol (RFC 2516 §4).
func (p *program) pppoe() {
	p.label("PPPoE")
	p.emit(bpf.LoadIndirect{Off: 6, Size: 2})
	p.advance(8)
	p.jumpIf(bpf.JumpEqual, pppIPv4, "IPv4")
	p.jumpIf(bpf.JumpEqual, pppIPv6, "IPv6")
	p.jumpIf(bpf.JumpEqual, pppMPLS, "MPLS")
	p.jumpIf(bpf.JumpEqual, pppMPLSm, "MPLS")
	p.jump("unknown")
}

// mplsStack walks an MPLS stack to its bottom (RFC 3032 §2.1).
func (p *program) mplsStack() {
	p.label("MPLS")
	for range fanoutLabels {
		p.emit(bpf.LoadIndirect{Off: 2, Size: 1})
		p.advance(4)
		p.emit(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 1})
		p.jumpIf(bpf.JumpEqual, 1, "nibble")
	}
	p.jump("unknown")
}

// nibble tells IPv4 from IPv6 by the version.
func (p *program) nibble() {
	p.label("nibble")
	p.emit(
		bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
	)
	p.jumpIf(bpf.JumpEqual, 4, "IPv4")
	p.jumpIf(bpf.JumpEqual, 6, "IPv6")
	p.jump("unknown")
}

// hash returns a hash of the words at the given offsets from X, and of IPv4 the
// protocol. The kernel takes it modulo the number of workers.
func (p *program) hash(label string, seed uint32, words []uint32) {
	p.label(label)
	p.emit(bpf.StoreScratch{Src: bpf.RegX, N: memOffset})
	if label == "IPv4" {
		p.emit(bpf.LoadIndirect{Off: 9, Size: 1})
	} else {
		p.emit(bpf.LoadConstant{Dst: bpf.RegA, Val: flow.ProtocolIPv6})
	}
	p.emit(
		bpf.ALUOpConstant{Op: bpf.ALUOpXor, Val: seed},
		bpf.StoreScratch{Src: bpf.RegA, N: memHash},
	)
	for _, w := range words {
		p.emit(
			bpf.LoadScratch{Dst: bpf.RegX, N: memOffset},
			bpf.LoadIndirect{Off: w, Size: 4},
			bpf.LoadScratch{Dst: bpf.RegX, N: memHash},
			bpf.ALUOpX{Op: bpf.ALUOpXor},
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0x9e3779b1},
			bpf.StoreScratch{Src: bpf.RegA, N: memHash},
		)
		p.fold(15)
	}
	p.emit(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0x85ebca6b})
	p.emit(bpf.StoreScratch{Src: bpf.RegA, N: memHash})
	p.fold(13)
	p.emit(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0xc2b2ae35})
	p.emit(bpf.StoreScratch{Src: bpf.RegA, N: memHash})
	p.fold(16)
	p.emit(bpf.RetA{})
}

// fold xors the hash, in A and in its scratch word, with itself shifted right.
func (p *program) fold(bits uint32) {
	p.emit(
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: bits},
		bpf.LoadScratch{Dst: bpf.RegX, N: memHash},
		bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.StoreScratch{Src: bpf.RegA, N: memHash},
	)
}
