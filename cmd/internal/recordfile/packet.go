package recordfile

import (
	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/cmd/internal/render"
)

// observation is a flow record as the flow cache takes it: an observation of several
// packets, and what the cache would ask the forwarding table for.
type observation struct {
	flow.Packet // First and Last are set later
	route       flow.Route
	start, end  uint64 // milliseconds since 1970; 0 where they were not told
}

// The elements that an observation is made of, by their numbers. Times in other elements
// have been converted by the collector.
const (
	octetDeltaCount          = 1
	packetDeltaCount         = 2
	protocolIdentifier       = 4
	ipClassOfService         = 5
	tcpControlBits           = 6
	sourceTransportPort      = 7
	sourceIPv4Address        = 8
	sourceIPv4PrefixLength   = 9
	ingressInterface         = 10
	destinationTransportPort = 11
	destinationIPv4Address   = 12
	destIPv4PrefixLength     = 13
	egressInterface          = 14
	ipNextHopIPv4Address     = 15
	minimumIPTotalLength     = 25
	maximumIPTotalLength     = 26
	sourceIPv6Address        = 27
	destinationIPv6Address   = 28
	sourceIPv6PrefixLength   = 29
	destIPv6PrefixLength     = 30
	flowLabelIPv6            = 31
	icmpTypeCodeIPv4         = 32
	minimumTTL               = 52
	maximumTTL               = 53
	sourceMacAddress         = 56
	vlanID                   = 58
	postVlanID               = 59
	flowDirection            = 61
	ipNextHopIPv6Address     = 62
	mplsTopLabelStackSection = 70
	mplsLabelStackSection3   = 72
	destinationMacAddress    = 80
	forwardingStatus         = 89
	icmpTypeCodeIPv6         = 139
	flowStartMilliseconds    = 152
	flowEndMilliseconds      = 153
	fragmentFlags            = 197
	mplsLabelStackDepth      = 202
	dot1qPriority            = 244
	dot1qCustomerVlanID      = 245
	dot1qCustomerPriority    = 246
)

// priorityShift is where the priority stands in tag control information (802.1Q §9.6).
const priorityShift = 13

// read takes over a flow record. It returns why it is no observation, or capture.Decoded.
func (o *observation) read(d *render.Decoded) capture.Reason {
	*o = observation{}
	for i := range d.Fields {
		f := &d.Fields[i]
		if n := render.Uint(f.Value); !o.key(f, n) && !o.sums(f.ID, n) && !o.routing(f, n) {
			o.layers(f, n)
		}
	}
	switch {
	case o.Version == 0:
		return capture.NonIP
	case o.Packets == 0:
		return capture.NoPackets
	}
	if o.start == 0 || o.start > o.end {
		o.start = o.end
	}
	return capture.Decoded
}

// key takes f if it is of the Flow Key.
func (o *observation) key(f *render.Field, n uint64) bool {
	switch f.ID {
	case sourceIPv4Address, sourceIPv6Address:
		o.address(&o.Src, f)
	case destinationIPv4Address, destinationIPv6Address:
		o.address(&o.Dst, f)
	case sourceTransportPort:
		o.SrcPort = uint16(n)
	case destinationTransportPort:
		o.DstPort = uint16(n)
	case icmpTypeCodeIPv4, icmpTypeCodeIPv6: // stands behind the port, and for ICMP only
		o.DstPort = uint16(n)
	case protocolIdentifier:
		o.Protocol = uint8(n)
	case ipClassOfService:
		o.ToS = uint8(n)
	case ingressInterface:
		o.Input = uint32(n)
	case flowDirection:
		o.Direction = flow.Direction(n & 1)
	default:
		return false
	}
	return true
}

// address sets an address of the flow. Of a record with both versions, the later one in the
// order of fields counts.
func (o *observation) address(a *[16]byte, f *render.Field) {
	version := uint8(4)
	if f.Kind == render.IPv6 {
		version = 6
	}
	if o.Version != version {
		o.Version, o.Src, o.Dst = version, [16]byte{}, [16]byte{}
	}
	copy(a[:], f.Value)
}

// sums takes what is added up.
func (o *observation) sums(id uint16, n uint64) bool {
	switch id {
	case packetDeltaCount:
		o.Packets = n
	case octetDeltaCount:
		o.Octets = n
	case tcpControlBits:
		o.TCPFlags = uint16(n)
	case flowStartMilliseconds:
		o.start = n
	case flowEndMilliseconds:
		o.end = n
	case minimumIPTotalLength:
		o.MinLength = uint32(n)
	case maximumIPTotalLength:
		o.MaxLength = uint32(n)
	case minimumTTL:
		o.MinTTL = uint8(n)
	case maximumTTL:
		o.MaxTTL = uint8(n)
	case fragmentFlags:
		o.Fragment = n != 0
	default:
		return false
	}
	return true
}

// routing takes what the forwarding table said.
func (o *observation) routing(f *render.Field, n uint64) bool {
	switch f.ID {
	case egressInterface:
		o.Egress = uint32(n)
	case ipNextHopIPv4Address, ipNextHopIPv6Address:
		o.route.NextHop, o.route.NextHopVersion = [16]byte{}, 4
		if f.ID == ipNextHopIPv6Address {
			o.route.NextHopVersion = 6
		}
		copy(o.route.NextHop[:], f.Value)
	case sourceIPv4PrefixLength, sourceIPv6PrefixLength:
		o.route.SrcPrefixLen = uint8(n)
	case destIPv4PrefixLength, destIPv6PrefixLength:
		o.route.DstPrefixLen = uint8(n)
	case forwardingStatus:
		o.route.Status = flow.ForwardingStatus(n)
	default:
		return false
	}
	return true
}

// layers takes what stands below and beside the Flow Key.
func (o *observation) layers(f *render.Field, n uint64) {
	switch f.ID {
	case sourceMacAddress:
		copy(o.SrcMAC[:], f.Value)
	case destinationMacAddress:
		copy(o.DstMAC[:], f.Value)
	case vlanID, postVlanID:
		o.VLAN |= uint16(n)
	case dot1qPriority:
		o.VLAN |= uint16(n) << priorityShift
	case dot1qCustomerVlanID:
		o.CustomerVLAN |= uint16(n)
	case dot1qCustomerPriority:
		o.CustomerVLAN |= uint16(n) << priorityShift
	case flowLabelIPv6:
		o.FlowLabel = uint32(n)
	case mplsLabelStackDepth:
		o.MPLSDepth = uint8(n)
	case mplsTopLabelStackSection, mplsTopLabelStackSection + 1, mplsLabelStackSection3:
		copy(o.MPLS[f.ID-mplsTopLabelStackSection][:], f.Value)
	}
}
