package flow

import "time"

// Time is a point on the process's one monotonic timeline: nanoseconds since
// its boot instant, which is a whole second of wall time. sysUpTime is Time in
// milliseconds; wall time is the boot instant plus Time. A replayed file has a
// virtual boot instant one hour before its first packet.
type Time int64

// Add returns the time d later.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Milliseconds returns sysUpTime at t, before its reduction modulo 2^32; 0
// before the boot instant.
func (t Time) Milliseconds() uint64 { return uint64(max(t, 0)) / uint64(time.Millisecond) }
