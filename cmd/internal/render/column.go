package render

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"cacheflow/cache/flow"
)

// A column writes one element of a flow record. put appends nothing where the
// element does not apply. epoch is the wall time of flow.Time 0 in
// milliseconds since 1970.
type column struct {
	*Element
	before, after string // what stands around the value in JSON
	put           put
}

type put func(b []byte, r *flow.Record, epoch int64) []byte

// columns are in the order of order. columns4 and columns6 are those that a
// record of the IP version can have.
var (
	columns            [len(order)]column
	columns4, columns6 []column
)

func init() {
	for i, name := range order {
		e := elementByName(name)
		c := column{e, key(name), ",", puts[name]}
		if e.Kind.isText() {
			c.before, c.after = c.before+`"`, `",`
		}
		columns[i] = c
		nextHop := strings.HasPrefix(name, "ipNextHop") // may be of the other version
		if nextHop || !strings.Contains(name, "IPv6") {
			columns4 = append(columns4, c)
		}
		if nextHop || !strings.Contains(name, "IPv4") {
			columns6 = append(columns6, c)
		}
	}
}

// puts has one function for each element in order.
var puts = map[string]put{
	"sourceIPv4Address":        address(4, func(r *flow.Record) netip.Addr { return r.SrcAddr() }),
	"destinationIPv4Address":   address(4, func(r *flow.Record) netip.Addr { return r.DstAddr() }),
	"sourceIPv6Address":        address(6, func(r *flow.Record) netip.Addr { return r.SrcAddr() }),
	"destinationIPv6Address":   address(6, func(r *flow.Record) netip.Addr { return r.DstAddr() }),
	"sourceTransportPort":      func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.SrcPort) },
	"destinationTransportPort": func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.DstPort) },
	"protocolIdentifier":       func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.Protocol) },
	"ipClassOfService":         func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.ToS) },
	"ipDiffServCodePoint":      func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.DSCP()) },
	"tcpControlBits":           func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.TCPFlags) },
	"ingressInterface":         func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.Input) },
	"egressInterface":          func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.Egress) },
	"flowDirection":            func(b []byte, r *flow.Record, _ int64) []byte { return number(b, uint8(r.Direction)) },
	"packetDeltaCount":         func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.Packets) },
	"octetDeltaCount":          func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.Octets) },
	"flowStartMilliseconds":    func(b []byte, r *flow.Record, epoch int64) []byte { return number(b, wall(r.First, epoch)) },
	"flowEndMilliseconds":      func(b []byte, r *flow.Record, epoch int64) []byte { return number(b, wall(r.Last, epoch)) },
	"minimumIpTotalLength":     func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.MinLength) },
	"maximumIpTotalLength":     func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.MaxLength) },
	"minimumTTL":               func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.MinTTL) },
	"maximumTTL":               func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.MaxTTL) },
	"sourceMacAddress":         func(b []byte, r *flow.Record, _ int64) []byte { return hardware(b, &r.SrcMAC) },
	"destinationMacAddress":    func(b []byte, r *flow.Record, _ int64) []byte { return hardware(b, &r.DstMAC) },
	"vlanId":                   func(b []byte, r *flow.Record, _ int64) []byte { return vlan(b, r, flow.Ingress) },
	"postVlanId":               func(b []byte, r *flow.Record, _ int64) []byte { return vlan(b, r, flow.Egress) },
	"dot1qPriority":            func(b []byte, r *flow.Record, _ int64) []byte { return some(b, r.VLAN>>priorityShift) },
	"dot1qCustomerVlanId":      func(b []byte, r *flow.Record, _ int64) []byte { return some(b, r.CustomerVLAN&vlanMask) },
	"dot1qCustomerPriority":    func(b []byte, r *flow.Record, _ int64) []byte { return some(b, r.CustomerVLAN>>priorityShift) },
	"mplsTopLabelStackSection": label(0),
	"mplsLabelStackSection2":   label(1),
	"mplsLabelStackSection3":   label(2),
	"mplsLabelStackDepth":      func(b []byte, r *flow.Record, _ int64) []byte { return some(b, r.MPLSDepth) },
	"icmpTypeCodeIPv4":         icmp(4),
	"icmpTypeCodeIPv6":         icmp(6),
	"flowLabelIPv6": func(b []byte, r *flow.Record, _ int64) []byte {
		if r.Version != 6 {
			return b
		}
		return some(b, r.FlowLabel)
	},
	// Bit 2, counted from the top, is "more fragments"; a flow does not tell
	// first fragments from last ones.
	"fragmentFlags": func(b []byte, r *flow.Record, _ int64) []byte {
		if !r.Fragment {
			return b
		}
		return append(b, "32"...)
	},
	"ipNextHopIPv4Address":        func(b []byte, r *flow.Record, _ int64) []byte { return nextHop(b, r, 4) },
	"ipNextHopIPv6Address":        func(b []byte, r *flow.Record, _ int64) []byte { return nextHop(b, r, 6) },
	"sourceIPv4PrefixLength":      prefix(4, func(r *flow.Record) uint8 { return r.SrcPrefixLen }),
	"destinationIPv4PrefixLength": prefix(4, func(r *flow.Record) uint8 { return r.DstPrefixLen }),
	"sourceIPv6PrefixLength":      prefix(6, func(r *flow.Record) uint8 { return r.SrcPrefixLen }),
	"destinationIPv6PrefixLength": prefix(6, func(r *flow.Record) uint8 { return r.DstPrefixLen }),
	"forwardingStatus":            func(b []byte, r *flow.Record, _ int64) []byte { return number(b, uint8(r.Status)) },
	"flowEndReason":               func(b []byte, r *flow.Record, _ int64) []byte { return number(b, uint8(r.End)) },
	"ipVersion":                   func(b []byte, r *flow.Record, _ int64) []byte { return number(b, r.Version) },
}

