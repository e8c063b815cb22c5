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

// passing is a lab whose sets are full of flows that do not leave.
type passing struct {
	*lab
	next  uint32 // a flow that was not seen yet
	batch []flow.Packet
}

func newPassing(t *testing.T) *passing {
	l := newLab(t, Config{Entries: 256, Ring: 1 << 22}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	l.source.length = flow.Time(time.Hour)
	return &passing{l, l.crowd(t), make([]flow.Packet, 64)}
}

// worthy is what makes an entry stay for 30 times 16 ticks.
const worthy = 1 << 30

// come has a packet of each flow come in and pass by.
func (p *passing) come(t *testing.T, flows ...uint32) {
	p.source.eachEntry(func(e *bpf.ProgramEntry, _ *bpf.ProgramDetails) {
		e.Packets += worthy
		e.Last = p.source.clock.jiffies() - 2 // never ahead of the program
	})
	for _, n := range flows {
		p.ingress(t, flowFrame(t, n), skBuff{})
	}
	p.source.eachEntry(func(e *bpf.ProgramEntry, _ *bpf.ProgramDetails) { e.Packets -= worthy })
}

func (p *passing) leave(t *testing.T, flows ...uint32) {
	for _, n := range flows {
		run(t, p.program.egress, flowFrame(t, n), skBuff{IngressIfindex: loopback})
	}
}

// read returns what a round hands over.
func (p *passing) read(t *testing.T) (all []flow.Packet) {
	t.Helper()
	for n := len(p.batch); n == len(p.batch); {
		var err error
		if n, err = p.source.fill(p.batch); err != nil {
			t.Fatal(err)
		}
		all = append(all, p.batch[:n]...)
	}
	return all
}

// Packets come in by the dozen before they are let out: where each leaves is noted also if
// there was no place for its flow, and it has not been read before.
func TestPassingFlowsAreNoted(t *testing.T) {
	defer pin(t, 0)()
	p := newPassing(t)
	first := p.next
	const dozens = 50
	var all []flow.Packet
	for range dozens {
		var flows []uint32
		for range 16 { // an elephant's packets among those of mice
			flows = append(flows, first, p.next+1, p.next+2, first)
			p.next += 2
		}
		p.come(t, flows...)
		all = append(all, p.read(t)...)
		p.leave(t, flows...)
	}
	account(t, p.source)
	noted := 0
	for _, o := range append(all, p.drain(t)...) {
		if n := binary.BigEndian.Uint32(o.Src[:]); (o.Egress != 0) != (n >= first) {
			t.Errorf("flow %d of %d and more: %+v", n, first, o)
		} else if o.Egress != 0 {
			noted += int(o.Packets)
		}
	}
	if noted != dozens*64 {
		t.Errorf("%d of %d packets noted", noted, dozens*64)
	}
	account(t, p.source)
}

// What may be read is not written to: what is not among the last of the log, and what has
// left a generation that is closed.
func TestWhatMayBeReadIsLeftAlone(t *testing.T) {
	defer pin(t, 0)()
	for name, meanwhile := range map[string]func(p *passing){
		"behind": func(p *passing) {
			var flows []uint32
			for n := range uint32(maxOpen) {
				flows = append(flows, p.next+1+n)
			}
			p.come(t, flows...)
		},
		"closed": func(p *passing) {
			p.source.length = 0
			if err := p.source.begin(); err != nil || !p.source.round.closing {
				t.Fatal("the generation is open:", err)
			}
		},
	} {
		p := newPassing(t)
		p.read(t) // so that a flip is not postponed
		p.come(t, p.next)
		meanwhile(p)
		p.leave(t, p.next)
		for _, o := range append(p.read(t), p.drain(t)...) {
			if o.Egress != 0 {
				t.Errorf("%s: noted: %+v", name, o)
			}
		}
		account(t, p.source)
	}
}

// Packets that pass by, and those of the same flow that do not any more: all are noted, if
// they come and leave as fast as a driver has them do.
func TestPassingThenAdmitted(t *testing.T) {
	defer pin(t, 0)()
	p := newPassing(t)
	p.age(t, 1)
	const packets = 6
	inTime := map[uint32]bool{}
	for range 50 {
		p.next++
		before, err := p.readJiffies()
		if err != nil {
			t.Fatal(err)
		}
		for range packets {
			p.ingress(t, flowFrame(t, p.next), skBuff{})
		}
		for range packets {
			p.leave(t, p.next)
		}
		after, err := p.readJiffies()
		if err != nil {
			t.Fatal(err)
		}
		inTime[p.next] = after-before <= 1
	}
	parts := map[uint32]int{}
	for _, o := range p.drain(t) {
		n := binary.BigEndian.Uint32(o.Src[:])
		if parts[n]++; inTime[n] && o.Egress == 0 {
			t.Errorf("part %d of flow %d is not noted: %+v", parts[n], n, o)
		}
	}
	seen := 0
	for n, ok := range inTime {
		if ok && parts[n] > 1 && parts[n] < packets {
			seen++
		}
	}
	if seen == 0 {
		t.Error("no flow passed by and was admitted then, within two ticks")
	}
	account(t, p.source)
}

// Of a log as much is left alone as is open, also where its positions go round.
func TestReadable(t *testing.T) {
	for _, c := range []struct{ at, end, open, want, closing uint32 }{
		{0, 100, 0, 100, 100},
		{0, 100, 30, 70, 100},
		{90, 100, 30, 90, 100},
		{^uint32(0) - 9, 10, 5, 5, 10},
		{^uint32(0) - 9, 10, 15, ^uint32(0) - 4, 10},
		{^uint32(0) - 9, 10, 25, ^uint32(0) - 9, 10},
	} {
		l := victimLog{state: &bpf.ProgramCpu{Logged: c.end}, open: c.open, at: c.at}
		if got, closing := l.readable(false), l.readable(true); got != c.want || closing != c.closing {
			t.Errorf("%+v: readable up to %d, and %d as it closes", c, got, closing)
		}
	}
}
