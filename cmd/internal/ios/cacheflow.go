package ios

import (
	"bufio"
	"fmt"
	"io"

	"cacheflow/cmd/internal/control"
)

// nameWidth is the width of the interface columns.
const nameWidth = 13

const flowHeader = "SrcIf         SrcIPaddress    DstIf         DstIPaddress    Pr SrcP DstP"

// CacheFlow writes `show ip cache flow`. It prints the IPv4 flows of c.
func CacheFlow(w io.Writer, c *control.Cache) error { return cacheFlow(w, c, subFlows{}) }

func cacheFlow(w io.Writer, c *control.Cache, sub subFlows) error {
	b := bufio.NewWriter(w)
	summary(b, "IP", &c.Statistics, &c.IPv4, sub)
	// The router prints its header twice.
	fmt.Fprint(b, flowHeader, "  Pkts\n\n", flowHeader, "  Pkts\n")
	return each(b, c, 4, func(f *control.Flow) {
		flowColumns(b, f)
		fmt.Fprintf(b, " %s\n", column5(f.PacketDeltaCount))
	})
}

// flowColumns writes what the rows of IPv4 flows have in common: protocol and
// ports in hexadecimal.
func flowColumns(w io.Writer, f *control.Flow) {
	fmt.Fprintf(w, "%-*s %-15s %-*s %-15s %02X %04X %04X", nameWidth, source(f, nameWidth), f.SourceIPv4Address,
		nameWidth, destination(f, nameWidth), f.DestinationIPv4Address,
		f.ProtocolIdentifier, f.SourceTransportPort, f.DestinationTransportPort)
}

// each calls f with each flow of an IP version, and flushes b.
func each(b *bufio.Writer, c *control.Cache, version int, f func(*control.Flow)) error {
	if c.Flows != nil {
		for r, err := range c.Flows {
			if err != nil {
				b.Flush()
				return err
			}
			if is4 := r.SourceIPv4Address.IsValid(); is4 == (version == 4) {
				f(r)
			}
			if _, err := b.Write(nil); err != nil { // the reader has gone
				return err
			}
		}
	}
	return b.Flush()
}

const verboseHeader = `SrcIf          SrcIPaddress    DstIf          DstIPaddress    Pr TOS Flgs  Pkts
Port Msk AS                    Port Msk AS    NextHop              B/Pk  Active
`

// VerboseFlow writes `show ip cache verbose flow`: two lines for each IPv4 flow
// of c and an empty one. ToS and TCP flags are in hexadecimal, Active is in
// seconds.
func VerboseFlow(w io.Writer, c *control.Cache) error {
	const nameWidth = nameWidth + 1
	b := bufio.NewWriter(w)
	summary(b, "IP", &c.Statistics, &c.IPv4, subFlows{})
	fmt.Fprint(b, verboseHeader)
	return each(b, c, 4, func(f *control.Flow) {
		fmt.Fprintf(b, "%-*s %-15s %-*s %-15s %02X %02X  %02X   %s\n", nameWidth, source(f, nameWidth), f.SourceIPv4Address,
			nameWidth, destination(f, nameWidth), f.DestinationIPv4Address,
			f.ProtocolIdentifier, f.IPClassOfService, uint8(f.TCPControlBits), column5(f.PacketDeltaCount))
		hop := "0.0.0.0"
		if f.IPNextHopIPv4Address.IsValid() {
			hop = f.IPNextHopIPv4Address.String()
		}
		fmt.Fprintf(b, "%04X /%-2d %-5d                 %04X /%-2d %-5d %-15s %9d %7s\n\n",
			f.SourceTransportPort, length(f.SourceIPv4PrefixLength), 0, f.DestinationTransportPort, length(f.DestinationIPv4PrefixLength), 0,
			hop, over(f.OctetDeltaCount, f.PacketDeltaCount), active(f))
	})
}

func length(prefix *uint8) uint8 {
	if prefix == nil {
		return 0
	}
	return *prefix
}

// active returns how long the flow has been seen, first to last packet.
func active(f *control.Flow) tenths {
	return tenths(max(f.FlowEndMilliseconds-f.FlowStartMilliseconds, 0) / 100)
}

// CacheFlow6 writes `show ipv6 flow cache`: what CacheFlow writes, of IPv6, with
// columns for the longest address. The entries are those of one cache that both
// families share.
func CacheFlow6(w io.Writer, c *control.Cache) error {
	b := bufio.NewWriter(w)
	summary(b, "IPv6", &c.Statistics, &c.IPv6, subFlows{})
	fmt.Fprintf(b, "%-13s %-39s %-13s %-39s Pr SrcP DstP  Pkts\n", "SrcIf", "SrcIPv6Address", "DstIf", "DstIPv6Address")
	return each(b, c, 6, func(f *control.Flow) {
		fmt.Fprintf(b, "%-*s %-39s %-*s %-39s %02X %04X %04X %s\n", nameWidth, source(f, nameWidth), f.SourceIPv6Address,
			nameWidth, destination(f, nameWidth), f.DestinationIPv6Address,
			f.ProtocolIdentifier, f.SourceTransportPort, f.DestinationTransportPort, column5(f.PacketDeltaCount))
	})
}
