package export

import "cacheflow/cache/flow"

// Layout is an order of fields.
type Layout string

const (
	// LayoutDefault is all that the cache knows.
	LayoutDefault Layout = "default"
	// LayoutNetFlowOriginal is Flexible NetFlow's predefined record netflow-original, and
	// netflow ipv6 original-input4, in the order of their configuration: 53 and 97 octets.
	LayoutNetFlowOriginal Layout = "netflow-original"
	// LayoutISR, LayoutASR1000 and LayoutASR9000 are what an ISR 1941, an ASR1001-X and an
	// ASR 9000 were seen to send. The first two were seen with IPv4 only: IPv6 has the
	// addresses in their place.
	LayoutISR     Layout = "isr"
	LayoutASR1000 Layout = "asr1000"
	LayoutASR9000 Layout = "asr9000"
)

var allLayouts = []Layout{LayoutDefault, LayoutNetFlowOriginal, LayoutISR, LayoutASR1000, LayoutASR9000}

// isRouter tells whether l is that of a router, which decides on times and counters itself.
func (l Layout) isRouter() bool { return l != "" && l != LayoutDefault }

// routerLayouts have counters of four octets. What the cache does not know is 0: BGP next hops, the application4, VRFs, the sampler's number and IPv6 extension
// headers. So is an IPv6 next hop of IPv4.
var routerLayouts = map[Layout]struct{ ipv4, ipv6 []group }{
	LayoutNetFlowOriginal: {
		[]group{
			tos1, protocol1, addresses4, portPair, input4, sampler4, as2, nextHop4, masks4, flags1, output4,
			octets4, packets4, timesUptime,
		},
		[]group{
			tos1, flowLabel3, protocol1, extensionHeaders, addresses6, portPair, input4, direction1, sampler4,
			as2, nextHop6, masks6, flags1, output4, octets4, packets4, timesUptime,
		},
	},
	LayoutISR: {
		[]group{addresses4, input4, portPair, tos1, protocol1, flags1, direction1, dot1qVLAN, sourceMAC, nextHop4, octets4, packets4, application4},
		[]group{addresses6, input4, portPair, tos1, protocol1, flags1, direction1, dot1qVLAN, sourceMAC, nextHop6, octets4, packets4, application4},
	},
	LayoutASR1000: {
		[]group{addresses4, tos1, protocol1, portPair, input4, application4, nextHop4, output4, direction1, octets4, packets4, timesWall},
		[]group{addresses6, tos1, protocol1, portPair, input4, application4, nextHop6, output4, direction1, octets4, packets4, timesWall},
	},
	LayoutASR9000: {
		[]group{
			packets4, octets4, addresses4, input4, output4, timesUptimeEndFirst, portPair, as4, bgpNextHop4, masks4,
			protocol1, flags1, tos1, direction1, status1, sampler2, vrfs,
		},
		[]group{
			packets4, octets4, addresses6, input4, output4, timesUptime, flowLabel4, extensionHeaders, portPair, as4, bgpNextHop6, masks6DstFirst,
			protocol1, flags1, tos1, direction1, status1, sampler2, vrfs,
		},
	},
}

// inIPFIX tells whether IPFIX can have the layout: samplerId is of one octet there, and no
// encoding may be longer than its type (RFC 7011 §6.2).
func (l Layout) inIPFIX() bool { return l != LayoutNetFlowOriginal && l != LayoutASR9000 }

