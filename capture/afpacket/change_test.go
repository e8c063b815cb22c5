//go:build linux

package afpacket

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/test/netns"
)

var probe = ether(unix.ETH_P_IP, ip4("10.0.0.1", "10.0.0.2", flow.ProtocolUDP, udp(1000, 2000, 100)))

// awaitInterfaces waits until exactly these are captured on.
func (r *rig) awaitInterfaces(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if slices.Equal(r.capture.Interfaces(), want) {
			return
		}
	}
	r.t.Fatalf("captured on %v, want %v", r.capture.Interfaces(), want)
}

// logBuffer is a log that a test reads while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// An interface that is removed and added again, with a new index, is captured
// on again; what was in its ring is read, and both stay in the ledger. So with
// one that is named, and with one that a pattern matches.
func TestInterfaceRemovedAndAdded(t *testing.T) {
	for _, name := range []string{"in", "i*"} {
		t.Run(name, func(t *testing.T) {
			a, b := netns.New(t), netns.New(t)
			r := capturing(t, b, Config{Interfaces: []string{name}, Workers: 2})
			const rounds, frames = 3, 100
			indexes := map[uint32]bool{}
			for range rounds {
				netns.Veth(t, netns.End{NS: a, Name: "out"}, netns.End{NS: b, Name: "in"})
				r.awaitInterfaces("in")
				indexes[uint32(b.Index("in"))] = true
				newSender(t, a, "out").send(times(frames, probe)...)
				b.DelLink("in") // at once: the frames still wait in the ring
				r.awaitInterfaces()
			}
			r.await(rounds * frames)
			r.finish()
			if got := r.counters()["in"]; got.Metered != rounds*frames || got.Observed != rounds*frames {
				t.Errorf("counters %+v", got)
			}
			seen := map[uint32]int{}
			for _, p := range r.all() {
				seen[p.Input]++
			}
			for index, n := range seen {
				if !indexes[index] || n != frames {
					t.Errorf("%d packets by interface %d", n, index)
				}
			}
			if len(seen) != rounds {
				t.Errorf("packets by %d interfaces, want %d", len(seen), rounds)
			}
		})
	}
}

// Down and up again is the same interface: nothing is attached anew, and the
// error that its socket tells does not make a reader spin.
func TestInterfaceDownAndUp(t *testing.T) {
	a, b := pair(t)
	r := capturing(t, b, Config{Interfaces: []string{"in"}, Workers: 2})
	s := newSender(t, a, "out")
	s.send(times(10, probe)...)
	b.MustRun("ip", "link", "set", "in", "down")
	r.await(10)
	before := r.readings.Load()
	time.Sleep(400 * time.Millisecond)
	if n := r.readings.Load() - before; n > 60 { // two workers, each 40 ms
		t.Errorf("%d Reads in 400 ms while the interface is down", n)
	}
	b.MustRun("ip", "link", "set", "in", "up")
	a.MustRun("ip", "link", "set", "out", "up")
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if strings.Contains(a.MustRun("ip", "link", "show", "out"), "LOWER_UP") || time.Now().After(deadline) {
			break
		}
	}
	s.send(times(10, probe)...)
	r.await(20)
	r.finish()
	if got := r.counters()["in"]; got.Metered != 20 || got.Observed != 20 {
		t.Errorf("counters %+v", got)
	}
}

// manyPairs makes n veth pairs named p0a and p0b, p1a and p1b … in ns.
func manyPairs(t *testing.T, ns *netns.NS, n int) {
	t.Helper()
	ns.Sysctl("net/ipv6/conf/default/disable_ipv6", "1")
	var script strings.Builder
	for i := range n {
		fmt.Fprintf(&script, "link add p%da type veth peer name p%db\nlink set p%da up\nlink set p%db up\n", i, i, i, i)
	}
	cmd := ns.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(script.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make %d veth pairs: %v\n%s", n, err, out)
	}
}

