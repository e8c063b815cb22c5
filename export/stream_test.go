package export

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// streamCollector is a collector by TCP or TLS on a port of its own. It decodes with
// goflow2 and sees that every connection is a Transport Session: templates before data,
// sequence numbers from 0 and without a gap.
type streamCollector struct {
	t       testing.TB
	address string
	secure  *tls.Config // nil for plain TCP
	read    func(net.Conn, *streamCollector)

	listener  net.Listener
	accepting chan struct{} // closed when nobody is accepted any more
	conn      chan net.Conn
	wg        sync.WaitGroup

	mu       sync.Mutex // guards what follows
	got      Count
	sessions int
}

func newStreamCollector(t testing.TB, secure *tls.Config, read func(net.Conn, *streamCollector)) *streamCollector {
	c := &streamCollector{t: t, secure: secure, read: read, conn: make(chan net.Conn, 100)}
	c.address = ownAddress()
	c.start()
	return c
}

// ownAddress returns an address that nobody else listens at, and any port of it: who comes
// back to a port must not find that somebody was given it meanwhile.
func ownAddress() string { return fmt.Sprintf("127.1.0.%d:0", ownAddresses.Add(1)) }

var ownAddresses atomic.Uint32

// start listens, again where it did before.
func (c *streamCollector) start() {
	c.t.Helper()
	l, err := net.Listen("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.address = l.Addr().String()
	c.serve(l)
}

func (c *streamCollector) serve(l net.Listener) {
	accepting := make(chan struct{})
	c.listener, c.accepting = l, accepting
	c.wg.Go(func() {
		defer close(accepting)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.conn <- conn
			c.wg.Go(func() {
				defer conn.Close()
				if c.secure != nil {
					conn = tls.Server(conn, c.secure)
				}
				c.read(conn, c)
			})
		}
	})
}

// stop hangs up and reads what is still to come, also from who has connected already and was
// not accepted yet.
func (c *streamCollector) stop() {
	c.listener.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Millisecond))
	<-c.accepting
	hangUp(c.listener.(*net.TCPListener))
	for {
		select {
		case conn := <-c.conn:
			conn.(*net.TCPConn).CloseWrite()
			continue
		default:
		}
		break
	}
	c.wg.Wait()
}

// hangUp has nobody listen any more, at once: closing alone leaves that to a child process which
// was begun by another test and has not come to its execve yet, with a copy of the descriptor.
func hangUp(l *net.TCPListener) {
	if raw, err := l.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
	}
	l.Close()
}

// await waits until so many connections have begun with a message.
func (c *streamCollector) await(sessions int) {
	c.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		n := c.sessions
		c.mu.Unlock()
		if n >= sessions {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("%d sessions in 20 s, want %d", n, sessions)
		}
	}
}

func (c *streamCollector) count() Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got
}

// readAll reads messages to the end of the connection.
func readAll(conn net.Conn, c *streamCollector) {
	d, r, sequence := newCollector(c.t), bufio.NewReader(conn), uint32(0)
	for n := 0; ; n++ {
		header := make([]byte, header10)
		if _, err := io.ReadFull(r, header); err != nil {
			return // a message that was cut is the exporter's to declare
		}
		body := make([]byte, int(binary.BigEndian.Uint16(header[2:]))-header10)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		d.messages = d.messages[:0]
		d.receive(append(header, body...))
		m := &d.messages[0]
		if m.sequence != sequence || n == 0 && (len(m.templateIDs()) < 3 || len(m.records()) > 0) || n > 0 && len(m.templateIDs()) > 0 {
			c.t.Errorf("message %d: sequence %d, want %d; %d templates", n, m.sequence, sequence, len(m.templateIDs()))
		}
		sequence += uint32(len(m.records()) + len(m.options()))
		sums := d.sums()
		c.mu.Lock()
		c.got.add(sums)
		if n == 0 {
			c.sessions++
		}
		c.mu.Unlock()
	}
}

// putSteadily puts records until the context ends, some thousands a second.
func putSteadily(ctx context.Context, e *Exporter) {
	for rs := records(10); ctx.Err() == nil; time.Sleep(time.Millisecond) {
		e.Put(rs)
	}
}

