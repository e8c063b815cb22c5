package dtls_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/dtls/v3"

	"cacheflow/cmd/internal/collector"
	"cacheflow/test/authority"
)

// dtlsCollector is pion's server, and goflow2's decoder for what it deciphers.
type dtlsCollector struct {
	t       testing.TB
	address netip.AddrPort
	options []pion.ServerOption
	decoder *collector.Collector

	udp *net.UDPConn
	wg  sync.WaitGroup // of one socket

	mu        sync.Mutex // guards what follows
	datagrams []datagram
	peers     map[netip.AddrPort]*peer // that have an association, or try to
	leaving   bool                     // nobody new is welcome
	agreed    int                      // associations
}

// datagram is one that came to the collector's socket, or left it.
type datagram struct {
	from, to netip.AddrPort
	data     []byte
}

// peer is the collector's side of a 5-tuple.
type peer struct {
	net.Conn // what came from there
	in       net.Conn
	c        *dtlsCollector
	at       netip.AddrPort
}

func (p *peer) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, net.UDPAddrFromAddrPort(p.at), err
}

func (p *peer) WriteTo(b []byte, _ net.Addr) (int, error) {
	p.c.record(p.c.address, p.at, b)
	return p.c.udp.WriteToUDPAddrPort(b, p.at)
}

func startCollector(t testing.TB, a *authority.Authority, options ...pion.ServerOption) *dtlsCollector {
	t.Helper()
	pair := a.Pair("collector.example", time.Time{})
	c := &dtlsCollector{t: t, decoder: collector.New(collector.Config{}), address: netip.MustParseAddrPort("127.0.0.1:0")}
	c.options = append([]pion.ServerOption{
		pion.WithCertificates(tls.Certificate{Certificate: pair.Certificate, PrivateKey: pair.PrivateKey}),
		pion.WithClientCAs(a.Pool()), pion.WithClientAuth(pion.RequireAndVerifyClientCert),
	}, options...)
	c.start()
	t.Cleanup(c.kill)
	return c
}

// start opens its socket, at its address.
func (c *dtlsCollector) start() {
	c.t.Helper()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(c.address))
	if err != nil {
		c.t.Fatal(err)
	}
	udp.SetReadBuffer(4 << 20)
	c.udp, c.address = udp, udp.LocalAddr().(*net.UDPAddr).AddrPort()
	c.peers, c.leaving = map[netip.AddrPort]*peer{}, false
	c.wg.Go(func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			c.record(from, c.address, b[:n])
			if p := c.peer(from, b[0]); p != nil {
				p.in.Write(b[:n])
			}
		}
	})
}

// peer returns who is at an address; a new one if it shakes hands.
func (c *dtlsCollector) peer(at netip.AddrPort, contentType byte) *peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[at]
	if p == nil && contentType == handshake && !c.leaving {
		p = &peer{c: c, at: at}
		p.Conn, p.in = net.Pipe()
		c.peers[at] = p
		c.wg.Go(func() { c.serve(p) })
	}
	return p
}

func (c *dtlsCollector) serve(p *peer) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.peers, p.at)
		p.in.Close()
		p.Close()
	}()
	conn, err := pion.ServerWithOptions(p, net.UDPAddrFromAddrPort(p.at), c.options...)
	if err != nil {
		c.t.Error(err)
		return
	}
	if err := conn.Handshake(); err != nil {
		c.t.Log("collector: ", err)
		return
	}
	defer conn.Close()
	c.mu.Lock()
	c.agreed++
	c.mu.Unlock()
	// At the end pion's Read tosses a coin between the end and what came just before it.
	for b, ends := make([]byte, 1<<14), 0; ends < 30; {
		n, err := conn.Read(b)
		if err != nil {
			ends++
			continue
		}
		c.decoder.Decode(b[:n], p.at, time.Now(), func(*collector.Record) {})
	}
}

func (c *dtlsCollector) record(from, to netip.AddrPort, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.datagrams = append(c.datagrams, datagram{from, to, bytes.Clone(b)})
}

// kill closes its socket, as the kernel does for a process that dies: without a word.
func (c *dtlsCollector) kill() {
	c.udp.Close()
	c.mu.Lock()
	for _, p := range c.peers {
		p.in.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// stop takes leave of everybody, and closes its socket.
func (c *dtlsCollector) stop() {
	c.mu.Lock()
	c.leaving = true
	for _, p := range c.peers {
		p.in.Close() // an end of file, at which serve closes the association
	}
	c.mu.Unlock()
	time.Sleep(20 * time.Millisecond)
	c.kill()
}

func (c *dtlsCollector) associations() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.agreed
}