// 200 interfaces by a pattern share one ring, which holds no more memory than
// one interface's would; each has its counters; those that do not match are not
// captured. More may come.
func TestManyInterfaces(t *testing.T) {
	ns := netns.New(t)
	manyPairs(t, ns, 100)
	netns.Veth(t, netns.End{NS: ns, Name: "other"}, netns.End{NS: ns, Name: "rehto"})
	r := capturing(t, ns, Config{Interfaces: []string{"p*"}, Workers: 2, RingMemory: 4 << 20})
	if got := len(r.capture.Interfaces()); got != 200 {
		t.Fatalf("captured on %d interfaces", got)
	}
	for _, s := range r.capture.shared {
		if len(s.mem) > 4<<20 {
			t.Errorf("a ring of %d octets", len(s.mem))
		}
	}
	ns.MustRun("ip", "link", "add", "p100a", "type", "veth", "peer", "name", "p100b")
	ns.MustRun("ip", "link", "set", "p100a", "up")
	ns.MustRun("ip", "link", "set", "p100b", "up")
	ns.DelLink("p50a")
	var want []string
	s := newSender(t, ns, "other")
	s.send(times(10, probe)...)
	for i := range 101 {
		if i != 50 {
			want = append(want, fmt.Sprintf("p%da", i), fmt.Sprintf("p%db", i))
		}
	}
	r.awaitInterfaces(want...)
	sent := 0
	for i, name := range want {
		s.index = ns.Index(name)
		s.send(times(1+i%3, probe)...)
		sent += 1 + i%3
	}
	r.await(sent)
	r.finish()
	got := r.counters()
	if shared := got["shared ring"]; shared.Index != 0 || shared.Observed != uint64(sent) || shared.Metered != 0 {
		t.Errorf("the shared ring's counters %+v", shared)
	}
	for i := range want {
		peer := want[i^1]
		if got[peer].Metered != uint64(1+i%3) {
			t.Errorf("%s: counters %+v, want %d frames", peer, got[peer], 1+i%3)
		}
	}
	if _, ok := got["other"]; ok || got["p50a"].Metered != 0 {
		t.Error("an interface that was not selected was captured on")
	}
}

// The first eight of a pattern have rings of their own, further ones share one,
// within the same memory.
func TestNinthInterface(t *testing.T) {
	ns := netns.New(t)
	ns.Sysctl("net/ipv6/conf/default/disable_ipv6", "1")
	r := capturing(t, ns, Config{Interfaces: []string{"p*"}, Workers: 2, RingMemory: 8 << 20})
	var want []string
	for i := range 6 {
		a, b := fmt.Sprintf("p%da", i), fmt.Sprintf("p%db", i)
		ns.MustRun("ip", "link", "add", a, "type", "veth", "peer", "name", b)
		ns.MustRun("ip", "link", "set", a, "up")
		ns.MustRun("ip", "link", "set", b, "up")
		want = append(want, a, b)
		r.awaitInterfaces(want...)
	}
	total, own := 0, 0
	r.capture.mu.Lock()
	for _, m := range r.capture.members {
		if m.sockets != nil {
			own++
			total += m.size
		}
	}
	if r.capture.shared != nil {
		total += len(r.capture.shared[0].mem)
	}
	r.capture.mu.Unlock()
	if own == 0 || own > maxRings || total > 8<<20 || r.capture.shared == nil {
		t.Errorf("%d rings of their own, %d octets in all", own, total)
	}
	s := newSender(t, ns, "p0a")
	for _, name := range want {
		s.index = ns.Index(name)
		s.send(times(5, probe)...)
	}
	r.await(60)
	r.finish()
	for name, c := range r.counters() {
		if c.Index != 0 && c.Metered != 5 {
			t.Errorf("%s: counters %+v", name, c)
		}
	}
}

// Auto meters both directions of one interface, and arriving frames alone once
// there are several; Both and IngressOnly do as they say.
func TestDirections(t *testing.T) {
	for _, c := range []struct {
		direction   Direction
		before, now [2]int // frames that leave and arrive at "in", with one interface and with two
	}{
		{Auto, [2]int{10, 10}, [2]int{0, 10}},
		{Both, [2]int{10, 10}, [2]int{10, 10}},
		{IngressOnly, [2]int{0, 10}, [2]int{0, 10}},
	} {
		a, b := pair(t)
		r := capturing(t, b, Config{Interfaces: []string{"in*"}, Workers: 2, Direction: c.direction})
		there, back := newSender(t, a, "out"), newSender(t, b, "in")
		there.send(times(10, probe)...)
		back.send(times(10, probe)...)
		r.await(c.before[0] + c.before[1])
		netns.Veth(t, netns.End{NS: a, Name: "out2"}, netns.End{NS: b, Name: "in2"})
		r.awaitInterfaces("in", "in2")
		there.send(times(10, probe)...)
		back.send(times(10, probe)...)
		r.await(c.before[0] + c.before[1] + c.now[0] + c.now[1])
		time.Sleep(50 * time.Millisecond)
		r.finish()
		var got [2]int
		for _, p := range r.all() {
			got[1-int(p.Direction)]++
		}
		if want := [2]int{c.before[0] + c.now[0], c.before[1] + c.now[1]}; got != want {
			t.Errorf("direction %v: %v frames left and arrived, want %v", c.direction, got, want)
		}
		r.counters()
	}
}

