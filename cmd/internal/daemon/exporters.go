package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/control"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
)

// An exporter is one that shards deliver to, or did.
type exporter struct {
	*export.Exporter
	// configured is what it was made of, as a reload compares it.
	configured export.Config
	// late says that it was waited for in vain, and heldUp for how long at the end while others
	// had nothing to send.
	late   atomic.Bool
	heldUp atomic.Int64
	mu     sync.Mutex // guards what follows
	// handed counts the records of the shards that deliver to it no more, and those that
	// its group moved to it.
	handed cache.Sum
}

func (e *exporter) addHanded(s cache.Sum) {
	e.mu.Lock()
	defer e.mu.Unlock()
	addSum(&e.handed, s)
}

// ledger returns the exporter's part of the account, of which the shards that
// deliver to it have handed over so many records.
func (e *exporter) ledger(handed cache.Sum) ledger.Exporter {
	e.mu.Lock()
	addSum(&handed, e.handed)
	e.mu.Unlock()
	s := e.Stats()
	l := ledger.Exporter{
		Name: s.Name, Destination: s.Address, Protocol: s.Protocol.String(), Handed: ledgerSum(handed),
		Made: countSum(s.Made), Queued: countSum(s.Queued), Building: countSum(s.Building), Sent: countSum(s.Sent),
	}
	for r, c := range s.Dropped {
		if c.Records > 0 || c.Packets > 0 {
			l.Dropped = append(l.Dropped, ledger.Term{Reason: export.Reason(r).String(), Sum: countSum(c)})
		}
	}
	return l
}

func countSum(c export.Count) ledger.Sum {
	return ledger.Sum{Count: c.Records, Packets: c.Packets, Octets: c.Octets}
}

// Export implements control.Daemon.
func (m *Meter) Export(context.Context) (*control.Export, error) {
	m.changing.RLock()
	defer m.changing.RUnlock()
	out := &control.Export{}
	for _, e := range m.exporters {
		s := e.Stats()
		x := control.Exporter{
			Name: s.Name, Protocol: s.Protocol.String(), Version: s.Protocol.Version(), Destination: s.Address, File: e.Config().File.Path != "",
			Records: s.Sent.Records, Datagrams: s.Datagrams.Count, Octets: s.Datagrams.Octets,
			Queued: s.Queued.Records, QueueSize: uint64(s.QueueRecords),
		}
		if s.Collector.IsValid() {
			x.Destination = s.Collector.String()
		}
		if a, ok := e.LocalAddr(); ok {
			x.Source = a.Addr().String()
		}
		for r, c := range s.Dropped {
			if c.Records > 0 || s.Failed[r].Count > 0 {
				x.Dropped = append(x.Dropped, control.Drop{Reason: control.DropReason(export.Reason(r).String()), Records: c.Records, Datagrams: s.Failed[r].Count})
			}
		}
		out.Exporters = append(out.Exporters, x)
	}
	for _, g := range m.groups {
		out.Groups = append(out.Groups, g.state())
	}
	return out, nil
}

// exporterSet is exporters that each get every record, or that are treated alike.
type exporterSet []*exporter

// put hands records to every exporter without waiting; what finds no room is
// counted there.
func (x exporterSet) put(rs []flow.Record) {
	for _, e := range x {
		e.Put(rs)
	}
}

// start runs the exporters, until each is shut down.
func (x exporterSet) start(running *sync.WaitGroup) {
	for _, e := range x {
		running.Go(func() { _ = e.Run(context.Background()) }) // Shutdown ends it
	}
}

// written returns an error where records are not in the files that they were meant for.
func (x exporterSet) written() error {
	for _, e := range x {
		if n := e.Stats().Dropped[export.NotWritten].Records; n > 0 {
			return fmt.Errorf("exporter %s: %d records were not written", e, n)
		}
	}
	return nil
}

// shutdown ends the exporters: it waits until they have sent what is queued, or
// until its context ends.
func (x exporterSet) shutdown(ctx context.Context) {
	var ending sync.WaitGroup
	for _, e := range x {
		ending.Go(func() { _ = e.Shutdown(ctx) }) // what it gives up is counted
	}
	ending.Wait()
}

// without returns the exporters of x that are not in y.
func (x exporterSet) without(y exporterSet) (rest exporterSet) {
	for _, e := range x {
		if !slices.Contains(y, e) {
			rest = append(rest, e)
		}
	}
	return rest
}
