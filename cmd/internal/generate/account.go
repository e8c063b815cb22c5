package generate

import (
	"fmt"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
)

// account is a router's part of the ledger behind its cache. A record that needs several of
// NetFlow v5 counts as so many once it is handed to the session.
type account struct {
	ended, handed, made ledger.Sum
	refused             [export.Reasons]ledger.Sum // by the session
	lost                ledger.Sum                 // in restarts
}

func sumOf(f *flow.Record) ledger.Sum {
	return ledger.Sum{Count: 1, Packets: f.Packets, Octets: f.Octets}
}

// ledger returns the account of all routers together. Nothing moves any more.
func (g *generator) ledger() *ledger.Ledger {
	l := &ledger.Ledger{Time: time.Now(), Quiet: true}
	var counters []capture.Counters
	var stats cache.Stats
	var content cache.Sum
	var unmetered ledger.Sum
	for _, r := range g.routers {
		counters = r.source.AppendCounters(counters)
		addPackets(&unmetered, r.held)
		if g.feed != nil {
			g.feed.addWaiting(&unmetered, r)
		}
		table, in := r.table.Stats(), r.table.Content()
		stats.Add(&table)
		content.Flows += in.Flows
		content.Packets += in.Packets
		content.Octets += in.Octets
		l.Records.Add(r.account.ended)
	}
	l.Interfaces = ledger.Interfaces(counters)
	l.Ignored = []ledger.Term{{Reason: "behind the end", Sum: unmetered}}
	l.Cache = ledger.NewCache(&stats, content)
	l.Exporters = []ledger.Exporter{g.exporterLedger()}
	return l
}

func addPackets(s *ledger.Sum, ps []flow.Packet) {
	for i := range ps {
		s.Add(ledger.Sum{Count: 1, Packets: ps[i].Packets, Octets: ps[i].Octets})
	}
}

// addWaiting adds what was read for a router and that it has not taken.
func (f *feed) addWaiting(s *ledger.Sum, r *router) {
	number := r.Exporter.Exporter - 1
	for _, at := range f.order[f.next[number]:f.until[number]] {
		addPackets(s, f.chunk[at:at+1])
	}
}

// exporterLedger is the part of all routers' exports.
func (g *generator) exporterLedger() ledger.Exporter {
	e := ledger.Exporter{
		Name: fmt.Sprintf("all routers (%d)", len(g.routers)), Destination: g.cfg.Export.Address, Protocol: g.cfg.Export.Protocol.String(),
		Sent: g.sent,
	}
	var refused [export.Reasons]ledger.Sum
	var lost ledger.Sum
	for _, r := range g.routers {
		e.Handed.Add(r.account.handed)
		e.Made.Add(r.account.made)
		lost.Add(r.account.lost)
		for i := range refused {
			refused[i].Add(r.account.refused[i])
		}
		for i := range r.open {
			e.Building.Add(r.open[i].sum)
		}
	}
	for _, r := range g.rounds {
		for _, p := range r.order[r.sent:] {
			e.Queued.Add(r.outputs[p.router].datagrams[p.i].flows)
		}
	}
	e.Queued.Add(g.faults.waiting())
	drop := func(reason string, s ledger.Sum) {
		if s != (ledger.Sum{}) {
			e.Dropped = append(e.Dropped, ledger.Term{Reason: reason, Sum: s})
		}
	}
	for i, s := range refused {
		drop(export.Reason(i).String(), s)
	}
	drop("restart", lost)
	drop("fault on purpose", g.dropped)
	return e
}
