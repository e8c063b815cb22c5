package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress draws a bar on a terminal, and nothing elsewhere.
type progress struct {
	w        io.Writer
	unit     string
	position func() (read, total int64)
	start    time.Time
	next     time.Time
	count    uint64 // of units
	calls    uint
	every    uint // of how many calls one looks at the clock
}

// newProgress returns a bar for w that counts units; position tells how far the input is
// read, total being 0 where it is not known.
func newProgress(w io.Writer, unit string, position func() (read, total int64)) *progress {
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		w = nil
	}
	return &progress{w: w, unit: unit, position: position, start: time.Now(), every: 64}
}

// update is called after each batch; it draws five times a second at most.
func (p *progress) update(count uint64) {
	p.count = count
	if p.calls++; p.w == nil || p.calls%p.every != 0 {
		return
	}
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(200 * time.Millisecond)
		p.draw(now)
	}
}

func (p *progress) draw(now time.Time) {
	const width = 30
	rate := float64(p.count) / max(now.Sub(p.start).Seconds(), 1e-3)
	read, total := p.position()
	bar := ""
	if total > 0 {
		done := int(min(read*width/total, width))
		bar = fmt.Sprintf("[%s%s] %3d%% ", strings.Repeat("=", done), strings.Repeat(" ", width-done), min(read*100/total, 100))
	}
	fmt.Fprintf(p.w, "\r%s%d %s, %.2f M/s\x1b[K", bar, p.count, p.unit, rate/1e6)
}

// done draws the last state and ends the line.
func (p *progress) done() {
	if p.w != nil {
		p.draw(time.Now())
		fmt.Fprintln(p.w)
	}
}
