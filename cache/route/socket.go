//go:build linux

package route

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// askTimeout bounds the wait for an answer. The kernel answers within the system
// call that asks, so that only a defect of the socket makes it wait at all.
var askTimeout = unix.Timeval{Usec: 100_000}

// socket asks the kernel one question at a time.
type socket struct {
	fd      int
	seq     uint32
	request [256]byte
	reply   [8192]byte
}

// open opens the socket in the network namespace of the calling thread.
func (s *socket) open(protocol int) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	s.fd = fd
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &askTimeout); err != nil {
		s.close()
		return fmt.Errorf("bound the wait on a netlink socket: %w", err)
	}
	// Connected to the kernel, the socket takes messages from nobody else.
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		s.close()
		return fmt.Errorf("connect netlink socket: %w", err)
	}
	return nil
}

func (s *socket) close() error { return unix.Close(s.fd) }

// begin returns the buffer of a request, with room for the header alone.
func (s *socket) begin() []byte { return append(s.request[:0], make([]byte, sizeofHeader)...) }

// exchange completes the header of a request, sends it, and returns the answer,
// which is valid until the next request. It passes over answers to earlier
// requests that were given up. Its errors are the kernel's errno or errNoAnswer.
func (s *socket) exchange(kind uint16, request []byte) (message, error) {
	s.seq++
	native.PutUint32(request, uint32(len(request)))
	native.PutUint16(request[4:], kind)
	native.PutUint16(request[6:], unix.NLM_F_REQUEST)
	native.PutUint32(request[8:], s.seq)
	if _, err := unix.Write(s.fd, request); err != nil {
		return message{}, errNoAnswer
	}
	for range 16 {
		n, err := unix.Read(s.fd, s.reply[:])
		if err != nil {
			if err == unix.EINTR {
				continue
			}
			return message{}, errNoAnswer
		}
		for m := range messages(s.reply[:n]) {
			if m.seq == s.seq {
				return m, m.err()
			}
		}
	}
	return message{}, errNoAnswer
}

// errNoAnswer stands for whatever failed on the way: the errnos that the kernel
// answers with have a meaning of their own.
var errNoAnswer = errors.New("no answer from the kernel")

// err returns the errno of an error message: struct nlmsgerr begins with it,
// negative.
func (m *message) err() error {
	if m.kind != unix.NLMSG_ERROR {
		return nil
	}
	if e := -int32(number(m.data)); e != 0 {
		return syscall.Errno(e)
	}
	return errNoAnswer // an acknowledgement, which nobody asked for
}

func appendAttr(b []byte, kind uint16, v []byte) []byte {
	b = native.AppendUint16(b, uint16(sizeofAttr+len(v)))
	b = native.AppendUint16(b, kind)
	b = append(b, v...)
	return append(b, make([]byte, align(len(v))-len(v))...)
}

func appendAttr32(b []byte, kind uint16, v uint32) []byte {
	b = native.AppendUint16(b, sizeofAttr+4)
	b = native.AppendUint16(b, kind)
	return native.AppendUint32(b, v)
}

// appendPort appends a port, which netlink has in network byte order.
func appendPort(b []byte, kind, port uint16) []byte {
	return appendAttr(b, kind, []byte{byte(port >> 8), byte(port)})
}
