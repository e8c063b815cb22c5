//go:build linux

package daemon

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// awaitQueued waits until nobody answers an exporter and so many records wait, and it has sent
// those that were in a message, which takes a second.
func awaitQueued(t *testing.T, e *exporter, n uint64) export.Stats {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); e.Up() || e.Stats().Queued.Records < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: up %t, and %d records wait", e, e.Up(), e.Stats().Queued.Records)
		}
	}
	time.Sleep(1200 * time.Millisecond)
	return e.Stats()
}

// onlyAt sees that a collector has every record of a ledger once, but for some.
func onlyAt(t *testing.T, c *stream, l *ledger.Ledger, but uint64) {
	t.Helper()
	got := decode(t, c.received())
	for rec, n := range got {
		if n != 1 {
			t.Fatalf("%v is there %d times", rec, n)
		}
	}
	if uint64(len(got))+but != l.Records.Count {
		t.Errorf("%d records of %d, without %d that were lost before", len(got), l.Records.Count, but)
	}
}

// While nobody is up, a reload changes how long a group waits to return, and nothing else of
// it: no record is sent in vain between the group and its successor, and who comes gets all.
func TestReloadWhileNobodyIsUp(t *testing.T) {
	t.Parallel()
	second := &stream{t: t, address: "127.33.7.2:4739"}
	configs := []export.Config{
		ipfix("first", "127.33.7.1:4739", export.UDP), ipfix("second", second.address, export.TCP),
		ipfix("c", "127.33.7.5:4739", export.TCP), ipfix("d", sink(t), export.UDP),
	}
	for i := range configs {
		configs[i].QueueRecords = 1 << 18
	}
	groups := func(back time.Duration) []config.Group {
		return []config.Group{failover("g", back, "first", "second"), failover("other", back, "c", "d")}
	}
	r := runGroups(t, groups(time.Second), configs...)
	r.moved.mu.Lock() // so the other group, which moves what waits for c, takes long to stop
	first := r.exporters[0]
	before := awaitQueued(t, first, 500)
	lost := before.Sent.Records + before.Dropped[export.Refused].Records // until it was refused
	if lost == 0 {
		t.Error("the first was never refused")
	}
	next := &Live{Cache: testCache(), Exporters: configs, Groups: groups(time.Minute)}
	next.Cache.Inactive = time.Millisecond
	applied := make(chan error)
	go func() { applied <- r.apply(next) }()
	time.Sleep(300 * time.Millisecond)
	r.moved.mu.Unlock()
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	after := first.Stats()
	if r.exporters[0] != first || after.Sent != before.Sent || after.NotSent() != before.NotSent() || after.Building != before.Building {
		t.Errorf("sent in vain: %+v\nbefore: %+v", after, before)
	}
	second.start()
	r.await("the second gets records", func(_, gets map[string]bool) bool { return gets["second"] })
	l := r.stop()
	second.stop()
	onlyAt(t, second, l, lost)
}

// While nobody is up, a reload replaces every exporter of a group: what waited for those that
// leave waits for their successors, and who comes gets all.
func TestReloadReplacesWhoIsDown(t *testing.T) {
	t.Parallel()
	second := &stream{t: t, address: "127.33.7.4:4739"}
	configs := func(dscp uint8) []export.Config {
		cs := []export.Config{ipfix("first", "127.33.7.3:4739", export.TCP), ipfix("second", second.address, export.TCP)}
		for i := range cs {
			cs[i].DSCP, cs[i].QueueRecords = dscp, 1<<18
		}
		return cs
	}
	groups := []config.Group{failover("g", time.Second, "first", "second")}
	r := runGroups(t, groups, configs(0)...)
	old := r.exporters[0]
	awaitQueued(t, old, 500)
	next := &Live{Cache: testCache(), Exporters: configs(8), Groups: groups}
	next.Cache.Inactive = time.Millisecond
	if err := r.apply(next); err != nil {
		t.Fatal(err)
	}
	if s := old.Stats(); s.Queued.Records != 0 || s.Dropped[export.Moved].Records != s.Made.Records {
		t.Errorf("of %+v moved %+v", s.Made, s.Dropped[export.Moved])
	}
	second.start()
	r.await("the second gets records", func(_, gets map[string]bool) bool { return gets["second"] })
	l := r.stop()
	second.stop()
	onlyAt(t, second, l, 0)
}

// Three share, of which one is down and one is full: what waits for the first goes to the
// third, at once, and nothing to the one that would have to drop it.
func TestFullMemberHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	const queue = 200
	full, good := judge.StartRecorder(t, netip.MustParseAddrPort("127.33.8.2:4739")), judge.StartRecorder(t, netip.MustParseAddrPort("127.33.8.3:4739"))
	configs := []export.Config{
		ipfix("down", "127.33.8.1:4739", export.TCP), ipfix("full", full.Address.String(), export.UDP), ipfix("good", good.Address.String(), export.UDP),
	}
	configs[1].Rate, configs[1].QueueRecords = 1, queue // some 20 records a second
	configs[1].Options = export.OptionIntervals{
		SamplerTable: export.Off, InterfaceTable: export.Off, ExporterStats: export.Off, Reliability: export.Off, FlowKeys: export.Off,
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{session: reloadable(t, ctx, 1, configs...), t: t, cancel: cancel}
	r.losses.meter, r.Drain = &r.Meter, time.Second
	gs, err := r.nextGroups([]config.Group{share("g", "down", "good", "full")}, r.exporters)
	if err != nil {
		t.Fatal(err)
	}
	sh := r.session.shards[0]
	sh.swap(newOutlets(r.exporters, gs))
	r.exporters.start(&r.session.running)
	stats := func() (down, full, good export.Stats) {
		return r.exporters[0].Stats(), r.exporters[1].Stats(), r.exporters[2].Stats()
	}
	// The full one takes a batch out of its queue to send it, and then no other for a while.
	for batch := make([]flow.Packet, readBatch); r.exporters[1].Room() > 0 || r.exporters[1].Stats().Building.Records == 0; time.Sleep(5 * time.Millisecond) {
		n, horizon, _ := sh.source.Read(batch)
		sh.step(batch[:n], horizon)
	}
	waiting, before, own := stats()
	if waiting.Queued.Records < 100 {
		t.Fatalf("only %d records wait for who is down", waiting.Queued.Records)
	}
	r.regroup(gs)
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		down, _, _ := stats()
		if down.Queued.Records == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records still wait for who is down", down.Queued.Records, waiting.Queued.Records)
		}
	}
	_, after, got := stats()
	if after.Made != before.Made || got.Made.Records-own.Made.Records != waiting.Queued.Records {
		t.Errorf("of %d records %d went to who is full, %d to who has room", waiting.Queued.Records,
			after.Made.Records-before.Made.Records, got.Made.Records-own.Made.Records)
	}
	r.shards.Go(func() { _ = sh.run(context.Background()) })
	l := r.stop()
	good.Settle(100 * time.Millisecond)
	if at := decode(t, good.Datagrams()); uint64(len(at)) != l.Exporters[2].Handed.Count {
		t.Errorf("%d records are at who has room, of %d", len(at), l.Exporters[2].Handed.Count)
	}
}
