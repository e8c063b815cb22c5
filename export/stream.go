package export

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	// connectTimeout bounds an attempt to connect, and one to agree on TLS.
	connectTimeout = 10 * time.Second
	// peerTimeout is after how long a collector that acknowledges nothing is given up
	// (TCP_USER_TIMEOUT, tcp(7)), and one that reads nothing at the end.
	peerTimeout = time.Minute
	// refusalTime is how long a server may take to refuse our certificate: in TLS 1.3 the
	// client has finished its handshake by then (RFC 8446 §2).
	refusalTime = 250 * time.Millisecond
)

// A stream is a connection to a collector by TCP or TLS, and what was written to it and
// not yet acknowledged by the collector's host. Only the reader's goroutine is not that
// of the exporter.
type stream struct {
	net.Conn // plain or secured
	tcp      *net.TCPConn
	wire     *wireCounter
	gone     chan struct{} // closed when the collector has hung up
	why      error         // then says why; nil for an orderly end
	// flight is what is on its way, in the order in which it was written.
	flight []flight
	failed error // of a Write, or of the connection
	closed bool  // for writing
}

// flight is a message on its way.
type flight struct {
	end    uint64 // octets of the connection up to its last one
	octets int    // of the message
	Message
}

// wireCounter counts what is written to the connection: TLS writes more than it is given.
type wireCounter struct {
	*net.TCPConn
	written atomic.Uint64 // TLS's alerts are written by the reader
}

func (w *wireCounter) Write(b []byte) (int, error) {
	n, err := w.TCPConn.Write(b)
	w.written.Add(uint64(n))
	return n, err
}

// dialStream connects to remote, from source's address where that is given.
func (c Config) dialStream(ctx context.Context, address string, source netip.Addr) (socket, error) {
	all, err := c.resolve(ctx, "tcp", address, source)
	if err != nil {
		return nil, err
	}
	remote := all[0]
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	var d net.Dialer
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return nil, err
	}
	s := &stream{tcp: conn.(*net.TCPConn), gone: make(chan struct{})}
	s.wire = &wireCounter{TCPConn: s.tcp}
	s.Conn = s.wire
	err = errors.Join(mark(s.tcp, remote.Addr().Is6(), c.DSCP, c.TTL), setPeerTimeout(s.tcp))
	if err == nil && c.Transport == TLS {
		err = s.secure(ctx, &c)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	go s.listen()
	if c.Transport == TLS {
		select {
		case <-s.gone:
			conn.Close()
			if s.why == nil {
				return nil, errors.New("the collector hung up at once")
			}
			return nil, fmt.Errorf("refused by the collector: %w", s.why)
		case <-time.After(refusalTime):
		}
	}
	return s, nil
}

// secure agrees on TLS. Nothing is sent before.
func (s *stream) secure(ctx context.Context, c *Config) error {
	cfg, err := c.identify()
	if err != nil {
		return err
	}
	conn := tls.Client(s.wire, cfg)
	s.Conn = conn
	return conn.HandshakeContext(ctx)
}

// identify returns what TLS and DTLS need to know the collector.
func (c *Config) identify() (*tls.Config, error) {
	cfg, err := c.Identity.Client()
	if err == nil && cfg.ServerName == "" {
		cfg.ServerName, _, err = net.SplitHostPort(c.Address)
	}
	return cfg, err
}

// setPeerTimeout has the kernel give up a collector that acknowledges nothing.
func setPeerTimeout(conn *net.TCPConn) error {
	const tcpUserTimeout = 18 // linux/tcp.h
	if runtime.GOOS != "linux" {
		return nil
	}
	return setOption(conn, syscall.IPPROTO_TCP, tcpUserTimeout, int(peerTimeout.Milliseconds()))
}

// listen reads until the collector hangs up: it has nothing to say (RFC 7011 §10.4).
func (s *stream) listen() {
	_, s.why = io.Copy(io.Discard, s.Conn)
	close(s.gone)
}

func (s *stream) ended() <-chan struct{} { return s.gone }

// isGone reports whether the collector has hung up, or nothing can be written.
func (s *stream) isGone() bool {
	select {
	case <-s.gone:
		return true
	default:
		return s.failed != nil
	}
}

// send writes a message, however long the collector lets it wait: until ctx is done. The
// message is on its way even if the error is not nil, since a part of it may be.
func (s *stream) send(ctx context.Context, m Message, b []byte) error {
	end := uint64(math.MaxUint64)
	defer func() { s.flight = append(s.flight, flight{end, len(b), m}) }()
	if s.failed != nil {
		return s.failed
	}
	stop := context.AfterFunc(ctx, func() { s.tcp.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := s.Conn.Write(b); err != nil {
		s.failed = err
		return err
	}
	end = s.wire.written.Load()
	return nil
}

// arrived calls f with each message that the collector's host has acknowledged since the
// last call.
func (s *stream) arrived(f func(*flight)) {
	acknowledged := s.wire.written.Load() - s.unacknowledged()
	n := 0
	for n < len(s.flight) && s.flight[n].end <= acknowledged {
		f(&s.flight[n])
		n++
	}
	s.flight = s.flight[:copy(s.flight, s.flight[n:])]
}

// unacknowledged returns how many octets the collector's host has not acknowledged
// (SIOCOUTQ, tcp(7)); after a reset, had not.
func (s *stream) unacknowledged() (octets uint64) {
	raw, err := s.tcp.SyscallConn()
	if err != nil || runtime.GOOS != "linux" {
		return 0
	}
	var n int32
	err = raw.Control(func(fd uintptr) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
			n = 0
		}
	})
	if err != nil {
		return 0
	}
	if s.closed && n > 0 {
		n-- // its FIN, which is the last to be acknowledged
	}
	return uint64(n)
}

// finish says that nothing more comes, and waits until all is acknowledged: as long as
// the collector's host takes more, and ctx lasts.
func (s *stream) finish(ctx context.Context) {
	const look = 5 * time.Millisecond
	if c, ok := s.Conn.(*tls.Conn); ok && s.failed == nil {
		s.tcp.SetWriteDeadline(time.Now().Add(sendTimeout))
		_ = c.CloseWrite() // whoever is gone needs no farewell
	}
	_ = s.tcp.CloseWrite()
	s.closed = true
	last, since := s.unacknowledged(), time.Now()
	for last > 0 && ctx.Err() == nil && !s.isReset() && time.Since(since) < peerTimeout {
		time.Sleep(look)
		if n := s.unacknowledged(); n != last {
			last, since = n, time.Now()
		}
	}
	if last > 0 {
		_ = s.tcp.SetLinger(0) // what is declared as lost must not arrive later
	}
}

// isReset reports whether the connection has ended by an error: then nothing will be
// acknowledged any more.
func (s *stream) isReset() bool {
	if raw, err := s.tcp.SyscallConn(); err == nil && s.failed == nil {
		_ = raw.Control(func(fd uintptr) {
			if errno, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR); err == nil && errno != 0 {
				s.failed = syscall.Errno(errno)
			}
		})
	}
	select {
	case <-s.gone:
		return s.why != nil || s.failed != nil
	default:
		return s.failed != nil
	}
}

// cause returns why the connection ended, nil for an orderly end. The collector is gone.
func (s *stream) cause() error {
	if s.failed != nil {
		return s.failed
	}
	return s.why
}
