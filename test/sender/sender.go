//go:build linux

package sender

import (
	"errors"
	"fmt"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batch    = 64   // frames handed to the kernel by one call
	maxFrame = 2048 // octets
)

// Sender sends frames on one interface. It is used by one goroutine.
type Sender struct {
	fd      int
	buffers [batch][]byte
	vectors [batch]unix.Iovec
	headers [batch]mmsghdr
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	msg unix.Msghdr
	len uint32
}

// Open returns a Sender for an interface of the namespace that the calling
// thread is in; it stays there, wherever it is used.
func Open(name string) (*Sender, error) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	// Protocol 0 receives nothing, packet(7).
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	s := &Sender{fd: fd}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
		s.Close()
		return nil, fmt.Errorf("bind to %s: %w", name, err)
	}
	for i := range s.buffers {
		s.buffers[i] = make([]byte, 0, maxFrame)
		s.headers[i].msg.Iov = &s.vectors[i]
		s.headers[i].msg.SetIovlen(1)
	}
	return s, nil
}

// Close releases the socket.
func (s *Sender) Close() error { return unix.Close(s.fd) }

// Send sends n frames, each made by next, which appends it to a buffer of at
// most 2048 octets. rate is in frames a second; 0 means as fast as possible.
//
// The kernel has taken every frame when Send returns nil, in order. A frame that
// it refuses because a queue is full is offered again.
func (s *Sender) Send(next func(b []byte) []byte, n, rate int) error {
	size := batch
	if rate > 0 {
		size = min(batch, 1+rate/2000) // a pause of half a millisecond is about what the clock gives
	}
	begun := time.Now()
	for sent := 0; sent < n; {
		if rate > 0 {
			due := time.Duration(float64(sent) / float64(rate) * float64(time.Second))
			time.Sleep(due - time.Since(begun))
		}
		k := min(size, n-sent)
		for i := range k {
			if err := s.fill(i, next); err != nil {
				return err
			}
		}
		if err := s.flush(s.headers[:k]); err != nil {
			return err
		}
		sent += k
	}
	return nil
}

// fill puts the next frame into slot i.
func (s *Sender) fill(i int, next func(b []byte) []byte) error {
	b := next(s.buffers[i][:0])
	if len(b) == 0 || len(b) > maxFrame {
		return fmt.Errorf("a frame has %d octets", len(b))
	}
	s.buffers[i] = b
	s.vectors[i].Base = &b[0]
	s.vectors[i].SetLen(len(b))
	return nil
}

// flush sends all of h.
func (s *Sender) flush(h []mmsghdr) error {
	for len(h) > 0 {
		// x/sys has no wrapper for sendmmsg(2).
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&h[0])), uintptr(len(h)), 0, 0, 0)
		if errno != 0 {
			if errors.Is(errno, unix.ENOBUFS) || errors.Is(errno, unix.EINTR) || errors.Is(errno, unix.EAGAIN) {
				continue
			}
			return fmt.Errorf("send frames: %w", errno)
		}
		h = h[n:]
	}
	return nil
}
