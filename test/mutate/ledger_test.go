package mutate

import "testing"

const (
	replay = "./cmd/internal/daemon"
	closes = "TestLedgerCloses"
)

// ledger skips one increment of the account in each stage.
var ledger = []Mutation{
	{"capture/pcapfile/source.go", "c.Observed++", "", replay, closes},
	{"capture/pcapfile/source.go", "c.SampledOut++", "", replay, closes},
	{"capture/pcapfile/source.go", "c.NotMetered[reason]++", "", replay, closes},
	{"capture/pcapfile/source.go", "c.Metered++", "", replay, closes},
	{"capture/pcapfile/source.go", "c.Packets += p.Packets", "", replay, closes},
	{"capture/pcapfile/source.go", "c.Octets += p.Octets", "", replay, closes},
	{"cmd/internal/daemon/own.go", "ignored.Packets += p.Packets", "", replay, "TestOwnExportsAreIgnored"},
	{"cmd/internal/daemon/shard.go", "addSum(&s.delivered, sum)", "", replay, closes},
	{"cmd/internal/daemon/shard.go", "addSum(s.handed[e], sum)", "_ = e", replay, closes},
	{"cmd/internal/daemon/shard.go", "e.addHanded(*sum)", "_ = sum", replay, "TestSwapIsExact"},
	{"cmd/internal/daemon/shard.go", "s.handed[e] = new(cache.Sum)", "s.handed[e] = &s.delivered", replay, "TestSwapIsExact"},
	{"cmd/internal/daemon/shard.go", "addSum(&s.given, sum)", "", replay, "TestReplayShares"},
	{"cmd/internal/daemon/shard.go", "addSum(&s.passed, sum)", "", replay, "TestReplayShares"},
	{"cmd/internal/daemon/share.go", "if len(part) > 0", "if len(part) > 0 && member != 1", replay, "TestReplayShares"},
	{"cmd/internal/daemon/share.go", "hand(member, part, sumOf(part))", "hand(member, rs, sumOf(part))", replay, "TestReplayShares"},
	{"cmd/internal/daemon/group.go", "e.addHanded(sum)", "_ = e", replay, "TestFailover"},
	{"cmd/internal/daemon/group.go", "addSum(&m.takenBack, sumOf(rs))", "", replay, "TestFailover"},
	{"cmd/internal/daemon/group.go", "addSum(&m.passed, sum)", "", replay, "TestFailover"},
	{"cmd/internal/daemon/group.go", "e.Put(part)", "", replay, "TestFailover"},
	{"export/up.go", "e.stats.Queued.sub(waited)", "", "./export", "TestReclaimFromStream"},
	{"export/up.go", "e.stats.Building.sub(taken)", "", "./export", "TestReclaimFromStream"},
	{"export/up.go", "e.stats.Dropped[Moved].add(taken)", "", "./export", "TestReclaimFromStream"},
	{"export/up.go", "e.rest = e.rest[begun:]", "", "./export", "TestReclaimFromStream"},
	{"cmd/internal/daemon/reload.go", "sum.Add(&part)", "_ = part", replay, "TestReloadsLoseNoRecord"},
	{"cache/count.go", "t.stats.Observed.Flows++", "", replay, closes},
	{"cache/count.go", "t.stats.Observed.Packets += p.Packets", "", replay, closes},
	{"cache/count.go", "t.stats.Observed.Octets += p.Octets", "", replay, closes},
	{"cache/count.go", "t.stats.Ended[r.End].add(&sum)", "", replay, closes},
	{"cache/count.go", "f.Added++", "", replay, closes},
	{"cache/observe.go", "s.Sum(p)", "", replay, closes},
	{"export/exporter.go", "e.stats.Queued.add(c)", "", replay, closes},
	{"export/sender.go", "e.stats.Building.sub(m.Flows)", "", replay, closes},
	{"export/sender.go", "e.stats.Sent.add(m.Flows)", "", replay, closes},
}

// TestLedgerNoticesEachSkippedIncrement is the account's own test: with any
// increment skipped it must not close.
func TestLedgerNoticesEachSkippedIncrement(t *testing.T) {
	root := onDemand(t)
	for _, m := range ledger {
		t.Run(m.File+": "+m.Old, func(t *testing.T) { noticed(t, root, m) })
	}
}
