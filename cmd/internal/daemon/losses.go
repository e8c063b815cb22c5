package daemon

import (
	"context"
	"sync"
	"time"

	"cacheflow/capture"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
)

// losses tells the exporters what was not metered: the ledger's lost and undecodable
// frames, a super-packet counting as one packet. Octets are known of those only that the
// kernel's first level lost.
type losses struct {
	meter *Meter
	mu    sync.Mutex // guards known
	known export.Unmetered
}

const (
	// lossPeriod is how often losses are looked for; their times are known to it.
	lossPeriod = 10 * time.Second
	// lossPatience bounds the wait for a shard, which may be waiting for the exporter
	// that asks.
	lossPatience = 100 * time.Millisecond
)

// unmetered returns what was lost until now, or where a shard does not answer, what was
// known before. Any goroutine may call it.
func (l *losses) unmetered() export.Unmetered {
	ctx, cancel := context.WithTimeout(context.Background(), lossPatience)
	defer cancel()
	var counters []capture.Counters
	for _, s := range l.meter.shards {
		if s.ask(ctx, func() { counters = s.source.AppendCounters(counters) }) != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.known
		}
	}
	account := ledger.Ledger{Interfaces: ledger.Interfaces(counters)}
	packets, octets := account.Unmetered()
	now := l.meter.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if packets > l.known.Packets {
		if l.known.First == 0 {
			l.known.First = now
		}
		l.known.Last = now
	}
	l.known.Packets, l.known.Octets = packets, octets
	return l.known
}

// watch looks for losses until ctx is done, so that their times are known.
func (l *losses) watch(ctx context.Context) error {
	look := time.NewTicker(lossPeriod)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			l.unmetered()
		}
	}
}
