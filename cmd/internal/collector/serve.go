package collector

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxDatagram is the largest payload of a UDP datagram.
const maxDatagram = 65535

// After the end of its context Serve takes what the socket still holds: until
// it has been empty for drainIdle, at most for drainTotal.
const (
	drainIdle  = 50 * time.Millisecond
	drainTotal = time.Second
)

// readBuffer is asked for as the socket's receive buffer; the kernel grants what
// net.core.rmem_max allows.
const readBuffer = 4 << 20

// Listen opens the socket that Serve reads. addr is host:port; without host it
// is all addresses of both families.
func Listen(addr string) (*net.UDPConn, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", a)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(readBuffer) // a smaller one works too
	return conn, nil
}

// Serve decodes what conn receives and hands the records to emit as Decode
// does, until ctx ends, then returns nil. conn stays open.
func (c *Collector) Serve(ctx context.Context, conn *net.UDPConn, emit func(*Record)) error {
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now().Add(drainIdle)) })
	defer stop()
	buf := make([]byte, maxDatagram)
	var end time.Time
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		now := time.Now()
		if ctx.Err() != nil {
			if end.IsZero() {
				end = now.Add(drainTotal)
			}
			if now.After(end) || err != nil && !holds(conn) {
				return nil
			}
			conn.SetReadDeadline(now.Add(drainIdle))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
		}
		switch {
		case err == nil:
			_ = c.Decode(buf[:n], from, now, emit) // counted
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		default:
			return err
		}
	}
}

// holds reports whether a datagram waits in the socket: who did not get the CPU for drainIdle finds
// the deadline over, and is not told of it.
func holds(conn *net.UDPConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	octets := 0
	_ = raw.Control(func(fd uintptr) { octets, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }) // udp(7)
	return octets > 0
}
