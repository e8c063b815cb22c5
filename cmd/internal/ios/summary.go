package ios

import (
	"fmt"
	"io"
	"time"

	"cacheflow/cmd/internal/control"
)

// sizesInFirstRow is how many buckets of the size distribution stand in the
// first of its two rows.
const sizesInFirstRow = 15

// subFlows are the figures of the router's sub flow cache, which extends
// entries. Here an entry holds everything, so that they are all 0.
type subFlows struct {
	active int
	added  uint64
}

// summary writes what stands above the flows: the size distribution, the cache
// and the protocol table, of one IP version.
func summary(w io.Writer, protocol string, s *control.Statistics, f *control.Family, sub subFlows) {
	sizes(w, protocol, f.Sizes)
	cleared, chunks := "never", "1 chunk added"
	if s.SinceClearedMilliseconds != nil {
		cleared, chunks = elapsed(milliseconds(*s.SinceClearedMilliseconds)), "0 chunks added"
	}
	// The router's entries of 64 octets with 4 of index, and 16 for each chunk
	// of 4096: 278544 bytes for 4096 entries, 4456704 for 65536.
	bytes := s.Entries*68 + (s.Entries+4095)/4096*16
	// A quarter as many sub flows; a line through the router's 34056 bytes for
	// 1024 and 533256 for 16384.
	subEntries := s.Entries / 4
	subBytes := subEntries*65/2 + 776

	fmt.Fprintf(w, "%s Flow Switching Cache, %d bytes\n", protocol, bytes)
	fmt.Fprintf(w, "  %d active, %d inactive, %d added\n", f.Active, s.Entries-f.Active, f.Added)
	fmt.Fprintf(w, "  %d ager polls, 0 flow alloc failures\n", s.AgerPolls)
	fmt.Fprintf(w, "  Active flows timeout in %s\n", timeout(milliseconds(uint64(s.ActiveTimeoutMilliseconds)), time.Minute))
	fmt.Fprintf(w, "  Inactive flows timeout in %s\n", timeout(milliseconds(uint64(s.InactiveTimeoutMilliseconds)), time.Second))
	fmt.Fprintf(w, "%s Sub Flow Cache, %d bytes\n", protocol, subBytes)
	fmt.Fprintf(w, "  %d active, %d inactive, %d added, %d added to flow\n", sub.active, subEntries-sub.active, sub.added, sub.added)
	fmt.Fprintf(w, "  0 alloc failures, 0 force free\n")
	fmt.Fprintf(w, "  1 chunk, %s\n", chunks)
	fmt.Fprintf(w, "  last clearing of statistics %s\n", cleared)
	protocols(w, s, f)
}

func milliseconds(n uint64) time.Duration { return time.Duration(n) * time.Millisecond }

// sizes writes the packet size distribution in thousandths.
func sizes(w io.Writer, protocol string, sizes []control.Size) {
	var total uint64
	for _, s := range sizes {
		total += s.Packets
	}
	fmt.Fprintf(w, "%s packet size distribution (%d total packets):\n", protocol, total)
	first := min(sizesInFirstRow, len(sizes))
	sizeRow(w, sizes[:first], total, true)
	fmt.Fprintln(w)
	sizeRow(w, sizes[first:], total, false)
	fmt.Fprintln(w)
}

func sizeRow(w io.Writer, sizes []control.Size, total uint64, first bool) {
	fmt.Fprint(w, "  ")
	for i, s := range sizes {
		name := fmt.Sprint(s.UpTo)
		if first && i == 0 {
			name = "1-" + name
		}
		fmt.Fprintf(w, " %4s", name)
	}
	fmt.Fprint(w, "\n  ")
	for _, s := range sizes {
		if s.Packets > 0 && s.Packets == total {
			fmt.Fprint(w, " 1.00")
		} else {
			fmt.Fprintf(w, " .%03d", thousandths(s.Packets, total))
		}
	}
	fmt.Fprintln(w)
}

const protocolHeader = `Protocol         Total    Flows   Packets Bytes  Packets Active(Sec) Idle(Sec)
--------         Flows     /Sec     /Flow  /Pkt     /Sec     /Flow     /Flow
`

// protocols writes the protocol table of expired flows, and the empty line
// behind it. Without expired flows it is its header.
func protocols(w io.Writer, s *control.Statistics, f *control.Family) {
	since := s.UptimeMilliseconds
	if s.SinceClearedMilliseconds != nil {
		since = *s.SinceClearedMilliseconds
	}
	fmt.Fprint(w, protocolHeader)
	total := control.Class{Protocol: "Total:"}
	for i := range f.Ended {
		c := &f.Ended[i]
		if c.Flows == 0 {
			continue
		}
		protocolRow(w, c, since)
		total.Flows += c.Flows
		total.Packets += c.Packets
		total.Octets += c.Octets
		total.ActiveMilliseconds += c.ActiveMilliseconds
		total.IdleMilliseconds += c.IdleMilliseconds
	}
	if total.Flows > 0 {
		protocolRow(w, &total, since)
	}
	fmt.Fprintln(w)
}

func protocolRow(w io.Writer, c *control.Class, since uint64) {
	fmt.Fprintf(w, "%-11s%11d%9s%10d%6d%9s%10s%10s\n", c.Protocol, c.Flows, perSecond(c.Flows, since),
		over(c.Packets, c.Flows), over(c.Octets, c.Packets), perSecond(c.Packets, since),
		tenths(over(c.ActiveMilliseconds, c.Flows)/100), tenths(over(c.IdleMilliseconds, c.Flows)/100))
}
