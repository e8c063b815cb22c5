package synth

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Distribution is one of numbers of packets. Exactly one of Pareto and LogNormal is set, or
// neither: then all numbers from Least to Most are alike.
type Distribution struct {
	// Pareto is the tail's exponent: the smaller, the heavier.
	Pareto float64
	// LogNormal is the standard deviation of the logarithm, around that of Median.
	LogNormal, Median float64
	// Least and Most bound all of them.
	Least, Most float64
}

// maxPackets bounds a stream: about four hours at a million a second.
const maxPackets = math.MaxUint32

// Check returns what is wrong with d.
func (d *Distribution) Check() error {
	switch {
	case d.Pareto != 0 && d.LogNormal != 0:
		return fmt.Errorf("both pareto and lognormal")
	case d.Pareto < 0 || d.LogNormal < 0:
		return fmt.Errorf("a negative parameter")
	case !(d.Least >= 1 && d.Least <= d.Most && d.Most <= maxPackets):
		return fmt.Errorf("%v to %v: want 1 to %d, the first not above the second", d.Least, d.Most, uint64(maxPackets))
	case d.LogNormal != 0 && !(d.Median >= d.Least && d.Median <= d.Most):
		return fmt.Errorf("a median of %v: want one from %v to %v", d.Median, d.Least, d.Most)
	}
	return nil
}

// draw returns a number, rounded down.
func (d *Distribution) draw(r *rand.Rand) uint32 {
	switch {
	case d.Least == d.Most:
		return uint32(d.Least)
	case d.Pareto != 0:
		// The inverse of the bounded Pareto distribution's function. Most + 1 gives the
		// largest number its part of what is rounded down.
		tail := math.Pow(d.Least/(d.Most+1), d.Pareto)
		return uint32(min(d.Most, d.Least*math.Pow(1-r.Float64()*(1-tail), -1/d.Pareto)))
	case d.LogNormal != 0:
		return uint32(min(d.Most, max(d.Least, d.Median*math.Exp(d.LogNormal*r.NormFloat64()))))
	}
	return uint32(d.Least) + r.Uint32N(uint32(d.Most-d.Least)+1)
}
