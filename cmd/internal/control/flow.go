package control

import (
	"encoding/hex"
	"net"
	"net/netip"
	"time"

	"cacheflow/cache/flow"
)

// Flow is a live flow, keyed by IANA information element names (the comments
// give their numbers) as flow records are everywhere in cacheflow. Elements
// that do not apply are absent, and so are those whose 0 says "none"; the names
// of the interfaces are ours.
type Flow struct {
	SourceIPv4Address      netip.Addr `json:"sourceIPv4Address,omitzero"`      // 8
	DestinationIPv4Address netip.Addr `json:"destinationIPv4Address,omitzero"` // 12
	SourceIPv6Address      netip.Addr `json:"sourceIPv6Address,omitzero"`      // 27
	DestinationIPv6Address netip.Addr `json:"destinationIPv6Address,omitzero"` // 28

	SourceTransportPort      uint16         `json:"sourceTransportPort"`      // 7
	DestinationTransportPort uint16         `json:"destinationTransportPort"` // 11
	ProtocolIdentifier       uint8          `json:"protocolIdentifier"`       // 4
	IPClassOfService         uint8          `json:"ipClassOfService"`         // 5
	IPDiffServCodePoint      uint8          `json:"ipDiffServCodePoint"`      // 195
	TCPControlBits           uint16         `json:"tcpControlBits"`           // 6
	IngressInterface         uint32         `json:"ingressInterface"`         // 10
	EgressInterface          uint32         `json:"egressInterface"`          // 14
	IngressInterfaceName     string         `json:"ingressInterfaceName,omitempty"`
	EgressInterfaceName      string         `json:"egressInterfaceName,omitempty"`
	FlowDirection            flow.Direction `json:"flowDirection"` // 61

	PacketDeltaCount      uint64 `json:"packetDeltaCount"`      // 2
	OctetDeltaCount       uint64 `json:"octetDeltaCount"`       // 1
	FlowStartMilliseconds int64  `json:"flowStartMilliseconds"` // 152
	FlowEndMilliseconds   int64  `json:"flowEndMilliseconds"`   // 153
	MinimumIPTotalLength  uint32 `json:"minimumIpTotalLength"`  // 25
	MaximumIPTotalLength  uint32 `json:"maximumIpTotalLength"`  // 26
	MinimumTTL            uint8  `json:"minimumTTL"`            // 52
	MaximumTTL            uint8  `json:"maximumTTL"`            // 53

	SourceMACAddress         string  `json:"sourceMacAddress,omitempty"`         // 56
	DestinationMACAddress    string  `json:"destinationMacAddress,omitempty"`    // 80
	VLANID                   uint16  `json:"vlanId,omitempty"`                   // 58, at ingress
	PostVLANID               uint16  `json:"postVlanId,omitempty"`               // 59, at egress
	Dot1qPriority            uint8   `json:"dot1qPriority,omitempty"`            // 244
	Dot1qCustomerVLANID      uint16  `json:"dot1qCustomerVlanId,omitempty"`      // 245
	Dot1qCustomerPriority    uint8   `json:"dot1qCustomerPriority,omitempty"`    // 246
	MPLSTopLabelStackSection string  `json:"mplsTopLabelStackSection,omitempty"` // 70, hexadecimal
	MPLSLabelStackSection2   string  `json:"mplsLabelStackSection2,omitempty"`   // 71
	MPLSLabelStackSection3   string  `json:"mplsLabelStackSection3,omitempty"`   // 72
	MPLSLabelStackDepth      uint8   `json:"mplsLabelStackDepth,omitempty"`      // 202
	ICMPTypeCodeIPv4         *uint16 `json:"icmpTypeCodeIPv4,omitempty"`         // 32
	ICMPTypeCodeIPv6         *uint16 `json:"icmpTypeCodeIPv6,omitempty"`         // 139
	FlowLabelIPv6            uint32  `json:"flowLabelIPv6,omitempty"`            // 31
	FragmentFlags            uint8   `json:"fragmentFlags,omitempty"`            // 197

	IPNextHopIPv4Address        netip.Addr            `json:"ipNextHopIPv4Address,omitzero"`         // 15
	IPNextHopIPv6Address        netip.Addr            `json:"ipNextHopIPv6Address,omitzero"`         // 62
	SourceIPv4PrefixLength      *uint8                `json:"sourceIPv4PrefixLength,omitempty"`      // 9
	DestinationIPv4PrefixLength *uint8                `json:"destinationIPv4PrefixLength,omitempty"` // 13
	SourceIPv6PrefixLength      *uint8                `json:"sourceIPv6PrefixLength,omitempty"`      // 29
	DestinationIPv6PrefixLength *uint8                `json:"destinationIPv6PrefixLength,omitempty"` // 30
	ForwardingStatus            flow.ForwardingStatus `json:"forwardingStatus"`                      // 89
	FlowEndReason               flow.EndReason        `json:"flowEndReason"`                         // 136; 0 while the flow lives
	IPVersion                   uint8                 `json:"ipVersion"`                             // 60
}

