//go:build linux

package guest_test

import (
	"os"
	"testing"
)

// A program that was killed leaves nothing behind that the next one minds.
func TestKilled(t *testing.T) {
	each(t, func(t *testing.T, l link, capture, mode string) {
		collector := record(t, l)
		ps, _ := load(t)
		d := start(t, l, capture, collector.Address)
		if err := l.send(ps); err != nil {
			t.Fatal(err)
		}
		d.Stop(os.Kill, patience)
		everyPacket(t, l, start(t, l, capture, collector.Address), collector, mode)
	}, veth)
}
