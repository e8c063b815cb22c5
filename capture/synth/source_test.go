package synth_test

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture/synth"
)

// boot is a midnight.
var boot = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// profile returns one application between two networks of both IP versions.
func profile() *synth.Profile {
	network := func(name, prefix string, index uint32) synth.Network {
		return synth.Network{Name: name, Prefix: netip.MustParsePrefix(prefix), Interface: index, Weight: 1, Hosts: 200}
	}
	outside := network("outside", "198.51.100.0/24", 2)
	outside.NextHop = netip.MustParseAddr("192.0.2.1")
	return &synth.Profile{
		Conversations: 100,
		Day:           synth.Day{Trough: 1},
		IPv6:          0.25,
		Networks: []synth.Network{
			network("inside", "10.0.0.0/24", 1), outside,
			network("inside", "2001:db8:1::/64", 1), network("outside", "2001:db8:2::/64", 2),
		},
		Applications: []synth.Application{{
			Name: "web", Weight: 1, From: "inside", To: "outside", Protocol: flow.ProtocolTCP,
			Ports: synth.PortRange{First: 443, Last: 443}, Packets: synth.Distribution{Pareto: 1.2, Least: 4, Most: 10_000},
			Answer: 1.5, Length: synth.LengthRange{Least: 40, Most: 400}, AnswerLength: synth.LengthRange{Least: 100, Most: 1500},
			Train: 2, Interval: 20 * time.Millisecond, Reset: 0.1,
		}},
	}
}

