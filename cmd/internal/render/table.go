package render

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"cacheflow/cache/flow"
)

const millisADay = 24 * 60 * 60 * 1000

// Widths of the table's columns; with a space between them 120 in all. Two
// IPv6 addresses need more than widthFlow: they get a line of their own.
const (
	widthTime    = len("15:04:05.000")
	widthSeconds = len("1800.000")
	widthProto   = len("ICMPv6")
	widthFlow    = 43
	widthHops    = 13
	widthPackets = 7
	widthOctets  = 9
	widthFlags   = len("CEUAPRSF")
	widthEnd     = len("forced")
)

func appendTableHeader(b []byte) []byte {
	return fmt.Appendf(b, "%-*s %*s %-*s %-*s %-*s %*s %*s %-*s %s\n", widthTime, "Start", widthSeconds, "Seconds",
		widthProto, "Proto", widthFlow, "Source → Destination", widthHops, "In→Out", widthPackets, "Packets",
		widthOctets, "Octets", widthFlags, "Flags", "End")
}

func (r *Row) appendTable(b []byte, names func(uint32) string) []byte {
	line := len(b)
	b = time.UnixMilli(r.Start).UTC().AppendFormat(b, "15:04:05.000")
	b = append(b, ' ')
	b = right(b, widthSeconds, func(b []byte) []byte {
		return strconv.AppendFloat(b, float64(r.End-r.Start)/1000, 'f', 3, 64)
	})
	b = left(b, widthProto, func(b []byte) []byte { return AppendProtocol(b, r.Protocol) })
	start := len(b)
	b = left(b, widthFlow, r.AppendFlow)
	if runes(b[start:]) > widthFlow+1 {
		b[len(b)-1] = '\n'
		b = pad(b, runes(b[line:start])+widthFlow+1)
	}
	b = left(b, widthHops, func(b []byte) []byte { return r.AppendHops(b, widthHops, names) })
	b = right(b, widthPackets, func(b []byte) []byte { return AppendCount(b, r.Packets, widthPackets) })
	b = right(b, widthOctets, func(b []byte) []byte { return AppendCount(b, r.Octets, widthOctets) })
	b = left(b, widthFlags, r.appendFlags)
	return append(append(b, endNames[min(int(r.Reason), len(endNames)-1)]...), '\n')
}

var endNames = [...]string{
	"-", flow.IdleTimeout: "idle", flow.ActiveTimeout: "active", flow.EndOfFlow: "end",
	flow.ForcedEnd: "forced", flow.LackOfResources: "full", "?",
}

// AppendFlow appends "source → destination", with ports or with ICMP's type and
// code in parentheses.
func (r *Row) AppendFlow(b []byte) []byte {
	ports := r.SrcPort|r.DstPort != 0 && !r.isICMP()
	b = appendEnd(b, r.Src, r.SrcPort, ports)
	b = append(b, " → "...)
	b = appendEnd(b, r.Dst, r.DstPort, ports)
	if r.isICMP() {
		b = append(b, " ("...)
		b = strconv.AppendUint(b, uint64(r.DstPort>>8), 10)
		b = append(b, '/')
		b = strconv.AppendUint(b, uint64(r.DstPort&0xff), 10)
		b = append(b, ')')
	}
	return b
}

func appendEnd(b []byte, a netip.Addr, port uint16, ports bool) []byte {
	switch {
	case !a.IsValid():
		return append(b, '?')
	case ports:
		return netip.AddrPortFrom(a, port).AppendTo(b)
	}
	return a.AppendTo(b)
}

// AppendProtocol appends a protocol's name or number in at most six octets.
func AppendProtocol(b []byte, protocol uint8) []byte {
	if name := protocolNames[protocol]; name != "" {
		return append(b, name...)
	}
	return strconv.AppendUint(b, uint64(protocol), 10)
}

var protocolNames = [256]string{
	flow.ProtocolICMP: "ICMP", flow.ProtocolIGMP: "IGMP", flow.ProtocolIPIP: "IPIP", flow.ProtocolTCP: "TCP",
	flow.ProtocolUDP: "UDP", flow.ProtocolDCCP: "DCCP", flow.ProtocolIPv6: "IPv6", flow.ProtocolGRE: "GRE",
	flow.ProtocolESP: "ESP", flow.ProtocolAH: "AH", flow.ProtocolICMPv6: "ICMPv6", flow.ProtocolSCTP: "SCTP",
	flow.ProtocolUDPLite: "UDPL", 89: "OSPF", 103: "PIM", 112: "VRRP",
}

// AppendHops appends "input→output" in at most width characters. A missing
// egress is Local or Null, as a router shows it. names may be nil.
func (r *Row) AppendHops(b []byte, width int, names func(uint32) string) []byte {
	start := len(b)
	b = appendInterface(b, r.Input, names)
	b = append(b, "→"...)
	switch {
	case r.Output != 0:
		b = appendInterface(b, r.Output, names)
	case r.Status.IsLocal():
		b = append(b, "Local"...)
	case r.Status.IsDropped():
		b = append(b, "Null"...)
	default:
		b = append(b, '-')
	}
	return cut(b, start, width)
}

// appendInterface appends an interface's name, its number where it has none, or
// '-' for 0.
func appendInterface(b []byte, index uint32, names func(uint32) string) []byte {
	if index == 0 {
		return append(b, '-')
	}
	if names != nil {
		if name := names(index); name != "" {
			return append(b, name...)
		}
	}
	return strconv.AppendUint(b, uint64(index), 10)
}

func (r *Row) appendFlags(b []byte) []byte {
	if r.Protocol != flow.ProtocolTCP {
		return append(b, '-')
	}
	const letters = "CEUAPRSF" // 0x80 … 0x01
	for i := range len(letters) {
		if r.TCPFlags&(flow.CWR>>i) != 0 {
			b = append(b, letters[i])
		} else {
			b = append(b, '.')
		}
	}
	return b
}

// AppendCount appends n, or where that has more than width digits n in
// thousands (K), millions (M) and so on, rounded down.
func AppendCount(b []byte, n uint64, width int) []byte {
	start := len(b)
	b = strconv.AppendUint(b, n, 10)
	for i := 0; len(b)-start > width && i < len(units); i++ {
		n /= 1000
		b = append(strconv.AppendUint(b[:start], n, 10), units[i])
	}
	return b
}

const units = "KMGTP"

// left appends what put does, filled with spaces to width, and at least one.
func left(b []byte, width int, put func([]byte) []byte) []byte {
	start := len(b)
	b = put(b)
	return pad(b, max(0, width-runes(b[start:]))+1)
}

// right appends what put does behind as many spaces as make width, and one.
func right(b []byte, width int, put func([]byte) []byte) []byte {
	start := len(b)
	b = put(b)
	n := len(b) - start
	fill := max(0, width-n)
	b = pad(b, fill)
	copy(b[start+fill:], b[start:start+n])
	pad(b[:start], fill)
	return append(b, ' ')
}

func pad(b []byte, n int) []byte {
	for ; n > 0; n-- {
		b = append(b, ' ')
	}
	return b
}

// cut shortens b[start:] to width characters, the last being "…".
func cut(b []byte, start, width int) []byte {
	if runes(b[start:]) <= width {
		return b
	}
	end := start
	for range width - 1 {
		_, n := utf8.DecodeRune(b[end:])
		end += n
	}
	return append(b[:end], "…"...)
}

// runes counts characters. utf8.RuneCount allocates for text that is not ASCII.
func runes(b []byte) (n int) {
	for _, o := range b {
		if utf8.RuneStart(o) {
			n++
		}
	}
	return n
}
