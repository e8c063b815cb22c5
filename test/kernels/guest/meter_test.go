//go:build linux

package guest_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"cacheflow/test/judge"
)

// each runs a test for each mode of capture and each of these kinds of interfaces.
func each(t *testing.T, test func(t *testing.T, l link, capture, mode string), kinds ...kind) {
	for pair := range strings.SplitSeq(*modes, ",") {
		capture, mode, _ := strings.Cut(pair, "=")
		for _, k := range kinds {
			t.Run(capture+"/"+k.name, func(t *testing.T) { test(t, k.make(t), capture, mode) })
		}
	}
}

// Every packet and every octet is in the records, each flow in one.
func TestEveryPacket(t *testing.T) {
	each(t, func(t *testing.T, l link, capture, mode string) {
		collector := record(t, l)
		everyPacket(t, l, start(t, l, capture, collector.Address), collector, mode)
	}, veth, tun)
}

// record starts a collector beside the interface.
func record(t *testing.T, l link) (r *judge.Recorder) {
	t.Helper()
	l.ns.Run(func() { r = judge.StartRecorder(t, netip.AddrPort{}) })
	return r
}

// everyPacket sends the load to a program that has just begun to meter, ends it
// and judges what it exported.
func everyPacket(t *testing.T, l link, d *daemon, collector *judge.Recorder, mode string) {
	t.Helper()
	ps, want := load(t)
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
}
