package daemon

import (
	"context"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// Paced hands over the packets of a source no sooner than their time has come:
// as far apart as they were observed, divided by Speed.
type Paced struct {
	capture.Source
	Speed float64
	// Context ends the wait: the rest is then handed over without pauses.
	Context context.Context

	started bool
	wall    time.Time
	first   flow.Time
}

// Read hands over one packet at a time, so that none waits for those behind it.
func (p *Paced) Read(batch []flow.Packet) (int, flow.Time, error) {
	n, horizon, err := p.Source.Read(batch[:1])
	if err != nil {
		return n, horizon, err
	}
	if !p.started {
		p.started, p.wall, p.first = true, time.Now(), horizon
	}
	due := p.wall.Add(time.Duration(float64(horizon-p.first) / p.Speed))
	if wait := time.Until(due); wait > time.Millisecond { // sleeping for less costs more than it paces
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-p.Context.Done():
		}
	}
	return n, horizon, nil
}
