//go:build linux && (amd64 || 386)

package kernel

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
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

// Packets come in by the dozen before they are let out: where each leaves is noted also if
// there was no place for its flow, and it has not been read before. What may be read is left
// alone.
func TestPassingFlowsAreNoted(t *testing.T) {
	defer pin(t, 0)()
	l := newLab(t, Config{Entries: 256, Ring: 1 << 22}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	l.source.length = flow.Time(time.Hour)
	var all []flow.Packet
	read := func() {
		batch := make([]flow.Packet, 64)
		for n := len(batch); n == len(batch); {
			n, _ = l.source.fill(batch)
			all = append(all, batch[:n]...)
		}
	}
	leave := func(n uint32) {
		run(t, l.program.egress, flowFrame(t, n), skBuff{IngressIfindex: loopback})
	}
	first := l.crowd(t)
	const dozens, frames = 50, 64
	next := first
	for range dozens {
		for n := range uint32(frames) {
			l.ingress(t, flowFrame(t, next+n/2), skBuff{}) // two packets of each flow
		}
		read()
		for n := range uint32(frames) {
			leave(next + n/2)
		}
		next += frames / 2
	}
	late := next
	for l.ingress(t, flowFrame(t, late), skBuff{}); !l.isLast(late); late++ {
		l.ingress(t, flowFrame(t, late+1), skBuff{})
	}
	for n := range uint32(4 * maxOpen) {
		l.ingress(t, flowFrame(t, late+1+n), skBuff{})
	}
	leave(late)
	var noted, others uint64
	for _, p := range append(all, l.drain(t)...) {
		switch n := binary.BigEndian.Uint32(p.Src[:]); {
		case p.Egress == 0:
			others += p.Packets
		case n < first || n >= late:
			t.Errorf("flow %d has an egress interface: %+v", n, p)
		default:
			noted += p.Packets
		}
	}
	if want := uint64(dozens * frames); noted != want || others != uint64(late)-uint64(dozens*frames/2)+4*maxOpen+1 {
		t.Errorf("%d of %d packets noted, %d others", noted, want, others)
	}
	account(t, l.source)
}

// isLast reports whether flow n is what came into the log of the first CPU by last.
func (l *lab) isLast(n uint32) bool {
	var address [8]byte
	binary.NativeEndian.PutUint64(address[:], l.logs[0].flow(l.logs[0].end()-1).Entry.Src)
	return binary.BigEndian.Uint32(address[:]) == n
}