// The groups of routers' layouts.
var (
	addresses4 = group{
		[]field{{sourceIPv4Address, 4}, {destinationIPv4Address, 4}},
		func(b []byte, r *flow.Record, _ int64) []byte { return append(append(b, r.Src[:4]...), r.Dst[:4]...) },
	}
	addresses6 = group{
		[]field{{sourceIPv6Address, 16}, {destinationIPv6Address, 16}},
		func(b []byte, r *flow.Record, _ int64) []byte { return append(append(b, r.Src[:]...), r.Dst[:]...) },
	}
	portPair = group{
		[]field{{sourceTransportPort, 2}, {destinationTransportPort, 2}},
		func(b []byte, r *flow.Record, _ int64) []byte {
			return be.AppendUint16(be.AppendUint16(b, r.SrcPort), r.DstPort)
		},
	}

	tos1       = one(ipClassOfService, func(r *flow.Record) uint8 { return r.ToS })
	protocol1  = one(protocolIdentifier, func(r *flow.Record) uint8 { return r.Protocol })
	direction1 = one(flowDirection, func(r *flow.Record) uint8 { return uint8(r.Direction) })
	status1    = one(forwardingStatus, func(r *flow.Record) uint8 { return uint8(r.Status) })

	input4     = four(ingressInterface, func(r *flow.Record) uint32 { return r.Input })
	output4    = four(egressInterface, func(r *flow.Record) uint32 { return r.Egress })
	packets4   = four(packetDeltaCount, func(r *flow.Record) uint32 { return uint32(r.Packets) })
	octets4    = four(octetDeltaCount, func(r *flow.Record) uint32 { return uint32(r.Octets) })
	flowLabel4 = four(flowLabelIPv6, func(r *flow.Record) uint32 { return r.FlowLabel })

	nextHop4 = group{
		[]field{{ipNextHopIPv4Address, 4}},
		func(b []byte, r *flow.Record, _ int64) []byte {
			if r.NextHopVersion == 6 {
				return append(b, 0, 0, 0, 0)
			}
			return append(b, r.NextHop[:4]...)
		},
	}
	nextHop6 = group{
		[]field{{ipNextHopIPv6Address, 16}},
		func(b []byte, r *flow.Record, _ int64) []byte { return append(b, r.NextHop[:]...) },
	}
	masks4         = group{[]field{{sourceIPv4PrefixLength, 1}, {destIPv4PrefixLength, 1}}, putMasks}
	masks6         = group{[]field{{sourceIPv6PrefixLength, 1}, {destIPv6PrefixLength, 1}}, putMasks}
	masks6DstFirst = group{
		[]field{{destIPv6PrefixLength, 1}, {sourceIPv6PrefixLength, 1}},
		func(b []byte, r *flow.Record, _ int64) []byte { return append(b, r.DstPrefixLen, r.SrcPrefixLen) },
	}

	timesUptimeEndFirst = group{
		[]field{{flowEndSysUpTime, 4}, {flowStartSysUpTime, 4}},
		func(b []byte, r *flow.Record, _ int64) []byte {
			return be.AppendUint32(be.AppendUint32(b, sysUpTime(r.Last)), sysUpTime(r.First))
		},
	}
	flowLabel3 = group{[]field{{flowLabelIPv6, 3}}, putFlowLabel3}
	dot1qVLAN  = group{
		[]field{{dot1qVlanID, 2}},
		func(b []byte, r *flow.Record, _ int64) []byte { return be.AppendUint16(b, r.VLAN&vlanMask) },
	}
	sourceMAC = group{
		[]field{{sourceMacAddress, 6}},
		func(b []byte, r *flow.Record, _ int64) []byte { return append(b, r.SrcMAC[:]...) },
	}

	bgpNextHop4      = unknown(field{bgpNextHopIPv4Address, 4})
	bgpNextHop6      = unknown(field{bgpNextHopIPv6Address, 16})
	sampler2         = unknown(field{samplerID, 2})
	sampler4         = unknown(field{samplerID, 4})
	extensionHeaders = unknown(field{ipv6ExtensionHeaders, 4})
	application4     = unknown(field{applicationID, 4})
	vrfs             = unknown(field{ingressVRFID, 4}, field{egressVRFID, 4})
)

// one returns a group of one field of one octet.
func one(id uint16, value func(*flow.Record) uint8) group {
	return group{[]field{{id, 1}}, func(b []byte, r *flow.Record, _ int64) []byte { return append(b, value(r)) }}
}

// four returns a group of one field of four octets.
func four(id uint16, value func(*flow.Record) uint32) group {
	return group{[]field{{id, 4}}, func(b []byte, r *flow.Record, _ int64) []byte { return be.AppendUint32(b, value(r)) }}
}

// unknown returns a group of zeros.
func unknown(fields ...field) group {
	zeros := make([]byte, size(fields))
	return group{fields, func(b []byte, _ *flow.Record, _ int64) []byte { return append(b, zeros...) }}
}

func putMasks(b []byte, r *flow.Record, _ int64) []byte {
	return append(b, r.SrcPrefixLen, r.DstPrefixLen)
}

// putFlowLabel3 has NetFlow v9's length (RFC 3954 §8).
func putFlowLabel3(b []byte, r *flow.Record, _ int64) []byte {
	return append(b, uint8(r.FlowLabel>>16), uint8(r.FlowLabel>>8), uint8(r.FlowLabel))
}
