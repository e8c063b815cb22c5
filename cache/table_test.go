package cache

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"cacheflow/cache/flow"
)

func newTable(t testing.TB, c Config) (*Table, *[]flow.Record) {
	t.Helper()
	records := new([]flow.Record)
	if c.Emit == nil {
		c.Emit = func(r *flow.Record) { *records = append(*records, *r) }
	}
	table, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return table, records
}

const second = flow.Time(time.Second)

// A flow with one packet every 14.8 s stays one flow under inactive 15 s, and
// is cut by the active timeout alone.
func TestIdleFlowJustBelowTheTimeout(t *testing.T) {
	c := modelConfig(64)
	c.Active = 30 * time.Minute
	table, records := newTable(t, c)
	at := 3600 * second
	for range 13 {
		table.Observe([]flow.Packet{testPacket(1, at)})
		table.Expire(at+148*second/10, 100)
		at += 148 * second / 10
	}
	if len(*records) != 0 {
		t.Fatalf("%d records before the flow was idle for 15 s", len(*records))
	}
	table.Expire(at+second, 100)
	if len(*records) != 1 || (*records)[0].Packets != 13 || (*records)[0].End != flow.IdleTimeout {
		t.Fatalf("want one idle record of 13 packets, got %+v", *records)
	}
}

// Connections that reuse one port pair at once give one record each: the SYN
// that follows a FIN or RST ends the flow before it.
func TestReusedPortPair(t *testing.T) {
	table, records := newTable(t, modelConfig(64))
	at := 3600 * second
	for range 1000 {
		for _, flags := range []uint16{flow.SYN, flow.SYN, flow.ACK, flow.FIN | flow.ACK, flow.ACK} {
			p := testPacket(1, at)
			p.TCPFlags = flags
			table.Observe([]flow.Packet{p})
			at += 20000 // ns: 1000 connections within 100 ms
		}
	}
	table.Expire(at+2*second, 10)
	if len(*records) != 1000 {
		t.Fatalf("%d records, want 1000", len(*records))
	}
	for _, r := range *records {
		if r.End != flow.EndOfFlow || r.Packets != 5 {
			t.Fatalf("want end of flow with 5 packets, got %v with %d", r.End, r.Packets)
		}
	}
}

func TestPacketsInLingerJoinAndDoNotProlong(t *testing.T) {
	table, records := newTable(t, modelConfig(64))
	at := 3600 * second
	fin := testPacket(1, at)
	fin.TCPFlags = flow.FIN | flow.ACK
	table.Observe([]flow.Packet{fin})
	late := testPacket(1, at+second*9/10)
	late.TCPFlags = flow.ACK
	table.Observe([]flow.Packet{late})
	table.Expire(at+second-1, 10)
	if len(*records) != 0 {
		t.Fatal("the flow left before its linger was over")
	}
	table.Expire(at+second, 10)
	if len(*records) != 1 || (*records)[0].Packets != 2 || (*records)[0].End != flow.EndOfFlow {
		t.Fatalf("want one record of 2 packets at the FIN's linger, got %+v", *records)
	}
}

// What leaves, and in which order, must not depend on the seed of the hash.
func TestSeedDecidesNothing(t *testing.T) {
	run := func(seed uint64) []flow.Record {
		c := modelConfig(256)
		c.Seed = [2]uint64{seed, ^seed}
		table, records := newTable(t, c)
		r := rand.New(rand.NewPCG(7, 7))
		at := 3600 * second
		for range 50000 {
			at += flow.Time(r.IntN(30)) * flow.Time(time.Millisecond)
			if r.IntN(1000) == 0 {
				at += 20 * second
			}
			p := testPacket(uint16(r.IntN(20)), at)
			if r.IntN(2) == 0 {
				p = testPacket(uint16(r.IntN(1000)), at)
			}
			p.TCPFlags = []uint16{flow.ACK, flow.ACK, flow.SYN, flow.FIN}[max(r.IntN(40)-36, 0)]
			if p.SrcPort < 10 {
				p.TCPFlags = flow.ACK
			}
			table.Observe([]flow.Packet{p})
			if r.IntN(100) == 0 {
				table.Expire(at, 64)
			}
		}
		table.Flush(1 << 20)
		return *records
	}
	a, b := run(1), run(2)
	if !slices.Equal(a, b) {
		t.Fatal("two seeds gave different records")
	}
	seen := map[flow.EndReason]bool{}
	for _, r := range a {
		seen[r.End] = true
	}
	if len(seen) < 5 {
		t.Fatalf("the run is too tame to prove anything: only %v", seen)
	}
}

type fixedRouter struct{ asked int }

func (f *fixedRouter) Lookup(_ *flow.Key, _ uint32, r *flow.Route) uint32 {
	f.asked++
	r.DstPrefixLen, r.Status = 24, flow.Forwarded
	r.NextHop, r.NextHopVersion = [16]byte{192, 0, 2, 1}, 4
	return 7
}

