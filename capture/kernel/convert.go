//go:build linux

package kernel

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// keyWords is a flow.Key as the program has it, but for the byte order of the ports.
type keyWords struct {
	src, dst [2]uint64
	ports    uint64
	kind     uint32
}

const _ = -(unsafe.Offsetof(keyWords{}.kind) + 4 ^ unsafe.Sizeof(flow.Key{})) // 0, or it does not compile

// networkOrder converts between the machine's byte order and the network's.
func networkOrder(v uint16) uint16 {
	if bigEndian {
		return v
	}
	return bits.ReverseBytes16(v)
}

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// packet fills in all of *p from an entry and its details. (A composite literal would be
// made on the stack first.)
func (c *clock) packet(e *bpf.ProgramEntry, d *bpf.ProgramDetails, p *flow.Packet) {
	k := (*keyWords)(unsafe.Pointer(&p.Key))
	k.src[0], k.src[1] = e.Src, d.SrcRest
	k.dst[0], k.dst[1] = e.Dst, d.DstRest
	k.ports, k.kind = e.Ports, e.Kind
	p.SrcPort, p.DstPort = networkOrder(p.SrcPort), networkOrder(p.DstPort)
	p.TCPFlags = networkOrder(e.TcpFlags)
	p.MinTTL, p.MaxTTL = e.MinTtl, e.MaxTtl
	p.Packets, p.Octets = uint64(e.Packets), e.Octets
	p.First, p.Last = c.time(e.First), c.time(e.Last)
	p.MinLength, p.MaxLength = e.MinLength, e.MaxLength
	p.SrcMAC, p.DstMAC = d.SrcMac, d.DstMac
	p.FlowLabel = d.FlowLabel
	p.VLAN, p.CustomerVLAN = d.Tags.Vlan, d.Tags.CustomerVlan
	p.MPLS, p.MPLSDepth = d.Tags.Mpls, d.Tags.MplsDepth
	p.Fragment = false // the program hands fragments over
	p.Egress = e.Egress
}

// frame fills in *f from a snapshot, whose data it refers to.
func (c *clock) frame(s *bpf.ProgramSnapshot, f *capture.Frame) {
	*f = capture.Frame{
		Data: s.Data[:min(int(s.Captured), len(s.Data))],
		Wire: int(s.Length), Link: capture.LinkEthernet, Time: c.time(s.Jiffies),
		Input: s.Input, Output: s.Output, Direction: flow.Direction(s.Direction),
		HasTag: s.HasTag != 0, TCI: s.Tci, TPID: s.Tpid, GSOSize: s.GsoSize,
	}
	if s.Raw != 0 {
		f.Link = capture.LinkRaw
	}
}
