package capture

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// Sampling chooses the frames that are metered, before they are decoded. A super-packet
// of segmentation offload is one frame; if it is chosen, all its segments count.
type Sampling struct {
	// Interval is out of how many frames one is taken; 0 and 1 take every frame.
	Interval uint32
	// Random takes one by chance out of each Interval frames in a row; otherwise it is
	// the first of them.
	Random bool
}

// MaxSamplingInterval is that of a router's sampler.
const MaxSamplingInterval = 65535

// Validate returns what is wrong with s.
func (s Sampling) Validate() error {
	if s.Interval > MaxSamplingInterval {
		return fmt.Errorf("sampling of 1 frame out of %d: at most out of %d", s.Interval, MaxSamplingInterval)
	}
	return nil
}

// Sampler applies a Sampling to a run of frames. The zero value takes every frame. It is
// not safe for concurrent use: each worker has one.
type Sampler struct {
	sampling Sampling
	random   rand.PCG
	left     uint32 // frames to go in this interval
	chosen   uint32 // how many are still to go behind the one that is taken
}

// NewSampler returns a sampler; of one that is random, seed decides which frames it takes.
func NewSampler(s Sampling, seed [2]uint64) Sampler {
	return Sampler{sampling: s, random: *rand.NewPCG(seed[0], seed[1])}
}

// Take reports whether the next frame is taken.
func (s *Sampler) Take() bool {
	if s.sampling.Interval < 2 {
		return true
	}
	if s.left == 0 {
		s.begin()
	}
	s.left--
	return s.left == s.chosen
}

// begin begins an interval.
func (s *Sampler) begin() {
	s.left = s.sampling.Interval
	s.chosen = s.left - 1
	if s.sampling.Random {
		// The upper half of the product is below Interval; no value is more likely than
		// another by more than 1 in 2⁴⁸.
		chosen, _ := bits.Mul64(s.random.Uint64(), uint64(s.left))
		s.chosen = uint32(chosen)
	}
}
