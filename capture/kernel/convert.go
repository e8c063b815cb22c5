//go:build linux

package kernel

import (
	"unsafe"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// The first octets of an entry are a flow.Key.
const _ = -(unsafe.Offsetof(bpf.ProgramEntry{}.Packets) ^ unsafe.Sizeof(flow.Key{})) // 0, or it does not compile

// packet fills in *p from an entry.
func (c *clock) packet(e *bpf.ProgramEntry, p *flow.Packet) {
	*p = flow.Packet{
		Key:      *(*flow.Key)(unsafe.Pointer(e)),
		TCPFlags: e.TcpFlags,
		MinTTL:   e.MinTtl, MaxTTL: e.MaxTtl,
		Packets: uint64(e.Packets), Octets: e.Octets,
		First: c.time(e.First), Last: c.time(e.Last),
		MinLength: e.MinLength, MaxLength: e.MaxLength,
		SrcMAC: e.SrcMac, DstMAC: e.DstMac,
		FlowLabel: e.FlowLabel,
		VLAN:      e.Tags.Vlan, CustomerVLAN: e.Tags.CustomerVlan,
		MPLS: e.Tags.Mpls, MPLSDepth: e.Tags.MplsDepth,
		Egress: e.Egress,
	}
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
