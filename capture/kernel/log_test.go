//go:build linux && (amd64 || 386)

package kernel

import (
	"os"
	"testing"

	"cacheflow/bpf"
)

// The positions of a log go round after 2^32 victims.
func TestLogGoesRound(t *testing.T) {
	l := newLab(t, Config{Entries: 256, Ring: os.Getpagesize()}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	defer pin(t, 0)()
	const before = ^uint32(0) - 5
	l.states[0].Logged, l.states[0].Taken, l.logs[0].at = before, before, before
	var sent uint64
	for i := uint32(0); l.states[0].Logged != 6; i++ {
		l.ingress(t, flowFrame(t, i), skBuff{})
		sent++
	}
	if c := account(t, l.source); c.InRing != 12 || c.Lost != 0 {
		t.Errorf("before the drain: %+v", c)
	}
	if all := l.drain(t); total(all).Packets != sent || l.source.victims != 12 {
		t.Errorf("%d frames sent, %d handed over, %d victims", sent, total(all).Packets, l.source.victims)
	}
	account(t, l.source)
}
