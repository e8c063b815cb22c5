package export

import (
	"encoding/binary"
	"errors"
	"net"
	"runtime"
	"syscall"
	"unsafe"
)

const (
	solUDP     = 17  // of linux/socket.h
	udpSegment = 103 // UDP_SEGMENT of linux/udp.h
)

// A segmentedSocket has the kernel cut what is written into datagrams (UDP_SEGMENT,
// Linux 4.18).
type segmentedSocket struct {
	*net.UDPConn
	control []byte // a message with the size, as cmsg(3) lays it out
}

// segmented returns conn, able to send bursts where the kernel is.
func segmented(conn *net.UDPConn) socket {
	raw, err := conn.SyscallConn()
	if err != nil || runtime.GOOS != "linux" {
		return conn
	}
	// An older kernel would not refuse the control message but ignore it.
	known := false
	_ = raw.Control(func(fd uintptr) {
		known = syscall.SetsockoptInt(int(fd), solUDP, udpSegment, 0) == nil
	})
	if !known {
		return conn
	}
	s := segmentedSocket{conn, make([]byte, syscall.CmsgSpace(2))}
	h := (*syscall.Cmsghdr)(unsafe.Pointer(&s.control[0]))
	h.Level, h.Type = solUDP, udpSegment
	h.SetLen(syscall.CmsgLen(2))
	return s
}

func (s segmentedSocket) writeBurst(b []byte, size int) error {
	binary.NativeEndian.PutUint16(s.control[syscall.CmsgLen(0):], uint16(size))
	_, _, err := s.WriteMsgUDP(b, s.control, nil)
	return err
}

// wantsSingly reports whether the kernel may send the datagrams one by one that it
// refused as a burst: because of IPsec (EIO), or because they are longer than the MTU
// (net/ipv4/udp.c).
func wantsSingly(err error) bool {
	for _, e := range []syscall.Errno{syscall.EIO, syscall.EINVAL, syscall.EMSGSIZE, syscall.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