// TestCollectorRestarts: a collector stops gracefully, reading to the end, and starts again
// every 5 s: it has every record that was not declared.
func TestCollectorRestarts(t *testing.T) {
	t.Parallel()
	period, pause, times := 500*time.Millisecond, 100*time.Millisecond, 6
	if os.Getenv("CI") != "" && !testing.Short() { // a minute, in earnest
		period, pause, times = 5*time.Second, time.Second, 12
	}
	for _, transport := range []Transport{TCP, TLS} {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			cfg, server := secured(t, transport)
			c := newStreamCollector(t, server, readAll)
			cfg.Address, cfg.Reconnect, cfg.Logger = c.address, pause, testLogger(t)
			e := startExporter(t, cfg)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var putting sync.WaitGroup
			putting.Go(func() { putSteadily(ctx, e) })
			for i := range times {
				time.Sleep(period)
				c.await(i + 1)
				c.stop()
				c.start()
			}
			c.await(times + 1)
			time.Sleep(pause)
			cancel()
			putting.Wait()
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.stop()
			s := checkLedger(t, e)
			declared := s.NotSent()
			t.Logf("made %d records, declared %d lost, received %d in %d sessions", s.Made.Records, declared.Records, c.got.Records, c.sessions)
			if c.got != s.Sent || c.sessions != times+1 {
				t.Errorf("received %+v in %d sessions, sent %+v", c.got, c.sessions, s.Sent)
			}
		})
	}
}

// TestCollectorKilled: a collector that dies with octets in its receive buffer resets the
// connection. What it had not acknowledged is declared, and nothing more is missing than
// what it had not read.
func TestCollectorKilled(t *testing.T) {
	t.Parallel()
	unread := make(chan int, 1)
	var killed atomic.Bool
	c := newStreamCollector(t, nil, func(conn net.Conn, c *streamCollector) {
		if killed.Swap(true) {
			readAll(conn, c)
			return
		}
		tcp := conn.(*net.TCPConn)
		tcp.SetReadBuffer(64 << 10)
		for c.count().Records < 500 { // a bit, then no more
			readSome(tcp, c)
		}
		time.Sleep(500 * time.Millisecond)
		unread <- octetsToRead(t, tcp)
		tcp.SetLinger(0) // as the kernel does for a process that dies with octets unread
	})
	e := startExporter(t, Config{Protocol: IPFIX, Transport: TCP, Address: c.address, Reconnect: 200 * time.Millisecond, MTU: 1400, QueueRecords: 1 << 20, Logger: testLogger(t)})
	for range 200 {
		e.Put(records(1000))
	}
	octets := <-unread
	for end := time.Now().Add(10 * time.Second); c.count().Records < 1000 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.stop()
	s := checkLedger(t, e)
	lost := s.Dropped[Hangup]
	layouts := newTemplates(&e.cfg)
	missing, size := s.Made.Records-c.got.Records, uint64(layouts.all[0].size)
	t.Logf("made %d, received %d, declared %d, in the receive buffer %d octets: at most %d records", s.Made.Records, c.got.Records, lost.Records, octets, uint64(octets)/size)
	if lost.Records == 0 || s.NotSent() != lost || missing < lost.Records || missing > lost.Records+uint64(octets)/size {
		t.Errorf("missing %d records, declared %+v", missing, lost)
	}
}

// readSome reads one message.
func readSome(r io.Reader, c *streamCollector) {
	header := make([]byte, header10)
	if _, err := io.ReadFull(r, header); err != nil {
		c.t.Error(err)
		return
	}
	body := make([]byte, int(binary.BigEndian.Uint16(header[2:]))-header10)
	if _, err := io.ReadFull(r, body); err != nil {
		c.t.Error(err)
		return
	}
	d := newCollector(c.t)
	d.templates = sharedTemplates
	d.receive(append(header, body...))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got.add(d.sums())
}

var sharedTemplates = newCollector(nil).templates

func octetsToRead(t *testing.T, conn *net.TCPConn) (n int) {
	const fionread = 0x541b // asm-generic/ioctls.h: SIOCINQ of tcp(7)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Error(err)
		return 0
	}
	var octets int32
	raw.Control(func(fd uintptr) {
		syscall.Syscall(syscall.SYS_IOCTL, fd, fionread, uintptr(unsafe.Pointer(&octets)))
	})
	return int(octets)
}

// TestSlowStream: a collector that reads slowly holds its exporter up, whose queue then
// fills: what found no room is declared, and all else arrives.
func TestSlowStream(t *testing.T) {
	t.Parallel()
	put := make(chan struct{})
	c := newStreamCollector(t, nil, func(conn net.Conn, c *streamCollector) {
		conn.(*net.TCPConn).SetReadBuffer(32 << 10)
		select {
		case <-put: // it reads nothing before: a Put that waited for it would wait for ever
		case <-time.After(time.Minute):
			t.Error("Put waited")
		}
		readAll(conn, c)
	})
	e := startExporter(t, Config{Protocol: IPFIX, Transport: TCP, Address: c.address, QueueRecords: 1000, Logger: testLogger(t)})
	for range 100 {
		e.Put(records(1000)) // 13 MB: more than the socket's buffers
		time.Sleep(time.Millisecond)
	}
	close(put)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.stop()
	s := checkLedger(t, e)
	if s.Dropped[QueueFull].Records == 0 || s.NotSent() != s.Dropped[QueueFull] || c.got != s.Sent {
		t.Errorf("received %+v, stats %+v", c.got, s)
	}
}
