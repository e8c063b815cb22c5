package export

import "time"

// pacer spaces datagrams: rate a second on average, and bursts of a few, so
// that a collector's socket buffer (some hundred datagrams by default) is not
// overrun when a full cache is flushed. It is the virtual scheduling form of a
// token bucket (ITU-T I.371, GCRA).
type pacer struct {
	interval time.Duration // between two datagrams; 0 for no bound
	burst    time.Duration // how far the schedule may run ahead of the clock
	next     time.Time     // when the next datagram is due if all were evenly spaced
}

// maxBurst is the most datagrams that leave back to back.
const maxBurst = 32

// newPacer returns a pacer for rate datagrams a second, without bound if rate
// is not positive. A burst is at most a hundredth of a second's worth.
func newPacer(rate int) pacer {
	if rate <= 0 {
		return pacer{}
	}
	interval := time.Second / time.Duration(rate)
	return pacer{interval: interval, burst: interval * time.Duration(min(maxBurst, max(1, rate/100)))}
}

// sent books a datagram that left at now, and returns how long the next one has
// to wait. A wait lasts until half a burst is free again: sleeping for each
// datagram alone would cost more than sending it.
func (p *pacer) sent(now time.Time) time.Duration {
	if p.interval == 0 {
		return 0
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(p.interval)
	ahead := p.next.Sub(now)
	if ahead+p.interval <= p.burst {
		return 0
	}
	return ahead - min(p.burst/2, p.burst-p.interval)
}
