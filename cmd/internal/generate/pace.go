package generate

import (
	"context"
	"time"
)

// Pace is how fast datagrams leave. The zero value is as fast as they can.
type Pace struct {
	// Speed is how many times as fast as the traffic's own time; 0 does not look at that.
	Speed float64
	// Records is how many records a second leave, on average; 0 is no bound.
	Records float64
	// Datagrams is the most datagrams that leave in a second, bursts of a few milliseconds apart;
	// 0 is no bound.
	Datagrams float64
}

// slack is how far a schedule may fall behind and catch up at once, and the shortest sleep: for
// less the timer costs more than it paces.
const slack = time.Millisecond

// schedule spaces things evenly.
type schedule struct {
	interval float64 // nanoseconds from one to the next; 0 is no bound
	next     time.Time
}

func newSchedule(rate float64) schedule {
	if rate <= 0 {
		return schedule{}
	}
	return schedule{interval: float64(time.Second) / rate}
}

// book notes that n things leave at now, and returns when the next ones may.
func (s *schedule) book(now time.Time, n int) time.Time {
	if s.interval == 0 || n == 0 {
		return now
	}
	if earliest := now.Add(-slack); s.next.Before(earliest) {
		s.next = earliest
	}
	s.next = s.next.Add(time.Duration(s.interval * float64(n)))
	return s.next
}

// pacer holds datagrams back until they may leave.
type pacer struct {
	speed              float64
	records, datagrams schedule
	start              time.Time // of the traffic, on its own time
	began              time.Time // on the clock
	next               time.Time // when the next datagram may leave
}

func newPacer(p Pace, start time.Time) *pacer {
	return &pacer{speed: p.Speed, records: newSchedule(p.Records), datagrams: newSchedule(p.Datagrams), start: start, began: time.Now()}
}

// wait returns when the datagram may leave, or ctx ends.
func (p *pacer) wait(ctx context.Context, d *datagram) error {
	at := p.next
	if p.speed > 0 {
		if due := p.began.Add(time.Duration(float64(d.due.Sub(p.start)) / p.speed)); due.After(at) {
			at = due
		}
	}
	now := time.Now()
	if d := at.Sub(now); d > slack {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now = time.Now()
	}
	p.next = p.datagrams.book(now, 1)
	if next := p.records.book(now, d.Records); next.After(p.next) {
		p.next = next
	}
	return ctx.Err()
}
