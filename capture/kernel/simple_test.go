//go:build linux

package kernel

import (
	"math/rand/v2"
	"testing"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
)

// byFlow sums observations by their key: what a sum has, without times and without
// what is the first packet's, which depends on how a flow is cut into parts.
func byFlow(ps []flow.Packet) map[flow.Key]flow.Packet {
	sums := map[flow.Key]flow.Packet{}
	for _, p := range ps {
		p = flow.Packet{Key: p.Key, TCPFlags: p.TCPFlags, MinTTL: p.MinTTL, MaxTTL: p.MaxTTL, Packets: p.Packets, Octets: p.Octets,
			MinLength: p.MinLength, MaxLength: p.MaxLength, Fragment: p.Fragment}
		if s, ok := sums[p.Key]; ok {
			s.Sum(&p)
			p = s
		}
		sums[p.Key] = p
	}
	return sums
}

// Both flavours of the first level see the same frames, with flips between them: for
// each flow they agree in all but how they cut it into parts.
func TestSimpleAgrees(t *testing.T) {
	defer pin(t, 0)()
	labs := []*lab{
		newLab(t, Config{Entries: 256, Ring: 1 << 22}, bpf.ProgramDeviceFlagDEVICE_INGRESS),
		newLab(t, Config{Simple: true}, bpf.ProgramDeviceFlagDEVICE_INGRESS),
	}
	all := inOrder(corpus(t))
	r := rand.New(rand.NewPCG(5, 6))
	got := make([][]flow.Packet, len(labs))
	for range 20 {
		for range 1000 {
			frame := mutate(r, all)
			if r.IntN(2) == 0 {
				frame = flowFrame(t, r.Uint32N(600))
			}
			for _, l := range labs {
				l.ingress(t, frame, skBuff{})
			}
		}
		for i, l := range labs {
			got[i] = append(got[i], l.drain(t)...)
			account(t, l.source)
		}
	}
	sets, simple := byFlow(got[0]), byFlow(got[1])
	if len(sets) != len(simple) || len(sets) < 600 {
		t.Errorf("%d flows and %d", len(sets), len(simple))
	}
	for k, want := range simple {
		if sets[k] != want {
			t.Errorf("%+v\nsets   %+v\nsimple %+v", k, sets[k], want)
		}
	}
	t.Logf("%d flows, in %d parts and %d", len(sets), len(got[0]), len(got[1]))
}
