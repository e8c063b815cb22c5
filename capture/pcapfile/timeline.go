package pcapfile

import (
	"time"

	"cacheflow/cache/flow"
)

// lead is the time before the first packet of a replay, and how far ahead of
// all others a stamp may be without another that agrees.
const lead = flow.Time(time.Hour)

// timeline turns stamps into the times of a replay. Its boot instant is a whole
// second, one hour before the first packet.
type timeline struct {
	boot int64 // nanoseconds since the epoch
	// largest is the largest time that was believed: the horizon.
	largest flow.Time
	// suspect is the last stamp, where it was not believed.
	suspect   flow.Time
	suspected bool
}

// newTimeline returns the timeline of a replay whose first packet has the given
// stamp.
func newTimeline(first int64) timeline {
	boot := first - first%int64(time.Second) - int64(lead)
	return timeline{boot: boot, largest: flow.Time(first - boot)}
}

// at returns the time of the packet with the next stamp, and whether the stamp
// was not believed: it is over an hour ahead of all before it, and the next one
// did not agree so far. Such a packet is metered at the largest time. A stamp
// before the boot instant counts as the boot instant; any other that goes back
// stays as it is, and its packet joins its flow.
func (l *timeline) at(stamp int64) (t flow.Time, jump bool) {
	t = flow.Time(stamp - l.boot)
	agrees := l.suspected && t <= l.suspect+lead && t >= l.suspect-lead
	if t > l.largest+lead && !agrees {
		l.suspect, l.suspected = t, true
		return l.largest, true
	}
	l.suspected = false
	l.largest = max(l.largest, t)
	return max(t, 0), false
}