// Frames that a full ring cannot take are declared, and the ledger closes to
// the frame; what the reader then gets is what was accepted.
func TestLoss(t *testing.T) {
	a, b := pair(t)
	cfg, err := Config{Interfaces: []string{"in"}, Workers: 1, RingMemory: 64 << 10, Decoder: newDecoder}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	var c *Capture
	b.Run(func() { c, err = Open(cfg) })
	if err != nil {
		t.Fatal(err)
	}
	s := c.Sources()[0]
	defer s.Close()
	batch := make([]flow.Packet, 64)
	if _, _, err := s.Read(batch); err != nil { // takes up its ring
		t.Fatal(err)
	}
	const frames = 5000
	newSender(t, a, "out").send(times(frames, probe)...)
	deadline := time.Now().Add(10 * time.Second)
	var counters []capture.Counters
	for counters = s.AppendCounters(nil); counters[0].Observed < frames; counters = s.AppendCounters(counters[:0]) {
		if time.Sleep(5 * time.Millisecond); time.Now().After(deadline) {
			t.Fatalf("counters %+v", counters)
		}
	}
	checkLedger(t, counters)
	if got := counters[0]; got.Lost < frames/2 || got.InRing == 0 || got.Metered != 0 || got.Observed != frames {
		t.Errorf("before reading: %+v", got)
	}
	read := uint64(0)
	for read < counters[0].InRing && time.Now().Before(deadline) {
		n, _, err := s.Read(batch)
		if err != nil {
			t.Fatal(err)
		}
		read += uint64(n)
		checkLedger(t, s.AppendCounters(nil)) // nothing arrives: it closes between any two reads
	}
	if got := s.AppendCounters(nil)[0]; got.Metered != counters[0].InRing || got.InRing != 0 || got.Lost != counters[0].Lost {
		t.Errorf("after reading: %+v", got)
	}
}

// Stop hands over what is in the rings, and io.EOF when nothing is left.
func TestStopUnderTraffic(t *testing.T) {
	a, b := pair(t)
	r := capturing(t, b, Config{Interfaces: []string{"in"}, Workers: 2})
	s := newSender(t, a, "out")
	finished := make(chan struct{})
	go func() {
		time.Sleep(20 * time.Millisecond)
		r.finish()
		close(finished)
	}()
	sent := uint64(0)
	for range 20000 { // some seconds
		s.send(times(50, probe)...)
		sent += 50
		select {
		case <-finished:
		default:
			continue
		}
		break
	}
	<-finished
	got := r.counters()["in"]
	if got.Observed == 0 || got.Observed == sent || got.InRing != 0 {
		t.Errorf("the stop did not fall into the traffic, or left some in the ring: %+v", got)
	}
	if n := uint64(len(r.all())); n != got.Metered {
		t.Errorf("%d packets were handed over, %d counted", n, got.Metered)
	}
}

// What comes after Stop is not metered, though the rings are still there.
func TestNothingAfterStop(t *testing.T) {
	a, b := pair(t)
	r := capturing(t, b, Config{Interfaces: []string{"in"}, Workers: 2})
	s := newSender(t, a, "out")
	s.send(times(10, probe)...)
	if err := r.capture.Stop(); err != nil {
		t.Fatal(err)
	}
	s.send(times(10, probe)...)
	r.finish()
	if got := r.counters()["in"]; got.Metered != 10 || got.Observed != 10 {
		t.Errorf("counters %+v", got)
	}
}

// Under traffic from before it is opened, a capture sees each flow by one worker
// from its first packet on.
func TestOpenUnderTraffic(t *testing.T) {
	a, b := pair(t)
	s := newSender(t, a, "out")
	var frames [][]byte
	for i := range 40 {
		frames = append(frames, ether(unix.ETH_P_IP, ip4(fmt.Sprintf("10.1.0.%d", i), "10.0.0.2", flow.ProtocolUDP, udp(1, 2, 10))))
	}
	enough, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for range 20000 { // some seconds
			select {
			case <-enough:
				return
			default:
				s.send(frames...)
			}
		}
	}()
	r := capturing(t, b, Config{Interfaces: []string{"in"}, Workers: 4})
	r.await(1000)
	close(enough)
	<-ended
	r.finish()
	r.counters()
	worker := map[[16]byte]int{}
	for w, packets := range r.packets {
		for _, p := range packets {
			if was, ok := worker[p.Src]; ok && was != w {
				t.Fatalf("%v is seen by workers %d and %d", p.SrcAddr(), was, w)
			}
			worker[p.Src] = w
		}
	}
	if len(worker) != len(frames) {
		t.Errorf("%d flows, want %d", len(worker), len(frames))
	}
}

// Wake ends a Read that waits.
func TestWake(t *testing.T) {
	ns := netns.New(t)
	var c *Capture
	var err error
	ns.Run(func() {
		c, err = Open(Config{Interfaces: []string{"lo"}, Workers: 1, RingMemory: 1 << 20, Decoder: newDecoder})
	})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Sources()[0]
	defer s.Close()
	batch := make([]flow.Packet, 8)
	quickest := time.Hour
	for range 10 {
		go func() {
			time.Sleep(2 * time.Millisecond)
			s.Wake()
		}()
		start := time.Now()
		if n, _, err := s.Read(batch); n != 0 || err != nil {
			t.Fatalf("Read: %d, %v", n, err)
		}
		quickest = min(quickest, time.Since(start))
	}
	if quickest > pollTimeout/2 {
		t.Errorf("the quickest of ten woken Reads took %v", quickest)
	}
}
