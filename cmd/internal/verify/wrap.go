package verify

import (
	"fmt"
	"slices"

	"cacheflow/cmd/internal/manifest"
)

// uptimeWrap is after how many milliseconds sysUpTime begins anew.
const uptimeWrap = 1 << 32

// isWrap reports whether times, and nothing else, are just 2^32 ms off: the collector does not know,
// or thinks without need, that sysUpTime wrapped between the flow and its export.
func (d *Difference) isWrap() bool {
	if d.Kind != Altered || !areTimes(d.Fields) {
		return false
	}
	start, end := d.Got.Start-d.Want.Start, d.Got.End-d.Want.End
	return isWrapOff(start) && (end == 0 || isWrapOff(end))
}

// isWrapOff takes a second for nothing: times may be cut to it.
func isWrapOff(ms int64) bool {
	off := max(ms, -ms) - uptimeWrap
	return -1000 < off && off < 1000
}

// areTimes reports whether all fields are times.
func areTimes(fields []string) bool {
	return !slices.ContainsFunc(fields, func(name string) bool { return name != "flowStartMilliseconds" && name != "flowEndMilliseconds" })
}

// wraps returns how many records the collector has 2^32 ms off, but for those whose end is before
// their start on purpose: they look like a wrap.
func (r *Result) wraps() (n uint64) {
	for i := range r.Differences {
		if d := &r.Differences[i]; d.isWrap() && d.Want.Changed != manifest.Reversed {
			n++
		}
	}
	return n
}

// wrapText says so.
func (r *Result) wrapText() string {
	n := r.wraps()
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d of the altered records are 2^32 ms off, and right otherwise: the collector misreads sysUpTime where it wraps\n", n)
}
