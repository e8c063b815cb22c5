//go:build linux

package live_test

import (
	"encoding/json"
	"testing"

	"cacheflow/test/binary"
)

// ledger is what the program says of itself, as --ledger and `show ledger
// --json` write it: declared here again, as anyone outside would.
type ledger struct {
	Quiet      bool
	Interfaces []ledgerInterface
	Ignored    []ledgerTerm
	Cache      struct {
		Observed, Content ledgerSum
		Ended             []ledgerTerm
	}
	Records   ledgerSum
	Exporters []ledgerExporter
	Balance   []struct {
		Scope, Unit, Equation string
		Left, Right           uint64
		Difference            int64
	}
}

type ledgerSum struct{ Count, Packets, Octets uint64 }

type ledgerTerm struct {
	Reason string
	ledgerSum
}

type ledgerFrames struct {
	Reason string
	Frames uint64
}

type ledgerInterface struct {
	Index                                uint32
	Name, Mode                           string
	Observed, Lost, InRing, InFirstLevel uint64
	Ignored, Undecodable                 []ledgerFrames
	Metered, Packets, Octets             uint64
	Observations, OtherHost, ClockJumps  uint64
	FirstLevel                           struct{ Counted, Lost, Content, InRing, HandedOver ledgerPackets }
}

type ledgerPackets struct{ Packets, Octets uint64 }

type ledgerExporter struct {
	Name, Destination, Protocol  string
	Made, Queued, Building, Sent ledgerSum
	Dropped                      []ledgerTerm
}

func parseLedger(t testing.TB, b []byte) *ledger {
	t.Helper()
	l := new(ledger)
	if err := json.Unmarshal(b, l); err != nil {
		t.Fatalf("read the ledger: %v\n%s", err, b)
	}
	return l
}

// ended sees that the ledger is the final one of a daemon that captured in the mode
// m: on each interface all was handed over that was not lost.
func (l *ledger) ended(t testing.TB, m binary.Mode) {
	t.Helper()
	if !l.Quiet {
		t.Error("the final ledger is not of a quiet instant")
	}
	for _, i := range l.Interfaces {
		if (i.Mode == "af_packet") != (m == binary.AFPacket) {
			t.Errorf("%s was captured by %s", i.Name, i.Mode)
		}
		f := &i.FirstLevel
		want := ledgerPackets{f.Lost.Packets + f.HandedOver.Packets, f.Lost.Octets + f.HandedOver.Octets}
		if i.InRing+i.InFirstLevel > 0 || f.Counted != want || f.Content != (ledgerPackets{}) || f.InRing != (ledgerPackets{}) {
			t.Errorf("something is left of %s: %+v", i.Name, i)
		}
	}
}

// closes sees that every identity holds to the last unit, and that there are
// identities.
func (l *ledger) closes(t testing.TB) {
	t.Helper()
	if len(l.Balance) < 8 {
		t.Errorf("the ledger has %d identities only", len(l.Balance))
	}
	for _, i := range l.Balance {
		if i.Difference != 0 {
			t.Errorf("the ledger does not close: %s: %s: %d - %d %s = %d", i.Scope, i.Equation, i.Left, i.Right, i.Unit, i.Difference)
		}
	}
}

// isClosed is closes without a word.
func (l *ledger) isClosed() bool {
	for _, i := range l.Balance {
		if i.Difference != 0 {
			return false
		}
	}
	return len(l.Balance) >= 8
}

// exact sees that the ledger closes and that nothing was lost on the way.
func (l *ledger) exact(t testing.TB) {
	t.Helper()
	l.closes(t)
	if total := l.total(); total.Lost != 0 || len(total.Undecodable) != 0 {
		t.Errorf("lost %d frames, undecodable %v", total.Lost, total.Undecodable)
	}
	for _, e := range l.Exporters {
		if e.Sent != l.Records || len(e.Dropped) != 0 {
			t.Errorf("exporter %s sent %+v of %+v, dropped %+v", e.Name, e.Sent, l.Records, e.Dropped)
		}
	}
}

// total adds up all interfaces.
func (l *ledger) total() (t ledgerInterface) {
	for _, i := range l.Interfaces {
		t.Observed += i.Observed
		t.Lost += i.Lost
		t.InRing += i.InRing
		t.InFirstLevel += i.InFirstLevel
		t.Metered += i.Metered
		t.Packets += i.Packets
		t.Octets += i.Octets
		t.Observations += i.Observations
		t.OtherHost += i.OtherHost
		t.ClockJumps += i.ClockJumps
		t.Ignored = append(t.Ignored, i.Ignored...)
		t.Undecodable = append(t.Undecodable, i.Undecodable...)
	}
	return t
}

// frames returns the frames that were left alone for a reason.
func (i *ledgerInterface) frames(reason string) (n uint64) {
	for _, f := range append(i.Ignored, i.Undecodable...) {
		if f.Reason == reason {
			n += f.Frames
		}
	}
	return n
}

// term returns the term of a reason, or zeros.
func term(terms []ledgerTerm, reason string) ledgerSum {
	for _, t := range terms {
		if t.Reason == reason {
			return t.ledgerSum
		}
	}
	return ledgerSum{}
}
