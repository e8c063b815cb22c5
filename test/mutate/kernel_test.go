package mutate

import "testing"

const (
	kernel = "./capture/kernel"
	flips  = "TestLedgerUnderFlips"
	tiny   = "TestLedgerWithTinyRing"
	fuzzed = "TestFuzzedCorpus"
)

// firstLevel breaks the first-level cache in the kernel and its drain, each in a way
// that would lose packets, count them twice, or mistake one flow for another.
var firstLevel = []Mutation{
	// The walk over the headers.
	{"bpf/walk.h", "header = (u8_at(ip, 0) & 0x0f) * 4;", "header = (u8_at(ip, 0) & 0x0f) << 3;", kernel, fuzzed},
	{"bpf/walk.h", "size = (u8_at(h, 1) + 2) * 4; /* RFC 4302 §2.2 */", "size = (u8_at(h, 1) + 1) * 8;", kernel, fuzzed},
	{"bpf/walk.h", "if (u16_at(ip, 6) & be16(0x3fff))", "if (u16_at(ip, 6) & be16(0x1fff))", kernel, fuzzed},
	{"bpf/walk.h", "n = ((__u32)payload + size - 1) / size;", "n = (__u32)payload / size;", kernel, fuzzed},
	{"bpf/walk.h", "if (length > left)", "if (0)", kernel, fuzzed},
	{"bpf/walk.h", "word = be32(u32_at(ip, 0));", "word = be32(u32_at(ip, 0)) >> 1;", kernel, fuzzed},

	// The cache.
	{"bpf/sets.h", "return !((e->ports ^ p->ports) | (e->src ^ p->src) |", "return !((e->ports ^ p->ports) |", kernel, "TestTwins"},
	{"bpf/sets.h", "if (d && !is_same_rest(", "if (0 && !is_same_rest(", kernel, "TestTwins"},
	{"bpf/sets.h", "i++, lanes &= lanes - 1) {", "i++, lanes = 0) {", kernel, "TestTwins"},
	{"bpf/sets.h", "*word = (*word & ~(0xffffULL << 16 * way)) | tag << 16 * way;", "*word |= tag << 16 * way;", kernel, "TestPlaceIsTaken"},
	{"bpf/sets.h", "d->way[way].merged += p->details.merged;", "", kernel, "TestSuperPacketsJoin"},
	{"bpf/sets.h", "if (!free && !let_go(", "if (!free && 0 && !let_go(", kernel, tiny},
	{"bpf/sets.h", "if (!let_go(r, &p->entry, &p->details)) {", "if (!let_go(r, &p->entry, &p->details) && 0) {", kernel, tiny},
	{"bpf/sets.h", "if (waiting >= log_places)", "if (0)", kernel, tiny},
	{"bpf/sets.h", "if (!((waiting + 1) & (log_places / 4 - 1)))", "if (0)", kernel, "TestRingWakes"},
	{"bpf/sets.h", "place->details.generation = r->half != 0;", "place->details.generation = 0;", kernel, "TestGenerationsInOrder"},
	{"bpf/sets.h", "(at & (log_places - 1))", "(at & (log_places / 2 - 1))", kernel, tiny},
	{"bpf/sets.h", "if (begins_anew(&s->way[way], p) && let_go(r, &s->way[way], &d->way[way])) {", "if (0) {", kernel, "TestReusedPortPair"},
	{"bpf/sets.h", "return age < 32 ? e->packets >> age : 0;", "return 0;", kernel, "TestLargeFlowsOutliveScans"},
	{"bpf/sets.h", "return age < 32 ? e->packets >> age : 0;", "return e->packets;", kernel, "TestLargeFlowsOutliveScans"},
	{"bpf/sets.h", "at->tag = h >> 48 | 0x8000;", "at->tag = h >> 48 | 1;", kernel, "TestFreedWaysAreFree"},
	{"bpf/sets.h", "r->state->logged - position - 1 < log_open", "1", kernel, "TestWhatMayBeReadIsLeftAlone"},
	{"bpf/sets.h", "place->details.generation != (r->half != 0)", "0", kernel, "TestWhatMayBeReadIsLeftAlone"},
	{"bpf/sets.h", "else if (unlikely(r->jiffies - e->first <= 1))", "else if (0)", kernel, "TestPassingThenAdmitted"},
	{"bpf/sets.h", "p->details.before = passed->last[mask(at->bucket, 255)];", "", kernel, "TestPassingFlowsAreNoted"},
	{"bpf/cacheflow.c", "ADD(r, lost_packets, p->entry.packets);", "", kernel, tiny},
	{"bpf/cacheflow.c", "ADD(r, observed, 1);", "", kernel, tiny},
	{"bpf/cacheflow.c", "ADD(r, other_host, 1);", "", kernel, "TestTwins"},
	{"bpf/cacheflow.c", "e->octets += p->octets;", "e->octets += p->packets;", kernel, "TestNestedRun"},
	{"bpf/cacheflow.c", "\tif (unlikely(state->busy))\n\t\treturn 1;", "", kernel, "TestNestedRun"},
	{"bpf/cacheflow.c", "return BPF_RB_FORCE_WAKEUP;", "return BPF_RB_NO_WAKEUP;", kernel, "TestRingWakes"},
	{"bpf/cacheflow.c", "- heartbeat + legacy > 2 * legacy", "> heartbeat + legacy", kernel, "TestHeartbeat"},

	// The drain.
	{"capture/kernel/program.go", "p.barrier.Put(uint32(0), p.fillings[g])", "error(nil)", kernel, "TestFlipWaitsForRuns"},
	{"capture/kernel/source.go", "n += s.take(record, batch[n:])", "_ = record", kernel, "TestNestedRun"},
	{"capture/kernel/source.go", "if f.Details.Generation != s.generation {", "if false {", kernel, "TestGenerationsInOrder"},
	{"capture/kernel/log.go", "atomic.StoreUint32(&l.state.Taken, l.at)", "", kernel, tiny},
	{"capture/kernel/log.go", "return end - l.open", "return end", kernel, "TestPassingFlowsAreNoted"},
	{"capture/kernel/source.go", "p.tags[at] = 0", "", kernel, tiny},
	{"capture/kernel/source.go", "|| record != nil && record.Generation != s.generation", "", kernel, "TestGenerationsInOrder"},
	{"capture/kernel/source.go", "cmp.Compare(a.Time, b.Time) })\n\ts.decodable", "0 })\n\ts.decodable", kernel, "TestFragmentTrains"},
}

// TestFirstLevelNoticesEachMutation is what `make mutate` runs, and CI.
func TestFirstLevelNoticesEachMutation(t *testing.T) {
	root := onDemand(t)
	for _, m := range firstLevel {
		t.Run(m.File+": "+m.Old, func(t *testing.T) { noticed(t, root, m) })
	}
}
