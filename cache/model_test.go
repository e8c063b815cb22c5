package cache

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// model is the flow cache as one would explain it: a slice in order of use,
// searched from end to end. Nothing in it is shared with the table but the
// vocabulary.
type model struct {
	c       Config
	flows   []modelFlow // least recently used first
	now     flow.Time
	records []flow.Record
}

type modelFlow struct {
	flow.Packet
	made, ended, seen flow.Time // ended is 0 until FIN or RST
}

// up rounds to the millisecond in which the table keeps made and ended.
func up(t flow.Time) flow.Time {
	const ms = flow.Time(time.Millisecond)
	return (t + ms - 1) / ms * ms
}

func (m *model) due(f *modelFlow, at flow.Time) flow.EndReason {
	whole := at / flow.Time(time.Millisecond) * flow.Time(time.Millisecond)
	idle := f.seen.Add(m.c.Inactive)
	if f.ended != 0 {
		if at >= idle || whole >= f.ended.Add(m.c.Linger) {
			return flow.EndOfFlow
		}
		return 0
	}
	active := f.made.Add(m.c.Active)
	switch {
	case at >= idle && up(f.seen)+up(flow.Time(m.c.Inactive)) >= active:
		return flow.ActiveTimeout
	case at >= idle:
		return flow.IdleTimeout
	case whole >= active:
		return flow.ActiveTimeout
	}
	return 0
}

func (m *model) leave(i int, reason flow.EndReason) {
	f := m.flows[i]
	m.flows = slices.Delete(m.flows, i, i+1)
	m.records = append(m.records, flow.Record{Packet: f.Packet, End: reason, Expired: m.now})
}

func (m *model) observe(p flow.Packet) {
	m.now = max(m.now, p.Last)
	i := slices.IndexFunc(m.flows, func(f modelFlow) bool { return f.Key == p.Key })
	if i >= 0 {
		f := m.flows[i]
		var reason flow.EndReason
		switch {
		case f.ended != 0 && p.TCPFlags&flow.SYN != 0:
			reason = flow.EndOfFlow
		case p.First >= f.seen:
			reason = m.due(&f, p.First)
		}
		if reason != 0 {
			m.leave(i, reason)
			i = -1
		}
	}
	closes := p.TCPFlags&(flow.FIN|flow.RST) != 0
	if i >= 0 {
		f := m.flows[i]
		m.flows = slices.Delete(m.flows, i, i+1)
		f.Sum(&p)
		f.seen = m.now
		if closes && f.ended == 0 {
			f.ended = max(up(m.now), 1)
		}
		m.flows = append(m.flows, f)
		return
	}
	if len(m.flows) == m.c.Entries {
		reason := m.due(&m.flows[0], m.now)
		if reason == 0 {
			reason = flow.LackOfResources
		}
		m.leave(0, reason)
	}
	f := modelFlow{Packet: p, made: up(m.now), seen: m.now}
	if closes {
		f.ended = max(up(m.now), 1)
	}
	m.flows = append(m.flows, f)
}

func (m *model) expire(horizon flow.Time) {
	m.now = max(m.now, horizon)
	for i := 0; i < len(m.flows); {
		if reason := m.due(&m.flows[i], horizon); reason != 0 {
			m.leave(i, reason)
		} else {
			i++
		}
	}
}

// byKey orders the records that one operation made, for comparison: of several
// flows that leave at once the model does not know the order.
func byKey(a, b flow.Record) int {
	if d := int(a.SrcPort) - int(b.SrcPort); d != 0 {
		return d
	}
	return int(a.First - b.First)
}

