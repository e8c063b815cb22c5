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

// The first octets of an entry are a flow.Key, but for the byte order of its ports.
const _ = -(unsafe.Offsetof(bpf.ProgramEntry{}.Packets) ^ unsafe.Sizeof(flow.Key{})) // 0, or it does not compile

// networkOrder converts between the machine's byte order and the network's.
func networkOrder(v uint16) uint16 {
	if bigEndian {
		return v
	}
	return bits.ReverseBytes16(v)
}

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// packet fills in all of *p from an entry. (A composite literal would be made on the
// stack first.)
func (c *clock) packet(e *bpf.ProgramEntry, p *flow.Packet) {
	p.Key = *(*flow.Key)(unsafe.Pointer(e))
	p.SrcPort, p.DstPort = networkOrder(p.SrcPort), networkOrder(p.DstPort)
	p.TCPFlags = networkOrder(e.TcpFlags)
	p.MinTTL, p.MaxTTL = e.MinTtl, e.MaxTtl
	p.Packets, p.Octets = uint64(e.Packets), e.Octets
	p.First, p.Last = c.time(e.First), c.time(e.Last)
	p.MinLength, p.MaxLength = e.MinLength, e.MaxLength
	p.SrcMAC, p.DstMAC = e.SrcMac, e.DstMac
	p.FlowLabel = e.FlowLabel
	p.VLAN, p.CustomerVLAN = e.Tags.Vlan, e.Tags.CustomerVlan
	p.MPLS, p.MPLSDepth = e.Tags.Mpls, e.Tags.MplsDepth
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
