//go:build linux

package afpacket

import (
	"math/rand/v2"
	"testing"
)

// Whatever interfaces come and go, the rings never take more than was given.
func TestPlanIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		memory := minRing() << r.IntN(14)
		count, open := r.IntN(20), r.IntN(2) == 0
		p := newPlan(memory, count, open)
		var out []int
		used := whole(p.shared)
		if p.shared > 0 && used < minRing() {
			t.Fatalf("a shared ring of %d octets", p.shared)
		}
		for range 50 {
			if r.IntN(3) == 0 && len(out) > 0 {
				p.give(out[0])
				used -= out[0]
				out = out[1:]
				continue
			}
			n := 1 + r.IntN(5)
			size := p.share(n)
			for range n {
				if p.take(size) {
					out = append(out, size)
					used += size
				} else if open && p.shared == 0 {
					t.Fatalf("an interface finds neither a ring nor a shared one: %+v", p)
				}
			}
			if used > memory || len(out) > maxRings {
				t.Fatalf("%d octets in %d rings, of %d", used, len(out), memory)
			}
			if len(out) > 0 && (size%blockSize(max(size, minRing())) != 0) {
				t.Fatalf("a ring of %d octets is not of whole blocks", size)
			}
		}
	}
}

// Named interfaces get equal shares of all; one interface all of it.
func TestPlanOfNames(t *testing.T) {
	for count := 1; count <= maxRings; count++ {
		p := newPlan(64<<20, count, false)
		for range count {
			size := p.share(1)
			if size < 64<<20/count-fullBlock || !p.take(size) {
				t.Errorf("%d interfaces: a share of %d octets", count, size)
			}
		}
	}
	p := newPlan(64<<20, 1, true)
	if size := p.share(1); size < 40<<20 {
		t.Errorf("the only interface of a pattern gets %d octets", size)
	}
	if p := newPlan(64<<20, 200, true); p.shared != 64<<20 || p.take(p.share(200)) {
		t.Errorf("200 interfaces do not share one ring of all memory: %+v", p)
	}
}
