//go:build linux

package sender_test

import (
	"testing"
	"time"

	"cacheflow/test/netns"
	"cacheflow/test/sender"
	"cacheflow/test/traffic"
)

// TestTruth compares what a Sender says with the counters of the interface at
// the other end.
func TestTruth(t *testing.T) {
	const n = 300_000
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "out"}, netns.End{NS: b, Name: "in"})
	g, err := traffic.New(traffic.Spec{Flows: 10_000, Zipf: 1.1, IPv6: 20, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, a, "out")
	packets, octets := received(t, b, "in")
	begun := time.Now()
	if err := s.Send(g.Next, n, 0); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f packets a second", n/time.Since(begun).Seconds())
	total := g.Truth().Total()
	if total.Packets != n {
		t.Errorf("the generator made %d packets of %d", total.Packets, n)
	}
	nowPackets, nowOctets := received(t, b, "in")
	if got := nowPackets - packets; got != n {
		t.Errorf("%d packets arrived of %d", got, n)
	}
	if got, want := nowOctets-octets, total.Octets+14*n; got != want {
		t.Errorf("%d octets arrived of %d", got, want)
	}
}

func TestRate(t *testing.T) {
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "out"}, netns.End{NS: b, Name: "in"})
	g, err := traffic.New(traffic.Spec{Size: 60})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, a, "out")
	begun := time.Now()
	if err := s.Send(g.Next, 10_000, 20_000); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 495*time.Millisecond || took > 5*time.Second {
		t.Errorf("10 000 packets at 20 000 a second took %v", took)
	}
}

func open(t *testing.T, ns *netns.NS, name string) (s *sender.Sender) {
	t.Helper()
	var err error
	ns.Run(func() { s, err = sender.Open(name) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// received returns what has arrived at an interface.
func received(t *testing.T, ns *netns.NS, name string) (packets, octets uint64) {
	t.Helper()
	link, err := ns.Links().LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	c := link.Attrs().Statistics
	return c.RxPackets, c.RxBytes
}
