package top

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/render"
)

// View writes a Top to an output from time to time.
type View struct {
	Top *Top
	Out io.Writer
	// Size returns the width and height of the terminal that Out is, in
	// characters, or false where it is none: then each table is appended, and
	// ends with an empty line.
	Size func() (width, height int, ok bool)
	// Names returns an interface's name by its ifIndex, or "". It may be nil.
	Names func(uint32) string
	// Stats returns the collector's counters. It may be nil.
	Stats func() collector.Stats
	// Status returns lines to show below the header, such as the ledger's state.
	// It may be nil.
	Status func() string
	// Interval is the time between two tables; 0 is one second on a terminal, and
	// ten else.
	Interval time.Duration
}

// Rows is how many flows are shown where the output is not a terminal.
const Rows = 20

// TerminalSize returns a Size for f.
func TerminalSize(f *os.File) func() (width, height int, ok bool) {
	fd := int(f.Fd())
	return func() (int, int, bool) {
		width, height, err := term.GetSize(fd)
		return width, height, err == nil && width > 0 && height > 0
	}
}

// ANSI control sequences (ECMA-48): the cursor to the top left, erase to the end
// of the line and of the page, the cursor hidden and shown, the alternate
// screen entered and left.
const (
	home      = "\x1b[H"
	eraseLine = "\x1b[K"
	erasePage = "\x1b[J"
	enter     = "\x1b[?1049h\x1b[?25l"
	leave     = "\x1b[?25h\x1b[?1049l"
)

// Run writes a table at each interval until ctx ends, then a last one that
// stays.
func (v *View) Run(ctx context.Context) error {
	_, _, terminal := v.size()
	interval := v.Interval
	if interval <= 0 {
		interval = 10 * time.Second
		if terminal {
			interval = time.Second
		}
	}
	if terminal {
		if _, err := io.WriteString(v.Out, enter); err != nil {
			return err
		}
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if terminal { // at once; a plain table waits until there is something in it
			if err := v.draw(time.Now()); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			if terminal {
				io.WriteString(v.Out, leave)
			}
			return v.Plain(time.Now())
		case now := <-tick.C:
			if !terminal {
				if err := v.Plain(now); err != nil {
					return err
				}
			}
		}
	}
}

func (v *View) size() (int, int, bool) {
	if v.Size == nil {
		return 0, 0, false
	}
	return v.Size()
}

// Plain appends one table.
func (v *View) Plain(now time.Time) error {
	_, err := fmt.Fprintf(v.Out, "%s\n", strings.Join(v.lines(plainWidth, Rows, now), "\n")+"\n")
	return err
}

const plainWidth = 120

// draw fills the terminal.
func (v *View) draw(now time.Time) error {
	width, height, ok := v.size()
	if !ok {
		width, height = 80, 24
	}
	lines := v.lines(width, height, now)
	lines = lines[:min(len(lines), height)]
	var b strings.Builder
	b.WriteString(home)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(clip(line, width))
		b.WriteString(eraseLine)
	}
	b.WriteString(erasePage)
	_, err := io.WriteString(v.Out, b.String())
	return err
}

// clip cuts a line to width characters.
func clip(s string, width int) string {
	n := 0
	for i := range s {
		if n == width {
			return s[:i]
		}
		n++
	}
	return s
}

// lines returns the header and up to rows flows.
func (v *View) lines(width, rows int, now time.Time) []string {
	s := v.Top.Snapshot(rows, now)
	lines := []string{fmt.Sprintf("Top flows by %s in the last %v, %s: %d flows, %d records, %d packets, %d octets",
		v.Top.cfg.Order, v.Top.cfg.Window, now.UTC().Format("15:04:05 MST"), s.Active, s.Window.Records, s.Window.Packets, s.Window.Octets)}
	if v.Stats != nil {
		st := v.Stats()
		lines = append(lines, fmt.Sprintf("Collector: %d records in %d datagrams; lost %d datagrams, %d records; refused %d",
			st.Records, st.Datagrams, st.LostDatagrams, st.LostRecords, st.Refused()))
	}
	if v.Status != nil {
		if status := strings.TrimRight(v.Status(), "\n"); status != "" {
			lines = append(lines, strings.Split(status, "\n")...)
		}
	}
	l := layout{width}
	lines = append(lines, "", l.row("Proto", "Source → Destination", "In→Out", "Packets", "Octets", "Bit/s"))
	for i := range s.Flows {
		lines = append(lines, l.flow(&s.Flows[i], v.Names)...)
	}
	if o := s.Others; o.Records > 0 {
		lines = append(lines, l.row("", fmt.Sprintf("others, %d records", o.Records), "",
			count(o.Packets, widthPackets), count(o.Octets, widthOctets), ""))
	}
	return lines
}

// String returns the order's word.
func (o Order) String() string {
	if o == ByPackets {
		return "packets"
	}
	return "octets"
}

// layout puts flows into lines of a width.
type layout struct{ width int }

// Widths of the columns but for the flow's, which has the rest of the line.
const (
	widthProto   = 6
	widthHops    = 17
	widthPackets = 8
	widthOctets  = 10
	widthRate    = 6
	minFlow      = 45 // IPv4 addresses and ports fit
)

// hops is the width of the interfaces: there is none on a narrow terminal.
func (l layout) hops() int {
	if l.rest()-widthHops-1 < minFlow {
		return 0
	}
	return widthHops
}

// rest is what the other columns leave for flow and interfaces.
func (l layout) rest() int {
	return max(minFlow, l.width-widthProto-widthPackets-widthOctets-widthRate-4)
}

// flow returns f's line, or two where its addresses do not fit into one.
func (l layout) flow(f *Flow, names func(uint32) string) []string {
	addresses := string(f.Row.AppendFlow(nil))
	hops := string(f.Row.AppendHops(nil, widthHops, names))
	row := func(flow string) string {
		return l.row(string(render.AppendProtocol(nil, f.Row.Protocol)), flow, hops,
			count(f.Packets, widthPackets), count(f.Octets, widthOctets), count(f.Rate, widthRate))
	}
	if source, destination, _ := strings.Cut(addresses, " → "); utf8.RuneCountInString(addresses) > l.flowWidth() {
		return []string{row(source), strings.Repeat(" ", widthProto) + " → " + destination}
	}
	return []string{row(addresses)}
}

func (l layout) flowWidth() int {
	if l.hops() == 0 {
		return l.rest()
	}
	return l.rest() - l.hops() - 1
}

func (l layout) row(proto, flow, hops, packets, octets, rate string) string {
	if l.hops() > 0 {
		flow = fit(flow, l.flowWidth()) + " " + fit(hops, l.hops())
	} else {
		flow = fit(flow, l.flowWidth())
	}
	line := fmt.Sprintf("%-*s %s %*s %*s %*s", widthProto, proto, flow, widthPackets, packets, widthOctets, octets, widthRate, rate)
	return strings.TrimRight(line, " ")
}

func count(n uint64, width int) string { return string(render.AppendCount(nil, n, width)) }

// fit cuts or fills s to width characters.
func fit(s string, width int) string {
	n := utf8.RuneCountInString(s)
	if n <= width {
		return s + strings.Repeat(" ", width-n)
	}
	return clip(s, width-1) + "…"
}
