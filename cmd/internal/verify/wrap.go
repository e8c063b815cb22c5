package verify

import "fmt"

// uptimeWrap is after how many milliseconds sysUpTime begins anew.
const uptimeWrap = 1 << 32

// isWrap reports whether times, and nothing else, are just 2^32 ms off: the collector does not know,
// or thinks without need, that sysUpTime wrapped between the flow and its export.
func (d *Difference) isWrap() bool {
	if d.Kind != Altered {
		return false
	}
	for _, name := range d.Fields {
		switch name {
		case "flowStartMilliseconds":
			if !isWrapOff(d.Got.Start - d.Want.Start) {
				return false
			}
		case "flowEndMilliseconds":
			if !isWrapOff(d.Got.End - d.Want.End) {
				return false
			}
		default:
			return false
		}
	}
	return len(d.Fields) > 0
}

// isWrapOff takes a second for nothing: times may be cut to it.
func isWrapOff(ms int64) bool {
	off := max(ms, -ms) - uptimeWrap
	return -1000 < off && off < 1000
}

// wraps returns how many records the collector has 2^32 ms off.
func (r *Result) wraps() (n uint64) {
	for i := range r.Differences {
		if r.Differences[i].isWrap() {
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
