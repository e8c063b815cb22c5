//go:build linux

package daemon

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// stream is a collector of IPFIX by TCP that can go and come back. It leaves in an orderly
// way: what was sent before the exporter noticed it reads to the end.
type stream struct {
	t        *testing.T
	address  string
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	conns    []*net.TCPConn
	messages []judge.Datagram
}

// listen has the kernel take connections.
func (s *stream) listen() {
	s.t.Helper()
	var err error
	if s.listener, err = net.Listen("tcp", s.address); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stream) start() *stream {
	s.t.Helper()
	s.listen()
	s.running.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn.(*net.TCPConn))
			s.mu.Unlock()
			s.running.Go(func() { s.read(conn) })
		}
	})
	return s
}

func (s *stream) read(conn net.Conn) {
	defer conn.Close()
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	for r := bufio.NewReader(conn); ; {
		header, err := r.Peek(4)
		if err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint16(header[2:])) // RFC 7011 §3.1
		if _, err := io.ReadFull(r, message); err != nil {
			return
		}
		s.mu.Lock()
		s.messages = append(s.messages, judge.Datagram{From: from, Data: message})
		s.mu.Unlock()
	}
}

func (s *stream) stop() {
	s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.CloseWrite()
	}
	s.conns = nil
	s.mu.Unlock()
	s.running.Wait()
}

// await waits until somebody is connected.
func (s *stream) await(what string) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		n := len(s.conns)
		s.mu.Unlock()
		if n > 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("waited in vain for %s", what)
			return
		}
	}
}

func (s *stream) received() []judge.Datagram {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages
}

// ipfix is an exporter that calls again soon.
func ipfix(name, address string, transport export.Transport) export.Config {
	return export.Config{Name: name, Protocol: export.IPFIX, Address: address, Transport: transport, Reconnect: 100 * time.Millisecond, Rate: -1,
		Options: export.OptionIntervals{InterfaceTable: -1}} // there is no route table
}

// running is a session that meters flows without end.
type running struct {
	*session
	t      *testing.T
	cancel context.CancelFunc
	shards sync.WaitGroup
}

// runGroups starts a session with two shards.
func runGroups(t *testing.T, groups []config.Group, exporters ...export.Config) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{session: reloadable(t, ctx, 2, exporters...), t: t, cancel: cancel}
	r.losses.meter = &r.Meter
	gs, err := r.nextGroups(groups, r.exporters)
	if err != nil {
		t.Fatal(err)
	}
	for i, sh := range r.session.shards {
		source := sh.source.(*endless)
		source.pause, source.now = 2*time.Millisecond, flow.Time(i)*flow.Time(5*time.Millisecond) // no two flows begin alike
		sh.swap(newOutlets(r.exporters, gs))
	}
	r.exporters.start(&r.session.running)
	r.regroup(gs)
	for _, sh := range r.session.shards {
		r.shards.Go(func() { _ = sh.run(context.Background()) })
	}
	return r
}

// await waits until an exporter of a group is up, or gets records, as wanted.
func (r *running) await(what string, is func(up, gets map[string]bool) bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		up, gets := map[string]bool{}, map[string]bool{}
		x, _ := r.Export(r.t.Context())
		for _, g := range x.Groups {
			for _, m := range g.Members {
				up[m.Exporter], gets[m.Exporter] = m.Up, m.Gets
			}
		}
		if is(up, gets) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within 20 s: %v get records", what, gets)
		}
	}
}

// stop ends the session as the daemon does, and returns the ledger, which must close.
func (r *running) stop() *ledger.Ledger {
	r.t.Helper()
	r.cancel()
	r.shards.Wait()
	drain, stop := context.WithTimeout(context.Background(), r.Drain)
	defer stop()
	l, err := r.drain(drain)
	if err != nil {
		r.t.Fatal(err)
	}
	if !l.Closes() {
		r.t.Errorf("the ledger does not close: %+v", l.Balance())
	}
	return l
}

// record tells one from all others: its port, and when its flow began.
type record struct{ port, start string }

