package ledger

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"cacheflow/capture"
)

// Widths of the text form's columns: a label, and figures of up to 15 digits.
const (
	labelWidth  = 38
	figureWidth = 15
)

// printer writes the text form; its bufio.Writer keeps the first error.
type printer struct {
	w     *bufio.Writer
	quiet bool
}

// WriteText writes the ledger for a person to read: every term by its name, in
// aligned columns, then each identity with its verdict.
func (l *Ledger) WriteText(w io.Writer) error {
	p := &printer{bufio.NewWriter(w), l.Quiet}
	state := "under traffic: the parts below were taken one after the other"
	if l.Quiet {
		state = "at a quiet instant"
	}
	fmt.Fprintf(p.w, "Ledger of %s, %s\n", l.Time.UTC().Format("2006-01-02 15:04:05.000 MST"), state)
	p.capture(l)
	p.metering(l)
	if g := l.Groups; g != nil {
		p.heading("GROUPS of exporters", "records", "packets", "octets")
		p.sum("given", g.Given)
		p.sum("taken back", g.TakenBack)
		p.sum("passed to exporters", g.Passed)
	}
	for i := range l.Exporters {
		p.exporter(&l.Exporters[i])
	}
	p.balance(l)
	return p.w.Flush()
}

func (p *printer) heading(label string, columns ...string) {
	fmt.Fprintf(p.w, "\n%-*s", labelWidth, label)
	for _, c := range columns {
		fmt.Fprintf(p.w, " %*s", figureWidth, c)
	}
	p.w.WriteByte('\n')
}

func (p *printer) row(label string, figures ...uint64) {
	fmt.Fprintf(p.w, "  %-*s", labelWidth-2, label)
	for _, f := range figures {
		fmt.Fprintf(p.w, " %*d", figureWidth, f)
	}
	p.w.WriteByte('\n')
}

func (p *printer) sum(label string, s Sum) { p.row(label, s.Count, s.Packets, s.Octets) }

func (p *printer) capture(l *Ledger) {
	p.heading("CAPTURE (frames)", "observed", "lost", "in first level", "in ring", "sampled out", "ignored", "undecodable", "metered")
	interfaces := append(l.Interfaces[:len(l.Interfaces):len(l.Interfaces)], l.Total())
	for i := range interfaces {
		n := &interfaces[i]
		label := n.Name
		if n.Mode != "" {
			label += " (" + n.Mode + ")"
		}
		p.row(label, n.Observed, n.Lost, n.InFirstLevel, n.InRing, n.SampledOut, frames(n.Ignored), frames(n.Undecodable), n.Metered)
	}
	total := &interfaces[len(interfaces)-1]
	for _, f := range total.Ignored {
		p.row("ignored: "+f.Reason, f.Frames)
	}
	for _, f := range total.Undecodable {
		p.row("undecodable: "+f.Reason, f.Frames)
	}
	p.row("of observed: for other hosts", total.OtherHost)
	p.row("of metered: clock jumps", total.ClockJumps)
	if l.FirstLevel != nil {
		p.firstLevel(l.FirstLevel, &total.FirstLevel)
	}
}

func (p *printer) firstLevel(s *capture.FirstLevelState, f *capture.FirstLevel) {
	p.heading("FIRST LEVEL, in the kernel", "packets", "octets")
	fmt.Fprintf(p.w, "  %d of %d entries used; %d flips, %d of them early; %d victims\n", s.Used, s.Entries, s.Flips, s.Early, s.Victims)
	p.row("counted", f.Counted.Packets, f.Counted.Octets)
	p.row("lost", f.Lost.Packets, f.Lost.Octets)
	p.row("in it", f.Content.Packets, f.Content.Octets)
	p.row("in ring", f.InRing.Packets, f.InRing.Octets)
	p.row("handed over", f.HandedOver.Packets, f.HandedOver.Octets)
}

func (p *printer) metering(l *Ledger) {
	p.heading("METERING", "observations", "packets", "octets")
	total := l.Total()
	p.sum("metered", Sum{total.Observations, total.Packets, total.Octets})
	for _, t := range l.Ignored {
		p.sum("ignored: "+t.Reason, t.Sum)
	}
	p.sum("given to the cache", l.Cache.Observed)
	p.heading("CACHE", "flows", "packets", "octets")
	p.sum("in cache", l.Cache.Content)
	for _, t := range l.Cache.Ended {
		p.sum("in records: "+t.Reason, t.Sum)
	}
	p.sum("handed to the exporters", l.Records)
	p.row("added since the last clearing", l.Cache.Added)
	p.row("expired since the last clearing", l.Cache.Expired)
}

func (p *printer) exporter(e *Exporter) {
	p.heading("EXPORTER "+e.Name, "records", "packets", "octets")
	if e.Destination != "" {
		fmt.Fprintf(p.w, "  %s to %s\n", e.Protocol, e.Destination)
	}
	p.sum("handed to it", e.Handed)
	p.sum("made", e.Made)
	p.sum("queued", e.Queued)
	p.sum("building", e.Building)
	p.sum("sent", e.Sent)
	for _, t := range e.Dropped {
		p.sum("dropped: "+t.Reason, t.Sum)
	}
}

// balance prints a line for each equation, whatever the number of its units.
// Interfaces whose frames close share one line.
func (p *printer) balance(l *Ledger) {
	fmt.Fprint(p.w, "\nBALANCE\n")
	identities := l.Balance()
	closed := func(i Identity) bool { return i.isInterface() && i.Difference == 0 }
	if n := len(identities); slices.ContainsFunc(identities, closed) {
		first := identities[slices.IndexFunc(identities, closed)]
		identities = slices.DeleteFunc(identities, closed)
		p.verdict(fmt.Sprintf("interfaces (%d)", n-len(identities)), first.Equation, nil)
	}
	for len(identities) > 0 {
		first, n := identities[0], 1
		for n < len(identities) && identities[n].Scope == first.Scope && identities[n].Equation == first.Equation {
			n++
		}
		p.verdict(first.Scope, first.Equation, identities[:n])
		identities = identities[n:]
	}
}

// verdict puts the differences of one equation into words. A negative one means
// that the right side was taken later than the left.
func (p *printer) verdict(scope, equation string, units []Identity) {
	var open []string
	for _, i := range units {
		if i.Difference != 0 {
			open = append(open, fmt.Sprintf("%d %s", i.Difference, i.Unit))
		}
	}
	verdict := "closes at 0"
	switch {
	case len(open) > 0 && p.quiet:
		verdict = "DOES NOT CLOSE: " + strings.Join(open, ", ")
	case len(open) > 0:
		verdict = "in flight: " + strings.Join(open, ", ")
	}
	fmt.Fprintf(p.w, "  %-*s %-92s %s\n", labelWidth-2, scope, equation, verdict)
}