// moreFragments is the bit of fragmentFlags that a flow with any fragment has.
const moreFragments = 0x20

// A Context says what a record's times and interface indexes mean.
type Context struct {
	Boot time.Time // the wall time of flow.Time 0
	// Name returns an interface's name, or "" where it is not known. It may be
	// nil.
	Name func(index uint32) string
}

// Flow returns r in the form that JSON has. It owns no memory of r.
func (c *Context) Flow(r *flow.Record) Flow {
	f := Flow{
		SourceTransportPort: r.SrcPort, DestinationTransportPort: r.DstPort,
		ProtocolIdentifier: r.Protocol, IPClassOfService: r.ToS, IPDiffServCodePoint: r.DSCP(),
		IngressInterface: r.Input, EgressInterface: r.Egress, FlowDirection: r.Direction,
		IngressInterfaceName: c.name(r.Input), EgressInterfaceName: c.name(r.Egress),
		PacketDeltaCount: r.Packets, OctetDeltaCount: r.Octets,
		FlowStartMilliseconds: c.milliseconds(r.First), FlowEndMilliseconds: c.milliseconds(r.Last),
		TCPControlBits: r.TCPFlags, MinimumTTL: r.MinTTL, MaximumTTL: r.MaxTTL,
		MinimumIPTotalLength: r.MinLength, MaximumIPTotalLength: r.MaxLength,
		ForwardingStatus: r.Status, FlowEndReason: r.End, IPVersion: r.Version,
	}
	f.setAddresses(r)
	f.setLink(&r.Packet)
	return f
}

func (c *Context) name(index uint32) string {
	if index == 0 || c.Name == nil {
		return ""
	}
	return c.Name(index)
}

func (c *Context) milliseconds(t flow.Time) int64 {
	return c.Boot.UnixMilli() + int64(t.Milliseconds())
}

func (f *Flow) setAddresses(r *flow.Record) {
	src, dst := r.SrcPrefixLen, r.DstPrefixLen
	var icmp *uint16
	if r.IsICMP() {
		typeCode := r.DstPort
		icmp = &typeCode
	}
	if r.Version == 6 {
		f.SourceIPv6Address, f.DestinationIPv6Address = r.SrcAddr(), r.DstAddr()
		f.SourceIPv6PrefixLength, f.DestinationIPv6PrefixLength = &src, &dst
		f.ICMPTypeCodeIPv6, f.FlowLabelIPv6 = icmp, r.FlowLabel
	} else {
		f.SourceIPv4Address, f.DestinationIPv4Address = r.SrcAddr(), r.DstAddr()
		f.SourceIPv4PrefixLength, f.DestinationIPv4PrefixLength = &src, &dst
		f.ICMPTypeCodeIPv4 = icmp
	}
	switch hop := r.NextHopAddr(); {
	case r.NextHop == [16]byte{}:
	case hop.Is6():
		f.IPNextHopIPv6Address = hop
	default:
		f.IPNextHopIPv4Address = hop
	}
}

func (f *Flow) setLink(p *flow.Packet) {
	f.SourceMACAddress, f.DestinationMACAddress = hardware(&p.SrcMAC), hardware(&p.DstMAC)
	outer := &f.VLANID
	if p.Direction == flow.Egress {
		outer = &f.PostVLANID
	}
	*outer, f.Dot1qPriority = tag(p.VLAN)
	f.Dot1qCustomerVLANID, f.Dot1qCustomerPriority = tag(p.CustomerVLAN)
	f.MPLSTopLabelStackSection, f.MPLSLabelStackSection2, f.MPLSLabelStackSection3 = label(&p.MPLS[0]), label(&p.MPLS[1]), label(&p.MPLS[2])
	f.MPLSLabelStackDepth = p.MPLSDepth
	if p.Fragment {
		f.FragmentFlags = moreFragments
	}
}

func hardware(a *[6]byte) string {
	if *a == [6]byte{} {
		return ""
	}
	return net.HardwareAddr(a[:]).String()
}

func label(section *[3]byte) string {
	if *section == [3]byte{} {
		return ""
	}
	return hex.EncodeToString(section[:])
}

// tag splits 802.1Q tag control information into its identifier and priority.
func tag(tci uint16) (id uint16, priority uint8) { return tci & 0x0fff, uint8(tci >> 13) }