// decode returns how often each record came, and sees that templates came before.
func decode(t *testing.T, messages []judge.Datagram) map[record]int {
	t.Helper()
	flows, err := judge.Goflow2(messages)
	if err != nil {
		t.Error(err)
	}
	got := map[record]int{}
	for _, f := range flows {
		if f["packetDeltaCount"] != "" {
			got[record{f["destinationTransportPort"], f["flowStartMilliseconds"]}]++
		}
	}
	return got
}

// The first collector, by TCP, goes three times and comes back: each record is at one of
// the two, once, those among them that waited for the first one when it went. It gets
// records again once it has been up for the time to return.
func TestFailover(t *testing.T) {
	t.Parallel()
	const hold = 300 * time.Millisecond
	first := (&stream{t: t, address: "127.33.1.1:4739"}).start()
	second := judge.StartRecorder(t, netip.MustParseAddrPort("127.33.1.2:4739"))
	r := runGroups(t, []config.Group{failover("g", hold, "first", "second")},
		ipfix("first", first.address, export.TCP), ipfix("second", second.Address.String(), export.UDP))
	for range 3 {
		r.await("the first gets records", func(_, gets map[string]bool) bool { return gets["first"] && !gets["second"] })
		time.Sleep(200 * time.Millisecond)
		first.stop()
		r.await("the second gets records", func(_, gets map[string]bool) bool { return gets["second"] && !gets["first"] })
		time.Sleep(200 * time.Millisecond)
		first.start()
		r.await("the first is up", func(up, _ map[string]bool) bool { return up["first"] })
		up := time.Now()
		r.await("the first gets records again", func(_, gets map[string]bool) bool { return gets["first"] })
		if took := time.Since(up); took < hold-groupPeriod || took > hold+2*time.Second {
			t.Errorf("returned after %v", took)
		}
	}
	l := r.stop()
	first.stop()
	second.Settle(100 * time.Millisecond)
	atFirst, atSecond := decode(t, first.received()), decode(t, second.Datagrams())
	each := uint64(0)
	for rec, n := range atFirst {
		if each++; n != 1 || atSecond[rec] != 0 {
			t.Fatalf("%v is %d times at the first, %d times at the second", rec, n, atSecond[rec])
		}
	}
	if each += uint64(len(atSecond)); each != l.Records.Count || len(atSecond) < 100 || len(atFirst) < 100 {
		t.Errorf("%d records at the first, %d at the second, of %d", len(atFirst), len(atSecond), l.Records.Count)
	}
	if g := l.Groups; g.Given != l.Records || g.TakenBack.Count == 0 {
		t.Errorf("groups: %+v, want to have moved some of %+v", g, l.Records)
	}
	t.Logf("%d records at the first, %d at the second, %d moved", len(atFirst), len(atSecond), l.Groups.TakenBack.Count)
}

// While nobody is up, records wait for the first; whoever comes first gets them.
func TestFailoverOfNobody(t *testing.T) {
	t.Parallel()
	for name, comes := range map[string]int{"the first comes": 0, "the second comes": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			streams := []*stream{{t: t, address: "127.33.2.1:4739"}, {t: t, address: "127.33.2.2:4739"}}
			if comes == 1 {
				streams[0].address, streams[1].address = "127.33.2.3:4739", "127.33.2.4:4739"
			}
			r := runGroups(t, []config.Group{failover("g", time.Hour, "a", "b")},
				ipfix("a", streams[0].address, export.TCP), ipfix("b", streams[1].address, export.TCP))
			time.Sleep(300 * time.Millisecond)
			r.await("records wait for the first", func(_, gets map[string]bool) bool { return gets["a"] && !gets["b"] })
			streams[comes].start()
			r.await("up", func(up, _ map[string]bool) bool { return up["a"] || up["b"] })
			l := r.stop()
			streams[comes].stop()
			if got := decode(t, streams[comes].received()); uint64(len(got)) != l.Records.Count {
				t.Errorf("%d records of %d", len(got), l.Records.Count)
			}
		})
	}
}

