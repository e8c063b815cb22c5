package pcapfile

import (
	"fmt"
	"math"
	"math/bits"
)

// stampClock turns an interface's stamps into nanoseconds since the epoch:
// ticks × times ÷ over ÷ 2^shift + offset.
type stampClock struct {
	times, over uint64
	shift       uint
	offset      int64 // seconds (if_tsoffset)
}

// microseconds is what a file means that does not tell (if_tsresol).
var microseconds = stampClock{times: 1000, over: 1}

// setResolution takes the value of if_tsresol (draft-ietf-opsawg-pcapng §4.2):
// the negative power of 10, or of 2 where the upper bit is set.
func (c *stampClock) setResolution(v uint8) error {
	c.times, c.over, c.shift = 1, 1, 0
	power := v & 0x7f
	switch {
	case v != power:
		c.times, c.shift = 1e9, uint(power)
	case power <= 9:
		for range 9 - power {
			c.times *= 10
		}
	case power <= 28: // over is at most 10^19
		for range power - 9 {
			c.over *= 10
		}
	default:
		return fmt.Errorf("stamps in units of 10^-%d s", power)
	}
	return nil
}

// maxStamp bounds stamps, so that sums with a few hours stay within 63 bits.
const maxStamp = math.MaxInt64 - 2*3_600_000_000_000

// nanoseconds returns the stamp, at least 0 and at most maxStamp.
func (c *stampClock) nanoseconds(ticks uint64) int64 {
	hi, lo := bits.Mul64(ticks, c.times)
	if c.shift != 0 {
		// A shift by 64 or more is 0 in Go.
		lo = lo>>c.shift | hi<<(64-c.shift) | hi>>(c.shift-64)
		hi >>= c.shift
	}
	if hi != 0 || lo/c.over > maxStamp {
		lo = maxStamp
	} else {
		lo /= c.over
	}
	if c.offset == 0 {
		return int64(lo)
	}
	return addSeconds(int64(lo), c.offset)
}

// addSeconds returns t + s seconds within the bounds of stamps.
func addSeconds(t, s int64) int64 {
	const most = maxStamp / 1_000_000_000
	ns := max(-most, min(s, most)) * 1_000_000_000
	if ns > maxStamp-t {
		return maxStamp
	}
	return max(t+ns, 0)
}