func TestRouteIsAskedOncePerFlow(t *testing.T) {
	router := &fixedRouter{}
	c := modelConfig(64)
	c.Router = router
	table, records := newTable(t, c)
	p := testPacket(1, 3600*second)
	seenLeaving := testPacket(2, 3600*second)
	seenLeaving.Direction, seenLeaving.Egress = flow.Egress, 9
	seenThere := testPacket(3, 3600*second)
	seenThere.Egress = 7
	for range 10 {
		table.Observe([]flow.Packet{p, seenLeaving, seenThere})
	}
	table.Flush(10)
	if router.asked != 3 {
		t.Fatalf("the router was asked %d times for three flows", router.asked)
	}
	for _, i := range []int{0, 2} {
		if r := (*records)[i]; r.Egress != 7 || r.DstPrefixLen != 24 || r.Status != flow.Forwarded || r.NextHopAddr().String() != "192.0.2.1" {
			t.Fatalf("the route is not in the record: %+v", r)
		}
	}
	if r := (*records)[1]; r.Egress != 9 || r.NextHopVersion != 0 {
		t.Fatalf("the observed egress interface gave way to the looked-up one, or got its next hop: %+v", r)
	}
}

// Expiry is bounded by its limit, and goes on at the next call.
func TestExpireIsBounded(t *testing.T) {
	table, records := newTable(t, modelConfig(1000))
	for i := range 1000 {
		table.Observe([]flow.Packet{testPacket(uint16(i), 3600*second)})
	}
	for want := 100; want <= 1000; want += 100 {
		if n := table.Expire(4000*second, 100); n != 100 || len(*records) != want {
			t.Fatalf("Expire ended %d flows, %d in all; want 100, %d", n, len(*records), want)
		}
	}
}

// A clock that leaps by years leaves no flow behind.
func TestClockLeap(t *testing.T) {
	table, records := newTable(t, modelConfig(64))
	table.Observe([]flow.Packet{testPacket(1, 3600*second)})
	leap := 12 * 365 * 86400 * second
	table.Observe([]flow.Packet{testPacket(2, leap)})
	table.Expire(leap, 10)
	if len(*records) != 1 || (*records)[0].SrcPort != 1 {
		t.Fatalf("want the flow from before the leap to be idle, got %+v", *records)
	}
	old := testPacket(2, 3600*second) // and back: it joins
	table.Observe([]flow.Packet{old})
	if len(*records) != 1 || table.Stats().Active != 1 {
		t.Fatal("a stamp that goes back must join its flow")
	}
}

func TestNewRefuses(t *testing.T) {
	good := modelConfig(64)
	good.Emit = func(*flow.Record) {}
	for name, change := range map[string]func(*Config){
		"few":      func(c *Config) { c.Entries = MinEntries - 1 },
		"many":     func(c *Config) { c.Entries = MaxEntries + 1 },
		"active":   func(c *Config) { c.Active = 0 },
		"inactive": func(c *Config) { c.Inactive = MaxTimeout + 1 },
		"linger":   func(c *Config) { c.Linger = -1 },
		"emit":     func(c *Config) { c.Emit = nil },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

// An entry costs at most 192 octets, all in, and the arrays hold no pointer.
func TestMemoryOfAnEntry(t *testing.T) {
	c := modelConfig(65536)
	if per := c.Memory() / 65536; per > 192 {
		t.Errorf("%d octets an entry, want at most 192", per)
	}
	// So that each lies in as few cache lines as it can.
	if n := unsafe.Sizeof(flow.Packet{}); n != 128 {
		t.Errorf("a flow's sums have %d octets, want 128", n)
	}
	if n := unsafe.Sizeof(node{}); n != 32 {
		t.Errorf("a node has %d octets, want 32", n)
	}
}

func TestNothingAllocates(t *testing.T) {
	c := modelConfig(1024)
	c.Emit = func(*flow.Record) {}
	table, _ := newTable(t, c)
	ps := make([]flow.Packet, 64)
	at, who := 3600*second, uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		for i := range ps {
			who++
			at += second / 1000
			ps[i] = testPacket(who, at)
		}
		table.Observe(ps)
		table.Expire(at, 64)
	}); n != 0 {
		t.Fatalf("%v allocations in 64 packets", n)
	}
}

func TestSizeBuckets(t *testing.T) {
	for length := uint32(0); length < 10000; length++ {
		want := len(SizeLimits) - 1
		for i, limit := range SizeLimits {
			if length <= limit {
				want = i
				break
			}
		}
		if got := sizeBucket(length); got != want {
			t.Fatalf("length %d is in bucket %d, want %d", length, got, want)
		}
	}
}
