package export

import (
	"time"

	"cacheflow/cache/flow"
)

// millis returns t in milliseconds, rounded down also before the boot instant
// (a replayed file may go back behind its virtual one).
func millis(t flow.Time) int64 {
	ms := int64(t) / int64(time.Millisecond)
	if t < 0 && int64(t)%int64(time.Millisecond) != 0 {
		ms--
	}
	return ms
}

// sysUpTime returns t as the protocols have it: milliseconds modulo 2^32.
func sysUpTime(t flow.Time) uint32 { return uint32(millis(t)) }

// wallTime returns t in milliseconds since 1970, where epoch is that of
// flow.Time 0 in nanoseconds; never before 1970, which dateTimeMilliseconds
// cannot tell.
func wallTime(t flow.Time, epoch int64) uint64 { return uint64(max(0, millis(flow.Time(epoch)+t))) }
