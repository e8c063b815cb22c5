//go:build linux

package kernel

import (
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/test/netns"
	"cacheflow/test/sender"
)

// Hooks come and go while packets flow, by tcx and by clsact: what the program saw is
// handed over or counted as lost, to the last packet.
func TestAttachUnderLoad(t *testing.T) {
	for name, hook := range map[string]Hook{"tcx": AnyHook, "clsact": Clsact} {
		t.Run(name, func(t *testing.T) {
			host, meter := netns.New(t), netns.New(t)
			netns.Veth(t, netns.End{NS: host, Name: "out"}, netns.End{NS: meter, Name: "in"})
			meter.Run(func() { attachUnderLoad(t, host, hook) })
		})
	}
}

func attachUnderLoad(t *testing.T, host *netns.NS, hook Hook) {
	c, err := Open(Config{Interfaces: []string{"in"}, Hook: hook, Generation: MinGeneration, Decoder: capture.NewDecoder(capture.DecoderOptions{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var all capture.Sum
	var counters []capture.Counters
	var reading sync.WaitGroup
	reading.Go(func() {
		batch := make([]flow.Packet, 256)
		for {
			n, _, err := c.Source().Read(batch)
			all.Add(total(batch[:n]))
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Error(err)
				break
			}
		}
		counters = c.Source().AppendCounters(nil)
	})
	sent := flood(t, host)
	for range 40 {
		if err := toggle(c); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	frames := sent()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	reading.Wait()
	account(t, c.Source())
	var sum capture.Counters
	for _, one := range counters {
		sum.Add(&one)
	}
	if sum.Packets != all.Packets || sum.Octets != all.Octets || sum.Observed == 0 || sum.Observed > frames+100 {
		t.Errorf("%d frames sent, handed over %+v: %+v", frames, all, sum)
	}
	t.Logf("%d frames sent, %d observed, %d lost", frames, sum.Observed, sum.Lost)
	if err := c.Source().Close(); err != nil {
		t.Error(err)
	}
}

// A neighbour at the same hooks accepts every frame, so that nobody behind it is asked:
// the program counts all the same, and leaves the neighbour alone.
func TestNeighbours(t *testing.T) {
	spec := nothing.Copy()
	spec.Instructions[0] = asm.Mov.Imm(asm.R0, 0) // TCX_PASS, TC_ACT_OK
	accept, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer accept.Close()
	for name, c := range map[string]struct {
		hook      Hook
		neighbour func(t *testing.T, index uint32, accept *ebpf.Program)
	}{
		"tcx": {AnyHook, func(t *testing.T, index uint32, accept *ebpf.Program) {
			for _, egress := range []bool{false, true} {
				l, err := tcx{}.attach(index, accept, egress)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
			}
		}},
		"clsact": {Clsact, func(t *testing.T, index uint32, accept *ebpf.Program) {
			if _, err := addQdisc(index); err != nil {
				t.Fatal(err)
			}
			for priority, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
				f := &netlink.BpfFilter{Fd: accept.FD(), Name: "neighbour", DirectAction: true, FilterAttrs: netlink.FilterAttrs{
					LinkIndex: int(index), Parent: parent, Protocol: unix.ETH_P_ALL, Priority: uint16(firstPriority + priority),
				}}
				if err := netlink.FilterAdd(f); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			host, meter := netns.New(t), netns.New(t)
			netns.Veth(t, netns.End{NS: host, Name: "out", Addrs: []string{"10.8.0.1/24"}}, netns.End{NS: meter, Name: "in", Addrs: []string{"10.8.0.2/24"}})
			meter.Run(func() {
				c.neighbour(t, uint32(meter.Index("in")), accept)
				k, err := Open(Config{Interfaces: []string{"in"}, Hook: c.hook, Decoder: capture.NewDecoder(capture.DecoderOptions{})})
				if err != nil {
					t.Fatal(err)
				}
				defer k.Source().Close()
				if err := k.Start(); err != nil {
					t.Fatal(err)
				}
				host.MustRun("ping", "-q", "-i", "0.01", "-c", "10", "10.8.0.2")
				if err := k.Stop(); err != nil {
					t.Error(err)
				}
				pings := map[flow.Direction]uint64{}
				batch := make([]flow.Packet, 64)
				for {
					n, _, err := k.Source().Read(batch)
					for _, p := range batch[:n] {
						if p.Protocol == flow.ProtocolICMP {
							pings[p.Direction] += p.Packets
						}
					}
					if err != nil {
						break
					}
				}
				if pings[flow.Ingress] != 10 || pings[flow.Egress] != 10 {
					t.Errorf("counted %v", pings)
				}
			})
			if c.hook == Clsact {
				for _, side := range []string{"ingress", "egress"} {
					if out := meter.MustRun("tc", "filter", "show", "dev", "in", side); !strings.Contains(out, "neighbour") || strings.Contains(out, filterName) {
						t.Errorf("filters afterwards: %s", out)
					}
				}
			}
		})
	}
}

// toggle has the capture let go of all interfaces, and take them again.
func toggle(c *Capture) error {
	c.mu.Lock()
	err := c.apply(nil, nil)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.look()
}

// flood sends frames of 1000 flows until the returned function is called, which says
// how many they were.
func flood(t *testing.T, host *netns.NS) (stop func() uint64) {
	var s *sender.Sender
	var err error
	host.Run(func() { s, err = sender.Open("out") })
	if err != nil {
		t.Fatal(err)
	}
	n := uint32(0)
	next := func(b []byte) []byte {
		n++
		return append(b[:0], flowFrame(t, n%1000)...)
	}
	done, result := make(chan struct{}), make(chan uint64)
	go func() {
		defer s.Close()
		frames := uint64(0)
		for {
			select {
			case <-done:
				result <- frames
				return
			default:
				if err := s.Send(next, 1000, 0); err != nil {
					t.Error(err)
				}
				frames += 1000
			}
		}
	}()
	return func() uint64 { close(done); return <-result }
}

// An interface that is gone keeps its counters, and its place is given to another.
func TestPlaceIsFreed(t *testing.T) {
	ns := netns.New(t)
	ns.Run(func() {
		c, err := Open(Config{Interfaces: []string{"d*"}, Generation: MinGeneration, Decoder: capture.NewDecoder(capture.DecoderOptions{})})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Source().Close()
		batch := make([]flow.Packet, 256)
		read := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				if _, _, err := c.Source().Read(batch); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			ns.MustRun("ip", "link", "add", "d0", "type", "veth", "peer", "name", "e0")
			ns.MustRun("ip", "link", "set", "d0", "up")
			ns.MustRun("ip", "link", "set", "e0", "up")
			if err := c.look(); err != nil {
				t.Fatal(err)
			}
			if d := place(c, "d0"); d != 0 {
				t.Errorf("the interface that came as number %d has place %d", i, d)
			}
			read(100 * time.Millisecond)
			ns.MustRun("ip", "link", "del", "d0")
			if err := c.look(); err != nil {
				t.Fatal(err)
			}
			read(300 * time.Millisecond)
		}
		if n := len(c.Source().AppendCounters(nil)); n != 5 {
			t.Errorf("counters of %d interfaces", n)
		}
		account(t, c.Source())
	})
}

func place(c *Capture, name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.devices {
		if d.Name == name {
			return int(d.place)
		}
	}
	return -1
}
