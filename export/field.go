package export

import (
	"encoding/binary"

	"cacheflow/cache/flow"
)

// be writes network byte order, as all three protocols do.
var be = binary.BigEndian

// A field is one entry of a template: an Information Element's id and its
// length in octets.
type field struct{ id, length uint16 }

// size returns the octets of fields.
func size(fields []field) (n int) {
	for _, f := range fields {
		n += int(f.length)
	}
	return n
}

// A group is a run of fields and the function that appends their values, in
// the same order. The group, not the field, is the unit of encoding: a record
// costs one indirect call for each.
type group struct {
	fields []field
	// put appends the values. epoch is the wall time of flow.Time 0 in
	// nanoseconds since 1970.
	put func(b []byte, r *flow.Record, epoch int64) []byte
}

// A Data Record is endpoints, what was collected, times, a route and flags. The
// endpoints are what both directions of a conversation have in common.
var (
	endpoints4 = group{
		append([]field{{sourceIPv4Address, 4}, {destinationIPv4Address, 4}}, portFields...),
		func(b []byte, r *flow.Record, _ int64) []byte {
			return putPorts(append(append(b, r.Src[:4]...), r.Dst[:4]...), r)
		},
	}
	endpoints6 = group{
		append([]field{{sourceIPv6Address, 16}, {destinationIPv6Address, 16}}, portFields...),
		func(b []byte, r *flow.Record, _ int64) []byte {
			return putPorts(append(append(b, r.Src[:]...), r.Dst[:]...), r)
		},
	}
)

var portFields = []field{
	{sourceTransportPort, 2}, {destinationTransportPort, 2}, {protocolIdentifier, 1}, {ipVersion, 1},
}

func putPorts(b []byte, r *flow.Record) []byte {
	b = be.AppendUint16(b, r.SrcPort)
	b = be.AppendUint16(b, r.DstPort)
	return append(b, r.Protocol, r.Version)
}

// collected8 and collected4 have counters of eight octets, and of four for records
// whose counters fit.
var collected8, collected4 = newCollected(8), newCollected(4)

// fits32 reports whether counters of four octets hold those of r.
func fits32(r *flow.Record) bool { return (r.Packets|r.Octets)>>32 == 0 }

// appendCounters appends the flow's packets and octets in so many octets each.
func appendCounters(b []byte, r *flow.Record, counter uint16) []byte {
	if counter == 8 {
		return be.AppendUint64(be.AppendUint64(b, r.Packets), r.Octets)
	}
	return be.AppendUint32(be.AppendUint32(b, uint32(r.Packets)), uint32(r.Octets))
}

// newCollected returns what all records have after their endpoints: the rest of the
// Flow Key, where the flow leaves, counters of so many octets, and what else was
// collected.
//
// Lengths have four octets, since an IPv6 packet over lo can exceed 65535. The
// outer tag is in vlanId (58) or postVlanId (59), which collectors read, and not
// also in dot1qVlanId (243): which of the two depends on the interface that the
// tag belongs to, and pmacct looks for it there.
func newCollected(counter uint16) group {
	return group{
		[]field{
			{ipClassOfService, 1}, {flowDirection, 1}, {ingressInterface, 4}, {egressInterface, 4},
			{packetDeltaCount, counter}, {octetDeltaCount, counter},
			{minimumIPTotalLength, 4}, {maximumIPTotalLength, 4},
			{minimumTTL, 1}, {maximumTTL, 1}, {ipDiffServCodePoint, 1}, {fragmentFlags, 1},
			{flowEndReason, 1}, {forwardingStatus, 1},
			{sourceMacAddress, 6}, {destinationMacAddress, 6},
			{vlanID, 2}, {postVlanID, 2}, {dot1qCustomerVlanID, 2}, {dot1qPriority, 1}, {dot1qCustomerPriority, 1},
			{mplsTopLabelStackSection, 3}, {mplsLabelStackSection2, 3}, {mplsLabelStackSection3, 3},
			{mplsLabelStackDepth, 1},
		},
		func(b []byte, r *flow.Record, _ int64) []byte {
			b = append(b, r.ToS, uint8(r.Direction))
			b = be.AppendUint32(b, r.Input)
			b = be.AppendUint32(b, r.Egress)
			b = appendCounters(b, r, counter)
			b = be.AppendUint32(b, r.MinLength)
			b = be.AppendUint32(b, r.MaxLength)
			b = append(b, r.MinTTL, r.MaxTTL, r.DSCP(), moreFragments(r.Fragment), uint8(r.End), uint8(r.Status))
			b = append(append(b, r.SrcMAC[:]...), r.DstMAC[:]...)
			in, out := vlans(r)
			b = be.AppendUint16(b, in)
			b = be.AppendUint16(b, out)
			b = be.AppendUint16(b, r.CustomerVLAN&vlanMask)
			b = append(b, uint8(r.VLAN>>priorityShift), uint8(r.CustomerVLAN>>priorityShift))
			b = append(append(append(b, r.MPLS[0][:]...), r.MPLS[1][:]...), r.MPLS[2][:]...)
			return append(b, r.MPLSDepth)
		},
	}
}