func open(tb testing.TB, c synth.Config) *synth.Source {
	tb.Helper()
	c.Boot = boot
	s, err := synth.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// read returns all packets of a source, read in batches of a size.
func read(t *testing.T, s *synth.Source, size int) (all []flow.Packet) {
	t.Helper()
	batch := make([]flow.Packet, size)
	last := flow.Time(0)
	for {
		n, horizon, err := s.Read(batch)
		if errors.Is(err, io.EOF) && n == 0 {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if horizon < last {
			t.Fatalf("the horizon goes back from %d to %d", last, horizon)
		}
		last = horizon
		all = append(all, batch[:n]...)
	}
}

func config(seed uint64, router uint32, start, length time.Duration) synth.Config {
	return synth.Config{Profile: profile(), Seed: seed, Router: router, Start: flow.Time(start), End: flow.Time(start + length)}
}

// The traffic is a function of the configuration, however it is read.
func TestSeedDecides(t *testing.T) {
	first := read(t, open(t, config(1, 1, time.Hour, 10*time.Second)), 256)
	if len(first) < 1000 {
		t.Fatalf("%d packets only", len(first))
	}
	if !slices.Equal(first, read(t, open(t, config(1, 1, time.Hour, 10*time.Second)), 7)) {
		t.Error("batches of another size have other packets")
	}
	if slices.Equal(first, read(t, open(t, config(2, 1, time.Hour, 10*time.Second)), 256)) {
		t.Error("another seed has the same packets")
	}
	if slices.Equal(first, read(t, open(t, config(1, 2, time.Hour, 10*time.Second)), 256)) {
		t.Error("another router has the same packets")
	}
}

// Packets come in the order of time, between Start and End, and the counters count them.
func TestPacketsAreInOrder(t *testing.T) {
	start, end := flow.Time(time.Hour), flow.Time(time.Hour+10*time.Second)
	s := open(t, config(1, 1, time.Hour, 10*time.Second))
	var packets, octets [3]uint64
	last := start
	for _, p := range read(t, s, 100) {
		if p.First != p.Last || p.First < last || p.First >= end {
			t.Fatalf("a packet at %d to %d behind one at %d, the end being %d", p.First, p.Last, last, end)
		}
		if p.Packets != 1 || p.Octets != uint64(p.MinLength) || p.MinLength != p.MaxLength || p.Octets < 40 || p.Octets > 1500 {
			t.Fatalf("a packet that counts %d, with %d octets between %d and %d", p.Packets, p.Octets, p.MinLength, p.MaxLength)
		}
		last = p.First
		packets[p.Input]++
		octets[p.Input] += p.Octets
	}
	for _, c := range s.AppendCounters(nil) {
		if c.Observed != packets[c.Index] || c.Metered != packets[c.Index] || c.Octets != octets[c.Index] {
			t.Errorf("interface %d counts %d packets and %d octets, not %d and %d", c.Index, c.Metered, c.Octets, packets[c.Index], octets[c.Index])
		}
	}
}

// A connection opens with SYN, which the server acknowledges, and ends by FIN or RST; the
// client is behind the first interface.
func TestConnectionsAreTCP(t *testing.T) {
	type connection struct{ flags []uint16 }
	flows := map[flow.Key]*connection{}
	c := config(3, 1, time.Hour, time.Minute)
	for _, p := range read(t, open(t, c), 256) {
		if flows[p.Key] == nil {
			flows[p.Key] = &connection{}
		}
		flows[p.Key].flags = append(flows[p.Key].flags, p.TCPFlags)
	}
	opened, closed, reset := 0, 0, 0
	for k, c := range flows {
		first, last := c.flags[0], c.flags[len(c.flags)-1]
		switch {
		case k.Input == 1 && k.DstPort == 443 && first == flow.SYN:
		case k.Input == 2 && k.SrcPort == 443 && first == flow.SYN|flow.ACK:
		default:
			t.Fatalf("a flow from interface %d, port %d to %d, that begins with flags %#x", k.Input, k.SrcPort, k.DstPort, first)
		}
		opened++
		switch last {
		case flow.FIN | flow.ACK:
			closed++
		case flow.RST:
			reset++
		}
	}
	if share := float64(closed+reset) / float64(opened); share < 0.9 { // the rest lives on
		t.Errorf("%v of %d flows were closed", share, opened)
	}
	if share := float64(reset) / float64(opened/2); share < 0.07 || share > 0.13 {
		t.Errorf("%v of the clients reset their connection, not 0.1", share)
	}
}

// Trains keep their interval, be it shorter or longer than the wheel of slots.
func TestSteadyIntervals(t *testing.T) {
	for _, interval := range []time.Duration{20 * time.Millisecond, 3 * time.Second, 10 * time.Second} {
		c := config(1, 1, time.Hour, 25*interval)
		c.Profile.Conversations = 20 / (25 * interval).Seconds()
		a := &c.Profile.Applications[0]
		a.Protocol, a.Packets, a.Steady, a.Train, a.Interval = flow.ProtocolUDP, synth.Distribution{Least: 40, Most: 40}, true, 2, interval
		a.Answer = 1
		last, gaps := map[flow.Key]flow.Time{}, 0
		for _, p := range read(t, open(t, c), 256) {
			if before, ok := last[p.Key]; ok && p.First.Sub(before) > 2*time.Millisecond { // else of one train
				if gap := p.First.Sub(before); gap < interval-3*time.Millisecond || gap > interval+3*time.Millisecond {
					t.Fatalf("%v instead of %v", gap, interval)
				}
				gaps++
			}
			last[p.Key] = p.First
		}
		if gaps < 100 {
			t.Errorf("%d intervals of %v only", gaps, interval)
		}
	}
}

// The route of a flow is that of its networks.
func TestLookup(t *testing.T) {
	s := open(t, config(1, 1, time.Hour, time.Second))
	k := flow.Key{Version: 4, Src: [16]byte{10, 0, 0, 9}, Dst: [16]byte{198, 51, 100, 7}}
	var r flow.Route
	if egress := s.Lookup(&k, 0, &r); egress != 2 || r.Status != flow.Forwarded || r.SrcPrefixLen != 24 || r.DstPrefixLen != 24 ||
		r.NextHopAddr() != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("out of %d by %s: %+v", egress, r.NextHopAddr(), r)
	}
	k.Dst = [16]byte{203, 0, 113, 1}
	r = flow.Route{}
	if egress := s.Lookup(&k, 0, &r); egress != 0 || r.Status != flow.Unroutable {
		t.Errorf("out of %d to where no network is: %+v", egress, r)
	}
}
