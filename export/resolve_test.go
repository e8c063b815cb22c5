package export

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers with the addresses of one name, or not at all.
type nameServer struct {
	conn *net.UDPConn

	mu    sync.Mutex // guards what follows
	addrs []string   // of version 4; nil does not answer
	asked int
}

func newNameServer(t *testing.T, addrs ...string) *nameServer {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, addrs: addrs}
	var serving sync.WaitGroup
	serving.Go(s.serve)
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	return s
}

func (s *nameServer) serve() {
	b := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil {
			continue
		}
		m.Response = true
		m.Additionals = nil
		s.mu.Lock()
		silent := s.addrs == nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			s.asked++
			for _, a := range s.addrs {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()},
				})
			}
		}
		s.mu.Unlock()
		if out, err := m.Pack(); err == nil && !silent {
			s.conn.WriteToUDPAddrPort(out, from)
		}
	}
}

// move has the name have other addresses.
func (s *nameServer) move(addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = addrs
}

func (s *nameServer) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

// TestCollectorMoves: the name of a collector gets another address. While the old one is
// among the answers, or there are none, nothing happens; then the new collector gets
// templates first, sequence numbers from 0, and all that follows. No record is lost, and
// putting waits for nobody.
func TestCollectorMoves(t *testing.T) {
	t.Parallel()
	const host = "flows.example."
	old, fresh := listen(t, "127.31.2.1:2055"), listen(t, "127.31.2.2:2055")
	server := newNameServer(t, "127.31.2.1")
	e := startExporter(t, Config{Protocol: IPFIX, Address: host + ":2055", ResolveAgain: 100 * time.Millisecond, resolver: server.resolver(), Logger: testLogger(t)})
	stays := func(why string) netip.AddrPort {
		t.Helper()
		before := server.questions()
		await(t, "asked again", func() bool { return server.questions() > before+1 })
		local, _ := e.LocalAddr()
		if to, _ := e.RemoteAddr(); to.String() != "127.31.2.1:2055" {
			t.Errorf("%s: exports to %v", why, to)
		}
		return local
	}
	await(t, "connected", e.Up)
	e.Put(records(100))
	stays("same address")
	server.move("127.31.2.2", "127.31.2.1")
	local := stays("another address beside")
	waitQuiet(t, e)
	server.move() // a dead name server
	for range 20 {
		began := time.Now()
		e.Put(records(1))
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("Put took %v", took)
		}
		time.Sleep(20 * time.Millisecond)
	}
	sent := waitQuiet(t, e)
	server.move("127.31.2.2")
	await(t, "moved", func() bool { to, _ := e.RemoteAddr(); return to.String() == "127.31.2.2:2055" })
	e.Put(records(100))
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if now, _ := e.LocalAddr(); now == local {
		t.Errorf("the new session has the port of the old one: %v", now)
	}
	a, b := received(t, old), received(t, fresh)
	if got := a.sums().Records + b.sums().Records; got != 220 || e.Stats().Sent.Records != 220 || b.sums().Records < 100 || a.sums().Records < sent.Sent.Records {
		t.Errorf("%d at the old, %d at the new collector: %+v", a.sums().Records, b.sums().Records, e.Stats())
	}
	first := &b.messages[0]
	if first.sequence != 0 || len(first.templateIDs()) < 3 || len(first.records()) > 0 {
		t.Errorf("the first message to the new collector has sequence number %d and %d templates", first.sequence, len(first.templateIDs()))
	}
}

// received decodes what waits in a socket.
func received(t *testing.T, conn net.PacketConn) *collector {
	t.Helper()
	c := newCollector(t)
	for b := make([]byte, MaxMTU); ; {
		conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return c
		}
		c.receive(b[:n])
	}
}

// TestResolveAfterRefusal: a collector that refuses is looked up again within 10 s.
func TestResolveAfterRefusal(t *testing.T) {
	t.Parallel()
	server := newNameServer(t, "127.31.3.1")
	fresh := listen(t, "127.31.3.2:2055")
	e := startExporter(t, Config{Address: "flows.example.:2055", ResolveAgain: time.Hour, resolver: server.resolver()})
	e.Hold(true)
	await(t, "connected", e.Up)
	server.move("127.31.3.2")
	await(t, "moved", func() bool {
		e.Put(records(1))
		to, _ := e.RemoteAddr()
		return to.Addr().String() == "127.31.3.2"
	})
	e.Put(records(50))
	waitQuiet(t, e)
	if got := received(t, fresh).sums(); got.Records < 50 {
		t.Errorf("the new collector has %d records", got.Records)
	}
}

// TestStreamResolvesAtEachConnect: a stream finds a collector that has moved when it
// connects again.
func TestStreamResolvesAtEachConnect(t *testing.T) {
	t.Parallel()
	first := newStreamCollector(t, nil, readAll)
	host, port, _ := net.SplitHostPort(first.address)
	server := newNameServer(t, host)
	e := startExporter(t, Config{Protocol: IPFIX, Transport: TCP, Address: "flows.example.:" + port, Reconnect: 100 * time.Millisecond, resolver: server.resolver()})
	await(t, "connected", e.Up)
	server.move("127.31.4.2")
	second := &streamCollector{t: t, address: "127.31.4.2:" + port, read: readAll, conn: make(chan net.Conn, 100)}
	second.start()
	first.stop()
	await(t, "at the second collector", func() bool {
		to, _ := e.RemoteAddr()
		return to.Addr().String() == "127.31.4.2"
	})
	e.Put(records(50))
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	second.stop()
	if second.got.Records != 50 {
		t.Errorf("the second collector has %+v", second.got)
	}
}