// A VLAN id is the lower 12 bits of the tag control information, the priority
// its upper three (802.1Q §9.6).
const (
	vlanMask      = 0x0fff
	priorityShift = 13
)

type integer interface {
	uint8 | uint16 | uint32 | uint64
}

func number[T integer](b []byte, n T) []byte { return strconv.AppendUint(b, uint64(n), 10) }

// some appends n unless it is 0, which means "none".
func some[T integer](b []byte, n T) []byte {
	if n == 0 {
		return b
	}
	return number(b, n)
}

// wall returns t in milliseconds since 1970, where epoch is that of flow.Time
// 0: rounded down, and never before 1970, as it is exported.
func wall(t flow.Time, epoch int64) uint64 {
	ms := int64(t) / int64(time.Millisecond)
	if int64(t)%int64(time.Millisecond) < 0 {
		ms--
	}
	return uint64(max(0, epoch+ms))
}

func address(version uint8, addr func(*flow.Record) netip.Addr) put {
	return func(b []byte, r *flow.Record, _ int64) []byte {
		if r.Version != version {
			return b
		}
		return addr(r).AppendTo(b)
	}
}

func nextHop(b []byte, r *flow.Record, version uint8) []byte {
	if r.NextHopVersion != version || r.NextHop == [16]byte{} {
		return b
	}
	return r.NextHopAddr().AppendTo(b)
}

func prefix(version uint8, length func(*flow.Record) uint8) put {
	return func(b []byte, r *flow.Record, _ int64) []byte {
		if r.Version != version {
			return b
		}
		return number(b, length(r))
	}
}

func icmp(version uint8) put {
	return func(b []byte, r *flow.Record, _ int64) []byte {
		if r.Version != version || !r.IsICMP() {
			return b
		}
		return number(b, r.DstPort)
	}
}

func hardware(b []byte, a *[6]byte) []byte {
	if *a == [6]byte{} {
		return b
	}
	return appendMAC(b, a[:])
}

// vlan appends the outer VLAN id where the flow was observed at side d, whose
// tag it is.
func vlan(b []byte, r *flow.Record, d flow.Direction) []byte {
	if r.Direction != d {
		return b
	}
	return some(b, r.VLAN&vlanMask)
}

func label(i int) put {
	return func(b []byte, r *flow.Record, _ int64) []byte {
		if r.MPLS[i] == [3]byte{} {
			return b
		}
		return hex.AppendEncode(b, r.MPLS[i][:])
	}
}
