package capture

import (
	"math"
	"slices"
	"testing"
)

// taken returns the places, from 0, of the frames that s takes of the next n.
func taken(s *Sampler, n uint32) (at []uint32) {
	for i := range n {
		if s.Take() {
			at = append(at, i)
		}
	}
	return at
}

// Out of k×N frames exactly k are taken, one of each N in a row; a deterministic sampler
// takes the first of them.
func TestSamplerIsExact(t *testing.T) {
	for _, n := range []uint32{0, 1, 2, 3, 7, 10, 100, 16383, MaxSamplingInterval} {
		for _, random := range []bool{false, true} {
			s := NewSampler(Sampling{n, random}, [2]uint64{1, 2})
			n, k := max(1, n), 20
			at := taken(&s, n*uint32(k))
			if len(at) != k {
				t.Errorf("1 out of %d, random %v: %d frames were taken, want %d", n, random, len(at), k)
				continue
			}
			for i, a := range at {
				if a/n != uint32(i) || !random && a%n != 0 {
					t.Errorf("1 out of %d, random %v: frame %d was taken as the %dth", n, random, a, i+1)
				}
			}
		}
	}
	var every Sampler
	if at := taken(&every, 100); len(at) != 100 {
		t.Errorf("the zero sampler takes %d frames of 100", len(at))
	}
}

// Each of the N places is taken as often as any other. Of chi-squared with 9 degrees of
// freedom, 99.9 % lie below 27.9.
func TestRandomSamplerIsEven(t *testing.T) {
	for seed := range uint64(5) {
		const n, k = 10, 100_000
		s := NewSampler(Sampling{n, true}, [2]uint64{seed, 0})
		var places [n]float64
		for _, at := range taken(&s, n*k) {
			places[at%n]++
		}
		chi := 0.0
		for _, p := range places {
			chi += (p - k/n) * (p - k/n) / (k / n)
		}
		if chi > 27.9 {
			t.Errorf("seed %d: chi-squared is %.1f: %v", seed, chi, places)
		}
	}
}

// Traffic may have the sampler's own period: where every second frame is of one flow, a
// deterministic sampler sees one of the two alone, a random one half of each.
func TestSamplerOfPeriodicTraffic(t *testing.T) {
	for _, random := range []bool{false, true} {
		const n, k = 100, 10_000
		s := NewSampler(Sampling{n, random}, [2]uint64{3, 4})
		odd := 0.0
		for _, at := range taken(&s, n*k) {
			odd += float64(at % 2)
		}
		sigma := math.Sqrt(k) / 2
		switch {
		case !random && odd != 0:
			t.Errorf("the deterministic sampler took %v of the odd frames", odd)
		case random && math.Abs(odd-k/2) > 4*sigma:
			t.Errorf("the random sampler took %v of %d frames of one flow, more than 4 sigma from half", odd, k)
		}
	}
}

// The seed alone decides.
func TestSamplerSeed(t *testing.T) {
	choice := func(seed [2]uint64) []uint32 {
		s := NewSampler(Sampling{50, true}, seed)
		return taken(&s, 5000)
	}
	a := choice([2]uint64{1, 1})
	if !slices.Equal(a, choice([2]uint64{1, 1})) {
		t.Error("the same seed takes other frames")
	}
	if slices.Equal(a, choice([2]uint64{1, 2})) {
		t.Error("another seed takes the same frames")
	}
}

func TestSamplerDoesNotAllocate(t *testing.T) {
	s := NewSampler(Sampling{3, true}, [2]uint64{})
	if n := testing.AllocsPerRun(1000, func() { s.Take() }); n != 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

func TestSamplingBounds(t *testing.T) {
	for n, good := range map[uint32]bool{0: true, 1: true, MaxSamplingInterval: true, MaxSamplingInterval + 1: false, math.MaxUint32: false} {
		if err := (Sampling{Interval: n}).Validate(); (err == nil) != good {
			t.Errorf("1 out of %d: %v", n, err)
		}
	}
}

func BenchmarkSampler(b *testing.B) {
	for name, s := range map[string]Sampling{"every": {}, "deterministic": {100, false}, "random": {100, true}} {
		b.Run(name, func(b *testing.B) {
			s := NewSampler(s, [2]uint64{})
			for b.Loop() {
				s.Take()
			}
		})
	}
}
