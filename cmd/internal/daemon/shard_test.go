package daemon

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// fakeSource hands over batches, then ends.
type fakeSource struct {
	batches [][]flow.Packet
	horizon flow.Time
}

func (f *fakeSource) Read(batch []flow.Packet) (int, flow.Time, error) {
	if len(f.batches) == 0 {
		return 0, f.horizon, io.EOF
	}
	n := copy(batch, f.batches[0])
	f.batches = f.batches[1:]
	for _, p := range batch[:n] {
		f.horizon = max(f.horizon, p.Last)
	}
	return n, f.horizon, nil
}

func (f *fakeSource) AppendCounters(c []capture.Counters) []capture.Counters { return c }
func (f *fakeSource) Close() error                                           { return nil }

// nobody is who records are put to.
func nobody(exporterSet, []flow.Record) {}

func udp(src, dst netip.AddrPort, at flow.Time) flow.Packet {
	p := flow.Packet{Packets: 1, Octets: 100, MinLength: 100, MaxLength: 100, MinTTL: 64, MaxTTL: 64, First: at, Last: at}
	p.Version, p.Src = keyAddr(src.Addr())
	_, p.Dst = keyAddr(dst.Addr())
	p.SrcPort, p.DstPort, p.Protocol = src.Port(), dst.Port(), flow.ProtocolUDP
	return p
}

func testCache() cache.Config {
	return cache.Config{Entries: 1024, Active: time.Minute, Inactive: 15 * time.Second, Linger: time.Second}
}

// Our own export datagrams are not metered, and nothing else is left out: what
// the source handed over is ignored or observed, to the packet.
func TestOwnExportsAreIgnored(t *testing.T) {
	local, collector := netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.9:2055")
	local6, collector6 := netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8::9]:2055")
	other, gone := netip.MustParseAddrPort("192.0.2.1:40001"), netip.MustParseAddrPort("192.0.2.1:40002")
	batch := []flow.Packet{
		udp(local, collector, 1), udp(other, collector, 2), udp(collector, local, 3),
		udp(local6, collector6, 4), udp(local, collector, 5), udp(local, local, 6), udp(gone, collector, 7),
	}
	own := &ownExports{}
	removed := &exporter{}
	own.add(removed, gone, collector, flow.ProtocolUDP)
	own.add(&exporter{}, local, collector, flow.ProtocolUDP)
	own.add(&exporter{}, local6, collector6, flow.ProtocolUDP)
	own.add(&exporter{}, other, collector, flow.ProtocolTCP)
	own.remove(removed)
	moved := &exporter{} // from two other sockets; the last but one may still have something on its way
	own.add(moved, netip.AddrPortFrom(local.Addr(), 41000), collector, flow.ProtocolUDP)
	own.add(moved, netip.AddrPortFrom(local.Addr(), 41001), collector, flow.ProtocolUDP)
	own.add(moved, netip.AddrPortFrom(local.Addr(), 41002), collector, flow.ProtocolUDP)
	for port := range uint16(3) {
		batch = append(batch, udp(netip.AddrPortFrom(local.Addr(), 41000+port), collector, flow.Time(8+port)))
	}
	var records []flow.Record
	s, err := newShard(&fakeSource{batches: [][]flow.Packet{batch}}, testCache(), own, func(_ exporterSet, rs []flow.Record) { records = append(records, rs...) })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(records) != 5 {
		t.Errorf("%d records, want 5", len(records))
	}
	if s.ownIgnored.Packets != 5 || s.read != 10 || s.table.Stats().Observed.Packets != 5 {
		t.Errorf("handed over %d, ignored %d, observed %d; want 10, 5, 5", s.read, s.ownIgnored.Packets, s.table.Stats().Observed.Packets)
	}
}

func TestShardStopsWhenNobodyTakesItsRecords(t *testing.T) {
	full := errors.New("disk full")
	batch := []flow.Packet{udp(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), 1)}
	s, err := newShard(&fakeSource{batches: [][]flow.Packet{batch}}, testCache(), &ownExports{}, nobody)
	if err != nil {
		t.Fatal(err)
	}
	s.output = func([]flow.Record) error { return full }
	if err := s.run(context.Background()); !errors.Is(err, full) {
		t.Fatalf("got %v, want %v", err, full)
	}
}

// A question is answered by the shard's goroutine while it runs, and by the
// caller's once it has stopped.
func TestAsk(t *testing.T) {
	src := &fakeSource{}
	for i := range 1000 {
		src.batches = append(src.batches, []flow.Packet{udp(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), flow.Time(i))})
	}
	s, err := newShard(src, testCache(), &ownExports{}, nobody)
	if err != nil {
		t.Fatal(err)
	}
	go s.run(context.Background())
	for range 10 {
		var stats cache.Stats
		if err := s.ask(t.Context(), func() { stats = s.table.Stats() }); err != nil {
			t.Fatal(err)
		}
		if stats.Entries != 1024 {
			t.Fatalf("asked for the statistics, got %+v", stats)
		}
	}
	<-s.stopped
	var packets uint64
	if err := s.ask(t.Context(), func() { packets = s.table.Stats().Observed.Packets }); err != nil || packets != 1000 {
		t.Fatalf("%d packets after the end (%v), want 1000", packets, err)
	}
}

func TestClockBootIsAWholeSecond(t *testing.T) {
	c := NewClock()
	if c.Boot.Nanosecond() != 0 {
		t.Errorf("boot instant %v is not a whole second", c.Boot)
	}
	if now := c.Now(); now < 0 || now > flow.Time(2*time.Second) {
		t.Errorf("the timeline is at %v right after its start", now)
	}
	if d := time.Unix(0, c.Epoch()).Sub(c.Boot).Abs(); d > 100*time.Millisecond {
		t.Errorf("epoch and boot instant are %v apart", d)
	}
}
