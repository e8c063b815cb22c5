package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// A socket is a connected socket: the part of net.Conn that is used.
type socket interface {
	Write(b []byte) (int, error)
	SetWriteDeadline(t time.Time) error
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	Close() error
}

// A burster is a socket that sends datagrams of size octets each, of which the last
// may be shorter, by one call: all of them or none.
type burster interface {
	writeBurst(b []byte, size int) error
}

// dial resolves address and connects a socket to it, from source's address and port as
// far as these are given. By UDP nothing is sent.
func (c Config) dial(ctx context.Context, address string, source netip.AddrPort) (socket, error) {
	if c.File.Path != "" {
		return newFileWriter(c)
	}
	if c.Transport.isStream() {
		return c.dialStream(ctx, address, source.Addr())
	}
	conn, err := c.dialUDP(ctx, address, source)
	switch {
	case err != nil:
		return nil, err // not the nil *UDPConn in an interface
	case c.Transport == DTLS:
		return c.associate(ctx, conn)
	// A device's queue may drop a part of a burst and not tell (sch_tbf does); lo has
	// no queue.
	case addrPort(conn.RemoteAddr()).Addr().IsLoopback():
		return segmented(conn), nil
	}
	return conn, nil
}

// dialUDP connects a datagram socket, as dial does.
func (c *Config) dialUDP(ctx context.Context, address string, source netip.AddrPort) (*net.UDPConn, error) {
	all, err := c.resolve(ctx, "udp", address, source.Addr())
	if err != nil {
		return nil, err
	}
	remote := all[0]
	local := &net.UDPAddr{Port: int(source.Port())}
	if source.Addr().IsValid() {
		local = net.UDPAddrFromAddrPort(source)
	}
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return nil, err
	}
	if err := mark(conn, remote.Addr().Is6(), c.DSCP, c.TTL); err != nil {
		conn.Close()
		return nil, err
	}
	tellLosses(conn)
	return conn, nil
}

// mark sets what the packets' IP headers say.
func mark(conn syscall.Conn, ipv6 bool, dscp, ttl uint8) error {
	level, class, unicast, multicast := syscall.IPPROTO_IP, syscall.IP_TOS, syscall.IP_TTL, syscall.IP_MULTICAST_TTL
	if ipv6 {
		level, class, unicast, multicast = syscall.IPPROTO_IPV6, syscall.IPV6_TCLASS, syscall.IPV6_UNICAST_HOPS, syscall.IPV6_MULTICAST_HOPS
	}
	err := errors.Join(setOption(conn, level, class, int(dscp)<<2), setOption(conn, level, unicast, int(ttl)))
	if _, ok := conn.(*net.UDPConn); ok {
		err = errors.Join(err, setOption(conn, level, multicast, int(ttl)))
	}
	return err
}

func setOption(conn syscall.Conn, level, option, value int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), level, option, value))
	})
	return errors.Join(err, failed)
}

// tellLosses has the kernel report what it hides by default: datagrams that this
// host's own queues dropped (ENOBUFS), and unreachable hosts. IP_RECVERR and
// IPV6_RECVERR do so, ip(7), ipv6(7), besides filling an error queue that nobody
// reads and that the receive buffer bounds.
func tellLosses(conn *net.UDPConn) {
	const ipRecvErr, ipv6RecvErr = 11, 25 // linux/in.h, linux/in6.h
	raw, err := conn.SyscallConn()
	if err != nil || runtime.GOOS != "linux" {
		return
	}
	_ = raw.Control(func(fd uintptr) { // the option of the other IP version has no effect
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipRecvErr, 1)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, ipv6RecvErr, 1)
	})
}

// checkAddress finds what no retry would heal.
func checkAddress(address string, source netip.Addr) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); host == "" || err == nil && n == 0 || port == "" {
		return fmt.Errorf("collector %q: want host:port", address)
	}
	if a, err := netip.ParseAddr(host); err == nil && source.IsValid() && a.Unmap().Is4() != source.Unmap().Is4() {
		return fmt.Errorf("source %s and collector %s are of different IP versions", source, a)
	}
	return nil
}

// isTimeout reports whether a Write waited until its deadline.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// classify tells by the error of a send why the datagram is lost.
func classify(err error) Reason {
	for _, c := range errnoReasons {
		if errors.Is(err, c.err) {
			return c.reason
		}
	}
	return OtherError
}

var errnoReasons = []struct {
	err    error
	reason Reason
}{
	{errNotWritten, NotWritten},
	{syscall.ECONNREFUSED, Refused},
	{syscall.ENOBUFS, BufferFull}, // the device's queue dropped it (udp(7), ip(7))
	{syscall.EAGAIN, BufferFull},
	{os.ErrDeadlineExceeded, BufferFull}, // the socket's buffer stayed full
	{syscall.EMSGSIZE, TooLong},
	{syscall.ENETUNREACH, Unreachable},
	{syscall.EHOSTUNREACH, Unreachable},
	{syscall.ENETDOWN, Unreachable},
	{syscall.EHOSTDOWN, Unreachable},
	{syscall.EPERM, NotPermitted},
	{syscall.EACCES, NotPermitted},
	{syscall.EINVAL, NoSource}, // Linux, as ENETUNREACH: the source address was removed
	{syscall.EADDRNOTAVAIL, NoSource},
	{net.ErrClosed, NoSource}, // rebind lost the port
}
