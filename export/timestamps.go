package export

import (
	"time"

	"cacheflow/cache/flow"
)

// timeGroups are those of a flow's start and end, by their form.
var timeGroups = map[Timestamps]group{
	TimestampsSysUpTime:    timesUptime,
	TimestampsMilliseconds: timesWall,
	TimestampsMicroseconds: timesOf(flowStartMicroseconds, flowEndMicroseconds, ntpMicroseconds),
	TimestampsNanoseconds:  timesOf(flowStartNanoseconds, flowEndNanoseconds, ntpNanoseconds),
}

var (
	// timesUptime are FIRST_SWITCHED and LAST_SWITCHED (RFC 3954 §8).
	timesUptime = group{
		[]field{{flowStartSysUpTime, 4}, {flowEndSysUpTime, 4}},
		func(b []byte, r *flow.Record, _ int64) []byte {
			b = be.AppendUint32(b, sysUpTime(r.First))
			return be.AppendUint32(b, sysUpTime(r.Last))
		},
	}
	timesWall = group{
		[]field{{flowStartMilliseconds, 8}, {flowEndMilliseconds, 8}},
		func(b []byte, r *flow.Record, epoch int64) []byte {
			b = be.AppendUint64(b, wallTime(r.First, epoch))
			return be.AppendUint64(b, wallTime(r.Last, epoch))
		},
	}
)

// timesOf returns the group of two NTP timestamps, which stamp makes of nanoseconds
// since 1970.
func timesOf(start, end uint16, stamp func(ns int64) uint64) group {
	return group{
		[]field{{start, 8}, {end, 8}},
		func(b []byte, r *flow.Record, epoch int64) []byte {
			b = be.AppendUint64(b, stamp(epoch+int64(r.First)))
			return be.AppendUint64(b, stamp(epoch+int64(r.Last)))
		},
	}
}

// ntpEpoch is 1970 in NTP's seconds, which count from 1900 (RFC 5905 §6).
const ntpEpoch = 2_208_988_800

// ntpNanoseconds returns a dateTimeNanoseconds (RFC 7011 §6.1.10): seconds modulo 2^32
// and their fraction in 2^-32. The fraction is rounded up, so that a collector which
// rounds down finds the nanosecond, as one does that rounds to the nearest.
func ntpNanoseconds(ns int64) uint64 {
	ns = max(0, ns)
	secs, rest := uint64(ns/int64(time.Second)), uint64(ns%int64(time.Second))
	return (secs+ntpEpoch)<<32 | (rest<<32+uint64(time.Second)-1)/uint64(time.Second)
}

// microsecondBits are those of the fraction that a dateTimeMicroseconds has at 0 (RFC
// 7011 §6.1.9): what is left counts 0.48 µs.
const microsecondBits = 1<<11 - 1

// ntpMicroseconds returns a dateTimeMicroseconds, rounded down to the microsecond, and
// from there as ntpNanoseconds.
func ntpMicroseconds(ns int64) uint64 {
	ns = max(0, ns)
	ns -= ns % int64(time.Microsecond)
	return (ntpNanoseconds(ns) + microsecondBits) &^ microsecondBits
}

// systemInitTime lays out the announcement of the boot instant, without which IPFIX's
// sysUpTime has no meaning; IOS XR has it with this scope. It is taken anew each time, so
// that a collector follows a step of the wall clock with the templates.
func (o *options) systemInitTime(c *Config) {
	o.layout(IPFIX, field{observationDomainID, 4}, field{systemInitTime, 8})
	o.constant = true
	o.records = func(b []byte) []byte {
		b = be.AppendUint32(b, c.SourceID)
		return be.AppendUint64(b, uint64(max(0, c.Epoch().UnixMilli())))
	}
}
