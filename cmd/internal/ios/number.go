package ios

import (
	"fmt"
	"strconv"
	"time"
)

// tenths is a figure with one decimal, in tenths, and prints as such.
type tenths uint64

func (t tenths) String() string { return fmt.Sprintf("%d.%d", t/10, t%10) }

// perSecond returns n/s over a duration in milliseconds.
func perSecond(n, milliseconds uint64) tenths {
	if milliseconds == 0 {
		return 0
	}
	seconds, rest := n/milliseconds, n%milliseconds // n × 10000 may not fit
	return tenths(seconds*10_000 + rest*10_000/milliseconds)
}

// over returns n/d, and 0 where there is nothing to divide by.
func over(n, d uint64) uint64 {
	if d == 0 {
		return 0
	}
	return n / d
}

// short reduces a counter to five characters, its suffix included: above 99999
// the router counts in thousands (K), then in millions (M). The suffix is a
// blank below.
func short(n uint64) (figure uint64, suffix byte) {
	if n <= 99_999 {
		return n, ' '
	}
	for _, suffix := range []byte("KMGT") {
		if n /= 1000; n <= 9_999 {
			return n, suffix
		}
	}
	return n / 1000, 'P'
}

// column5 returns n as a column of five characters.
func column5(n uint64) string {
	figure, suffix := short(n)
	if suffix == ' ' {
		return fmt.Sprintf("%5d", figure)
	}
	return fmt.Sprintf("%4d%c", figure, suffix)
}

// elapsed returns a duration as the router prints how long ago something was:
// HH:MM:SS during the first day, then days and hours, then weeks and days.
func elapsed(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < day:
		s := int(d / time.Second)
		return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	case d < 7*day:
		return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
	}
	return fmt.Sprintf("%dw%dd", d/(7*day), d%(7*day)/day)
}

// timeout returns a timeout in the given unit, or in seconds where it is not a
// multiple: the router takes whole minutes for active flows only.
func timeout(d, unit time.Duration) string {
	if unit == time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " seconds"
}

// thousandths returns n/total × 1000, for n below total.
func thousandths(n, total uint64) uint64 {
	if total == 0 {
		return 0
	}
	if total > 1<<53 { // n × 1000 may not fit
		n, total = n>>10, total>>10
	}
	return n * 1000 / total
}
