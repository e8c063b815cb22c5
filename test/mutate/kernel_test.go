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
	{"bpf/walk.h", "header = (u8_at(ip, 0) & 0x0f) * 4;", "header = (u8_at(ip, 0) & 0x0f) << 1;", kernel, fuzzed},
	{"bpf/walk.h", "size = (u8_at(h, 1) + 2) * 4; /* RFC 4302 §2.2 */", "size = (u8_at(h, 1) + 1) * 8;", kernel, fuzzed},
	{"bpf/walk.h", "if (u16_at(ip, 6) & be16(0x3fff))", "if (u16_at(ip, 6) & be16(0x1fff))", kernel, fuzzed},
	{"bpf/walk.h", "n = ((__u32)payload + size - 1) / size;", "n = (__u32)payload / size;", kernel, fuzzed},
	{"bpf/walk.h", "if (length > left)", "if (0)", kernel, fuzzed},
	{"bpf/walk.h", "word = be32(u32_at(ip, 0));", "word = be32(u32_at(ip, 0)) >> 1;", kernel, fuzzed},

	// The cache.
	{"bpf/sets.h", "return !((e->ports ^ p->ports) | (e->src[0] ^ p->src[0]) |", "return !((e->ports ^ p->ports) |", kernel, "TestSimpleAgrees"},
	{"bpf/sets.h", "if (!let_go(r, e)) {", "if (!let_go(r, e) && 0) {", kernel, tiny},
	{"bpf/sets.h", "if (waiting >= log_places)", "if (0)", kernel, tiny},
	{"bpf/sets.h", "if (!((waiting + 1) & (log_places / 4 - 1)))", "if (0)", kernel, "TestRingWakes"},
	{"bpf/sets.h", "place->generation = r->half != 0;", "place->generation = 0;", kernel, "TestGenerationsInOrder"},
	{"bpf/sets.h", "(at & (log_places - 1))", "(at & (log_places / 2 - 1))", kernel, tiny},
	{"bpf/sets.h", "if (p->tcp_flags & SYN && e->tcp_flags & (FIN | RST) && let_go(r, e)) {", "if (0) {", kernel, "TestReusedPortPair"},
	{"bpf/sets.h", "return age < 32 ? e->packets >> age : 0;", "return 0;", kernel, "TestLargeFlowsOutliveScans"},
	{"bpf/sets.h", "return age < 32 ? e->packets >> age : 0;", "return e->packets;", kernel, "TestLargeFlowsOutliveScans"},
	{"bpf/sets.h", "*word |= 1ULL << (index % 64);", "*word |= 1ULL << (index % 32);", kernel, flips},
	{"bpf/cacheflow.c", "ADD(r, lost_packets, p->packets);", "", kernel, tiny},
	{"bpf/cacheflow.c", "ADD(r, observed, 1);", "", kernel, tiny},
	{"bpf/cacheflow.c", "e->octets += p->octets;", "e->octets += p->packets;", kernel, "TestNestedRun"},
	{"bpf/cacheflow.c", "\tif (unlikely(state->busy))\n\t\treturn 1;", "", kernel, "TestNestedRun"},
	{"bpf/cacheflow.c", "return BPF_RB_FORCE_WAKEUP;", "return BPF_RB_NO_WAKEUP;", kernel, "TestRingWakes"},
	{"bpf/cacheflow.c", "- heartbeat + legacy > 2 * legacy", "> heartbeat + legacy", kernel, "TestHeartbeat"},

	// The drain.
	{"capture/kernel/program.go", "p.barrier.Put(uint32(0), p.fillings[g])", "error(nil)", kernel, "TestFlipWaitsForRuns"},
	{"capture/kernel/source.go", "n += s.take(record, batch[n:])", "_ = record", kernel, "TestNestedRun"},
	{"capture/kernel/source.go", "if e.Generation != s.generation {", "if false {", kernel, "TestGenerationsInOrder"},
	{"capture/kernel/log.go", "atomic.StoreUint32(&l.state.Taken, l.at)", "", kernel, tiny},
	{"capture/kernel/source.go", "s.deliver(e, &batch[n])\n\t\t\te.Packets = 0", "e.Packets = 0\n\t\t\ts.deliver(e, &batch[n])", kernel, tiny},
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