// Three share: one by TCP that goes and comes back, one by UDP, and one where nobody
// listens at first. Whoever is up gets its conversations and its part of the others', no
// other; and no record is lost but those that left before the refusal came.
func TestShare(t *testing.T) {
	t.Parallel()
	a := (&stream{t: t, address: "127.33.3.1:4739"}).start()
	b := judge.StartRecorder(t, netip.MustParseAddrPort("127.33.3.2:4739"))
	late := netip.MustParseAddrPort("127.33.3.3:4739")
	names := []string{"a", "b", "c"}
	r := runGroups(t, []config.Group{share("g", names...)},
		ipfix("a", a.address, export.TCP), ipfix("b", b.Address.String(), export.UDP), ipfix("c", late.String(), export.UDP))
	r.await("c is down", func(up, gets map[string]bool) bool { return up["a"] && up["b"] && !up["c"] && !gets["c"] })
	refused := r.exporters[2].Stats()
	a.stop()
	r.await("b alone", func(_, gets map[string]bool) bool { return gets["b"] && !gets["a"] && !gets["c"] })
	a.start()
	r.await("a and b", func(_, gets map[string]bool) bool { return gets["b"] && gets["a"] && !gets["c"] })
	c := judge.StartRecorder(t, late)
	r.await("all", func(_, gets map[string]bool) bool { return gets["a"] && gets["b"] && gets["c"] })
	time.Sleep(500 * time.Millisecond)
	l := r.stop()
	a.stop()
	b.Settle(100 * time.Millisecond)
	c.Settle(100 * time.Millisecond)
	got := []map[record]int{decode(t, a.received()), decode(t, b.Datagrams()), decode(t, c.Datagrams())}
	all := map[record]int{}
	for i := range got {
		for rec, n := range got[i] {
			if all[rec] += n; all[rec] > 1 {
				t.Fatalf("%v is there twice", rec)
			}
		}
	}
	lost := l.Records.Count - uint64(len(all))
	if lost > refused.Sent.Records+refused.Dropped[export.Refused].Records || len(got[2]) == 0 {
		t.Errorf("%d of %d records lost, %+v before c was found down", lost, l.Records.Count, refused)
	}
	checkShares(t, names, got[2], 2)
	t.Logf("%d, %d and %d records, %d lost at c, %d moved", len(got[0]), len(got[1]), len(got[2]), lost, l.Groups.TakenBack.Count)
}

// checkShares sees that a member which came last got its own conversations only.
func checkShares(t *testing.T, names []string, got map[record]int, member int) {
	t.Helper()
	for _, p := range newFlows(20, 0) {
		own := heaviest(conversation(&p.Key), seedsOf(names...), 1<<len(names)-1) == member
		has := false
		for rec := range got {
			has = has || rec.port == strconv.Itoa(int(p.DstPort))
		}
		if has != own {
			t.Errorf("port %d is at %s: %t, want %t", p.DstPort, names[member], has, own)
		}
	}
}

// Groups come, go and change under traffic, and so do their exporters: the account closes,
// and no goroutine stays behind.
func TestReloadsOfGroups(t *testing.T) {
	address := sink(t)
	before := runtime.NumGoroutine()
	one := func(i int) export.Config { return v5(string(rune('a'+i)), address, 0) }
	r := runGroups(t, []config.Group{share("g", "a", "b")}, one(0), one(1), one(2), one(3))
	choice := rand.New(rand.NewPCG(1, 9))
	for i := range 100 {
		next := &Live{Cache: testCache()}
		next.Cache.Inactive = time.Millisecond
		for n := range 4 {
			next.Exporters = append(next.Exporters, v5(string(rune('a'+n)), address, uint8(choice.IntN(2))))
		}
		switch i % 4 {
		case 0:
			next.Groups = []config.Group{failover("g", time.Second, "b", "a", "d")}
		case 1:
			next.Groups = []config.Group{share("g", "a", "b"), failover("h", 0, "c", "d")}
		case 2:
			next.Groups = []config.Group{failover("h", 0, "c", "d")}
		}
		if err := r.apply(next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err := r.apply(&Live{Cache: testCache(), Exporters: []export.Config{one(0)}, Groups: []config.Group{share("g", "a", "x")}}); err == nil {
		t.Error("took a group of an exporter that is not there")
	}
	l := r.stop()
	if l.Groups.Given.Count == 0 || l.Groups.Passed.Count < l.Groups.Given.Count {
		t.Errorf("groups: %+v", l.Groups)
	}
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}
