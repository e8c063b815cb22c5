//go:build linux

package guest_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/test/judge"
)

// way is a value of --capture, and the mode of capture that the ledger must tell.
type way struct{ capture, mode string }

// ways returns those of the kernel's ways that have these names; none: all.
func ways(captures ...string) (ws []way) {
	for pair := range strings.SplitSeq(*modes, ",") {
		capture, mode, _ := strings.Cut(pair, "=")
		if len(captures) == 0 || slices.Contains(captures, capture) {
			ws = append(ws, way{capture, mode})
		}
	}
	return ws
}

// Every packet and every octet is in the records, each flow in one. What auto
// chooses is tried without link headers; TestKilled does so on Ethernet.
func TestEveryPacket(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.capture, func(t *testing.T) {
			makeLink := newVeth
			if w.capture == "auto" {
				makeLink = newTun
			}
			l := makeLink(t)
			collector := record(t, l)
			everyPacket(t, l, start(t, l, w.capture, collector.Address), collector, w.mode)
		})
	}
}

// record starts a collector beside the interface.
func record(t *testing.T, l link) (r *judge.Recorder) {
	t.Helper()
	l.ns.Run(func() { r = judge.StartRecorder(t, netip.AddrPort{}) })
	return r
}

// everyPacket sends the load to a program that has just begun to meter, ends it
// and judges what it exported and what it left.
func everyPacket(t *testing.T, l link, d *daemon, collector *judge.Recorder, mode string) {
	t.Helper()
	ps, want := load()
	if err := l.send(ps); err != nil {
		t.Fatal(err)
	}
	d.observed(want.Packets)
	a := d.stop()
	a.exact(t, mode)
	collector.Settle(200 * time.Millisecond)
	collector.Stop()
	flows, err := judge.Goflow2(collector.Datagrams())
	if err != nil {
		t.Error(err)
	}
	if got := judge.Add(flows); got != want {
		t.Errorf("the records have %+v, want %+v", got, want)
	}
	hasFilters(t, l, nil)
	if left := l.qdiscs(t); len(left) > 0 {
		t.Errorf("clsact qdiscs are left on %v", left)
	}
}
