package render

import (
	"net/netip"

	"cacheflow/cache/flow"
)

// Row is what a person wants to see of a flow, wherever it comes from.
type Row struct {
	Start, End       int64 // milliseconds since 1970
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // of ICMP, DstPort is type×256 + code
	Protocol         uint8
	Input, Output    uint32 // ifIndex
	Packets, Octets  uint64
	TCPFlags         uint16
	Status           flow.ForwardingStatus
	Reason           flow.EndReason // 0 where it is not told
}

// NewRow returns the row of r, where epoch is the wall time of flow.Time 0 in
// milliseconds since 1970.
func NewRow(r *flow.Record, epoch int64) Row {
	return Row{
		Start: int64(wall(r.First, epoch)), End: int64(wall(r.Last, epoch)),
		Src: r.SrcAddr(), Dst: r.DstAddr(), SrcPort: r.SrcPort, DstPort: r.DstPort, Protocol: r.Protocol,
		Input: r.Input, Output: r.Egress, Packets: r.Packets, Octets: r.Octets,
		TCPFlags: r.TCPFlags, Status: r.Status, Reason: r.End,
	}
}

// Row returns d as a row. What d does not have stays zero.
func (d *Decoded) Row() Row {
	var r Row
	for i := range d.Fields {
		r.set(&d.Fields[i])
	}
	return r
}

func (r *Row) set(f *Field) {
	switch f.ID {
	case 8, 27:
		r.Src, _ = netip.AddrFromSlice(f.Value)
	case 12, 28:
		r.Dst, _ = netip.AddrFromSlice(f.Value)
	case 7:
		r.SrcPort = uint16(Uint(f.Value))
	case 11:
		r.DstPort = uint16(Uint(f.Value))
	case 4:
		r.Protocol = uint8(Uint(f.Value))
	case 6:
		r.TCPFlags = uint16(Uint(f.Value))
	case 10:
		r.Input = uint32(Uint(f.Value))
	case 14:
		r.Output = uint32(Uint(f.Value))
	case 1:
		r.Octets = Uint(f.Value)
	case 2:
		r.Packets = Uint(f.Value)
	case 89:
		r.Status = flow.ForwardingStatus(Uint(f.Value))
	case 136:
		r.Reason = flow.EndReason(Uint(f.Value))
	case 152:
		r.Start = int64(Uint(f.Value))
	case 153:
		r.End = int64(Uint(f.Value))
	}
}

func (r *Row) isICMP() bool {
	return r.Protocol == flow.ProtocolICMP || r.Protocol == flow.ProtocolICMPv6
}
