package generate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// wantLedger wants a ledger that closes, and that has sent what a collector got.
func wantLedger(t *testing.T, s *sent) {
	t.Helper()
	l := s.stats.Ledger
	for _, i := range l.Balance() {
		if i.Difference != 0 {
			t.Errorf("%s, %s: %s: %d", i.Scope, i.Unit, i.Equation, i.Difference)
		}
	}
	if got := l.Exporters[0].Sent.Count; got+dropped(l, "fault on purpose").Count != s.stats.Records {
		t.Errorf("%d records sent of %d", got, s.stats.Records)
	}
}

func dropped(l *ledger.Ledger, reason string) (s ledger.Sum) {
	for _, d := range l.Exporters[0].Dropped {
		if d.Reason == reason {
			s.Add(d.Sum)
		}
	}
	return s
}

// The ledger closes: with all that is dropped on purpose, at the end and where somebody ended it,
// and its terms are those of the manifest.
func TestLedger(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		for _, stop := range []int{0, 50} { // behind so many datagrams; 0 is never
			c := config(t, "office", protocol)
			c.Restarts = []generate.Restart{{At: 5 * time.Second, Exporter: 2}}
			c.Faults = []generate.Fault{{Kind: manifest.Drop, Share: 0.1}, {Kind: manifest.Delay, Share: 0.1}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			c.Send = func(int, []byte) error {
				if n++; n == stop {
					cancel()
				}
				return nil
			}
			s := run(t, ctx, c)
			wantLedger(t, s)
			restarts, lost := lines[manifest.Restart](t, s.manifest.Bytes(), "restart"), uint64(0)
			for _, r := range restarts {
				lost += r.Packets
			}
			all, last := truth(t, &s.manifest)
			packets, _ := carried(all)
			l := s.stats.Ledger
			x := &l.Exporters[0]
			if x.Sent.Packets+dropped(l, "fault on purpose").Packets != packets {
				t.Errorf("%d packets sent and %+v dropped on purpose of %d in the manifest", x.Sent.Packets, dropped(l, "fault on purpose"), packets)
			}
			if stop == 0 && (dropped(l, "restart").Packets != lost || lost == 0 || x.Queued.Count+x.Building.Count+l.Cache.Content.Count != 0) {
				t.Errorf("%+v lost of %d, %+v queued, %+v building, %+v in cache", dropped(l, "restart"), lost, x.Queued, x.Building, l.Cache.Content)
			}
			if (stop == 0) != (last.End == manifest.Complete) || stop != 0 && x.Queued.Count+x.Building.Count == 0 {
				t.Errorf("%s: %+v queued, %+v building", last.End, x.Queued, x.Building)
			}
			if dropped(l, "not IPv4").Count == 0 == (protocol == export.NetFlow5) {
				t.Errorf("%+v refused", dropped(l, "not IPv4"))
			}
		}
	}
}

// It closes also where nothing can be sent any more, while datagrams are held back.
func TestLedgerOfFailure(t *testing.T) {
	failure := errors.New("no route")
	for _, fault := range []generate.Fault{{Kind: manifest.Reorder, Share: 0.5}, {Kind: manifest.Delay, Share: 0.5}} {
		for last := range 20 {
			c := config(t, "office", export.IPFIX)
			c.Routers, c.Duration, c.Faults = 1, 10*time.Second, []generate.Fault{fault}
			n := 0
			c.Send = func(int, []byte) error {
				if n++; n > 20+last {
					return failure
				}
				return nil
			}
			stats, err := generate.Run(t.Context(), c)
			if !errors.Is(err, failure) {
				t.Fatal(err)
			}
			wantLedger(t, &sent{stats: stats})
		}
	}
}

// Counters that are changed on purpose are in the ledger as they were metered.
func TestLedgerOfChangedRecords(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		c := config(t, "office", protocol)
		c.Records = []generate.RecordFault{{Kind: manifest.Limits, Share: 0.5}}
		c.Restarts = []generate.Restart{{At: 5 * time.Second, Exporter: 2}}
		s := run(t, t.Context(), c)
		wantLedger(t, s)
		if s.stats.Changed == 0 {
			t.Error("no record was changed")
		}
	}
}
