package ios

import (
	"bufio"
	"fmt"
	"io"

	"cacheflow/cmd/internal/control"
)

// TopTalkers writes `show ip flow top-talkers`: up to top flows of c, which
// must be IPv4 flows that were asked for in the order of by.
func TopTalkers(w io.Writer, c *control.Cache, top int, by control.Sort) error {
	b := bufio.NewWriter(w)
	column, size := " Bytes", func(f *control.Flow) uint64 { return f.OctetDeltaCount }
	if by == control.ByPackets {
		column, size = "  Pkts", func(f *control.Flow) uint64 { return f.PacketDeltaCount }
	}
	fmt.Fprint(b, flowHeader, column, "\n")
	shown := 0
	if err := each(b, c, 4, func(f *control.Flow) {
		if shown == top {
			return
		}
		shown++
		flowColumns(b, f)
		figure, suffix := short(size(f))
		fmt.Fprintf(b, " %5d%c\n", figure, suffix)
	}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d of %d top talkers shown. %d flows processed.\n", shown, top, c.Matched)
	return err
}
