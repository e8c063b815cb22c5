//go:build linux

package kernel

import (
	"io"
	"sync"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/test/netns"
	"cacheflow/test/sender"
)

// Interfaces are added, left out and given another direction while packets flow: not
// a packet of the one that stays is lost or metered twice, and what was counted on
// the others stays.
func TestSelect(t *testing.T) {
	host, meter := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: host, Name: "out"}, netns.End{NS: meter, Name: "in"})
	netns.Veth(t, netns.End{NS: host, Name: "out2"}, netns.End{NS: meter, Name: "in2"})
	meter.Run(func() { selects(t, host) })
}

func selects(t *testing.T, host *netns.NS) {
	c, err := Open(Config{Interfaces: []string{"in"}, Direction: IngressOnly, Generation: MinGeneration, Decoder: capture.NewDecoder(capture.DecoderOptions{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		batch := make([]flow.Packet, 256)
		for {
			if _, _, err := c.Source().Read(batch); err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				return
			}
		}
	})
	stays, comes := open(t, host, "out"), open(t, host, "out2")
	n := uint32(0)
	next := func(b []byte) []byte { n++; return append(b, flowFrame(t, n%100)...) }
	const frames, rounds, each = 40_000, 40, 50
	done := make(chan error)
	go func() { done <- stays.Send(next, frames, 20_000) }()
	metered := 0
	for i := range rounds {
		both := []string{"in", "in2"}
		switch i % 4 {
		case 0:
			err = c.Select(both, IngressOnly, nil)
		case 1:
			err = c.Select(both, IngressOnly, map[string]Direction{"in2": EgressOnly})
		case 2:
			err = c.Select([]string{"i*"}, Auto, map[string]Direction{"in": IngressOnly})
		case 3:
			err = c.Select([]string{"in", "lo"}, IngressOnly, nil)
		}
		if err != nil {
			t.Error(err)
		}
		if i%2 == 0 {
			metered += each
		}
		m := uint32(0)
		if err := comes.Send(func(b []byte) []byte { m++; return append(b, flowFrame(t, m)...) }, each, 0); err != nil {
			t.Error(err)
		}
		c.SetGeneration(MinGeneration * time.Duration(1+i%2))
		time.Sleep(40 * time.Millisecond)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	reading.Wait()
	account(t, c.Source())
	got := map[string]capture.Counters{}
	for _, one := range c.Source().AppendCounters(nil) {
		got[one.Name] = one
	}
	if in := got["in"]; in.Packets != frames || in.Observed != frames {
		t.Errorf("%d frames sent: %+v", frames, in)
	}
	if in2 := got["in2"]; in2.Packets != uint64(metered) {
		t.Errorf("%d frames sent while it was metered: %+v", metered, in2)
	}
	if err := c.Source().Close(); err != nil {
		t.Error(err)
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

// lo is let go of like any other interface.
func TestSelectLeavesLoopback(t *testing.T) {
	ns := netns.New(t)
	ns.Run(func() {
		c, err := Open(Config{Interfaces: []string{"lo"}, Decoder: capture.NewDecoder(capture.DecoderOptions{})})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Source().Close()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ns.MustRun("ping", "-q", "-i", "0.01", "-c", "5", "127.0.0.1")
		before := account(t, c.Source())
		if err := c.Select([]string{"eth0"}, Auto, nil); err != nil {
			t.Fatal(err)
		}
		ns.MustRun("ping", "-q", "-i", "0.01", "-c", "5", "127.0.0.1")
		if after := account(t, c.Source()); before.Observed < 10 || after.Observed != before.Observed {
			t.Errorf("observed %d, and %d once lo was left out", before.Observed, after.Observed)
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
}