// Routes are what has its own elements in each IP version: the forwarding
// decision, and the ICMP type and code, which are 0 in other flows.
var (
	route4 = group{
		[]field{
			{ipNextHopIPv4Address, 4}, {sourceIPv4PrefixLength, 1}, {destIPv4PrefixLength, 1},
			{icmpTypeCodeIPv4, 2},
		},
		func(b []byte, r *flow.Record, _ int64) []byte {
			b = append(b, r.NextHop[:4]...)
			b = append(b, r.SrcPrefixLen, r.DstPrefixLen)
			return be.AppendUint16(b, icmpTypeCode(r))
		},
	}
	route4via6 = group{
		[]field{
			{ipNextHopIPv6Address, 16}, {sourceIPv4PrefixLength, 1}, {destIPv4PrefixLength, 1},
			{icmpTypeCodeIPv4, 2},
		},
		putRoute6,
	}
	// route4both is for a biflow one of whose directions has an IPv6 gateway; the next
	// hop that a direction does not have is 0.
	route4both = group{
		[]field{
			{ipNextHopIPv4Address, 4}, {ipNextHopIPv6Address, 16}, {sourceIPv4PrefixLength, 1}, {destIPv4PrefixLength, 1},
			{icmpTypeCodeIPv4, 2},
		},
		func(b []byte, r *flow.Record, _ int64) []byte {
			var none [16]byte
			if r.NextHopVersion == 6 {
				return putRoute6(append(b, none[:4]...), r, 0)
			}
			b = append(append(b, r.NextHop[:4]...), none[:]...)
			b = append(b, r.SrcPrefixLen, r.DstPrefixLen)
			return be.AppendUint16(b, icmpTypeCode(r))
		},
	}
	// route6v9 has ICMP_TYPE (32), which RFC 3954 §8 does not confine to IPv4,
	// and its IPV6_FLOW_LABEL; IPFIX has 139 and an unsigned32. (nfdump 1.7.1
	// shows type 0 where a NetFlow v9 template has 139 and not 32.)
	route6v9 = group{
		[]field{
			{ipNextHopIPv6Address, 16}, {sourceIPv6PrefixLength, 1}, {destIPv6PrefixLength, 1},
			{icmpTypeCodeIPv4, 2}, {flowLabelIPv6, 3},
		},
		func(b []byte, r *flow.Record, _ int64) []byte {
			return putFlowLabel3(putRoute6(b, r, 0), r, 0)
		},
	}
	route6 = group{
		[]field{
			{ipNextHopIPv6Address, 16}, {sourceIPv6PrefixLength, 1}, {destIPv6PrefixLength, 1},
			{icmpTypeCodeIPv6, 2}, {flowLabelIPv6, 4},
		},
		func(b []byte, r *flow.Record, _ int64) []byte {
			return be.AppendUint32(putRoute6(b, r, 0), r.FlowLabel)
		},
	}
)

var (
	// flags1 gives tcpControlBits one octet, as NetFlow v9 does: nfacctd 1.7.7
	// reads the two-octet form as 0. The ninth bit (NS, historic by RFC 8311)
	// is lost.
	flags1 = group{
		[]field{{tcpControlBits, 1}},
		func(b []byte, r *flow.Record, _ int64) []byte { return append(b, uint8(r.TCPFlags)) },
	}
	flags2 = group{
		[]field{{tcpControlBits, 2}},
		func(b []byte, r *flow.Record, _ int64) []byte { return be.AppendUint16(b, r.TCPFlags) },
	}
)

// Which sampler a flow's packets were chosen by, where the form of the sampler table
// wants it: there is one.
var (
	flowSampler = group{
		[]field{{samplerID, 1}},
		func(b []byte, _ *flow.Record, _ int64) []byte { return append(b, theSampler) },
	}
	selector = group{
		[]field{{selectorID, 4}},
		func(b []byte, _ *flow.Record, _ int64) []byte { return be.AppendUint32(b, theSampler) },
	}
)

// A VLAN id is the lower 12 bits of the tag control information, the priority
// its upper three (802.1Q §9.6).
const (
	vlanMask      = 0x0fff
	priorityShift = 13
)

// vlans returns the outer VLAN id as that of the ingress or of the egress
// interface, by where the flow was observed.
func vlans(r *flow.Record) (in, out uint16) {
	if r.Direction == flow.Egress {
		return 0, r.VLAN & vlanMask
	}
	return r.VLAN & vlanMask, 0
}

func putRoute6(b []byte, r *flow.Record, _ int64) []byte {
	b = append(b, r.NextHop[:]...)
	b = append(b, r.SrcPrefixLen, r.DstPrefixLen)
	return be.AppendUint16(b, icmpTypeCode(r))
}

// icmpTypeCode returns type×256 + code, which an ICMP flow keeps in its
// destination port.
func icmpTypeCode(r *flow.Record) uint16 {
	if r.IsICMP() {
		return r.DstPort
	}
	return 0
}

// moreFragments returns fragmentFlags: bit 2, counted from the top, where any
// packet of the flow was a fragment. The flow does not tell first from last
// ones.
func moreFragments(seen bool) uint8 {
	if seen {
		return 0x20
	}
	return 0
}