// run lets a byte stream drive the table and the model alike.
func runModel(t *testing.T, data []byte, c Config) {
	t.Helper()
	var got []flow.Record
	c.Emit = func(r *flow.Record) { got = append(got, *r) }
	table, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{c: c}
	clock := flow.Time(time.Hour)
	horizon := clock
	for len(data) >= 4 {
		op, who, flags, step := data[0], data[1], data[2], data[3]
		data = data[4:]
		switch {
		case op < 16:
			clock += flow.Time(step) * flow.Time(time.Second) / 4
		case op < 48: // a small step, or one back: a reordered clock
			clock += (flow.Time(step) - 64) * flow.Time(time.Millisecond) / 3
			clock = max(clock, 0)
		}
		switch {
		case op == 48 && step < 16:
			c := timeouts[who%3]
			if err := table.SetTimeouts(c.Active, c.Inactive, c.Linger); err != nil {
				t.Fatal(err)
			}
			m.c.Active, m.c.Inactive, m.c.Linger = c.Active, c.Inactive, c.Linger
		case op%32 == 31:
			horizon = max(horizon, clock-flow.Time(step)*flow.Time(time.Millisecond))
			table.Expire(horizon, 1<<30)
			m.expire(horizon)
		default:
			p := testPacket(uint16(who), clock)
			p.TCPFlags = uint16(flags) & 0x17
			if op%4 == 3 { // a sum that a first-level cache made
				p.Packets, p.Octets, p.MinLength = 3, 240, 60
				p.First -= flow.Time(step) * flow.Time(time.Millisecond)
			}
			table.Observe([]flow.Packet{p})
			m.observe(p)
		}
		compareRecords(t, got, m.records)
		got, m.records = got[:0], m.records[:0]
		if n := table.Stats().Active; n != len(m.flows) {
			t.Fatalf("%d flows in the cache, %d in the model", n, len(m.flows))
		}
	}
	checkInvariants(t, table)
	order := m.flows
	table.Each(func(r *flow.Record) bool {
		if len(order) == 0 || r.Packet != order[0].Packet {
			t.Fatal("the order of use differs from the model's")
		}
		order = order[1:]
		return true
	})
	table.Flush(1 << 30)
	for len(m.flows) > 0 {
		m.leave(0, flow.ForcedEnd)
	}
	compareRecords(t, got, m.records)
	checkBalance(t, table)
}

func compareRecords(t *testing.T, got, want []flow.Record) {
	t.Helper()
	slices.SortStableFunc(got, byKey)
	slices.SortStableFunc(want, byKey)
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("%d and %d records; the first that differs:\n got %+v\nwant %+v", len(got), len(want), got[i], want[i])
			}
		}
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
}

// checkBalance fails unless every packet is in the cache or in a record.
func checkBalance(t *testing.T, table *Table) {
	t.Helper()
	s := table.Stats()
	sum := table.Content()
	for _, e := range s.Ended {
		sum.Packets += e.Packets
		sum.Octets += e.Octets
	}
	if sum.Packets != s.Observed.Packets || sum.Octets != s.Observed.Octets {
		t.Fatalf("%d packets and %d octets in the cache and in records, observed were %d and %d",
			sum.Packets, sum.Octets, s.Observed.Packets, s.Observed.Octets)
	}
	for i, f := range s.Families {
		var ended uint64
		for _, c := range f.Ended {
			ended += c.Flows
		}
		if ended+uint64(f.Active) != f.Added {
			t.Fatalf("family %d: %d ended and %d active, added were %d", i, ended, f.Active, f.Added)
		}
	}
}

func testPacket(who uint16, at flow.Time) flow.Packet {
	return flow.Packet{
		Key: flow.Key{
			Src: [16]byte{10, 0, 0, 1}, Dst: [16]byte{10, 0, 0, 2},
			SrcPort: who, DstPort: 80, Input: 1, Protocol: flow.ProtocolTCP, Version: 4,
		},
		MinTTL: 64, MaxTTL: 64, Packets: 1, Octets: 60, MinLength: 60, MaxLength: 60,
		First: at, Last: at,
	}
}

// timeouts are what a run changes to.
var timeouts = [3]Config{
	{Active: 60 * time.Second, Inactive: 15 * time.Second, Linger: time.Second},
	{Active: 3 * time.Second, Inactive: 40 * time.Second},
	{Active: 10 * time.Minute, Inactive: 1500 * time.Millisecond, Linger: time.Minute},
}

func modelConfig(entries int) Config {
	return Config{Entries: entries, Active: 60 * time.Second, Inactive: 15 * time.Second, Linger: time.Second}
}

func TestTableAgreesWithModel(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		data := make([]byte, 4*20000)
		for i := range data {
			data[i] = byte(r.Uint32())
			if i%4 == 2 && r.IntN(4) != 0 {
				data[i] = flow.ACK
			}
		}
		c := modelConfig([]int{16, 17, 64, 100, 200, 300}[seed%6])
		c.Seed = [2]uint64{r.Uint64(), r.Uint64()}
		runModel(t, data, c)
	}
}

// FuzzTable lets the fuzzer drive table and model.
func FuzzTable(f *testing.F) {
	f.Add([]byte{20, 1, 2, 3, 60, 1, 16, 9, 15, 0, 0, 80, 31, 1, 1, 1, 60, 1, 1, 1, 60, 1, 2, 1})
	f.Add([]byte("a flow cache is a table of things that happened to pass by, the oldest leave"))
	f.Fuzz(func(t *testing.T, data []byte) {
		runModel(t, data[:min(len(data), 1<<14)], modelConfig(16))
	})
}
