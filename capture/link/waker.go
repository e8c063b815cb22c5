//go:build linux

package link

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// A Waker ends a poll(2) from another goroutine, by an eventfd(2). Wake may be
// called by any goroutine, also after Close; the rest by the one that polls.
type Waker struct {
	mu sync.Mutex
	fd int // -1 once it is closed
}

// NewWaker makes a waker, which must be closed.
func NewWaker() (*Waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	return &Waker{fd: fd}, nil
}

// FD is what to poll for POLLIN; -1 once the waker is closed.
func (w *Waker) FD() int { return w.fd }

// Wake ends the poll that is under way, or the next one.
func (w *Waker) Wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // any number, in either byte order
		_, _ = unix.Write(w.fd, one[:])        // EAGAIN: it is awake already
	}
}

// Rest makes the waker ready for the next Wake.
func (w *Waker) Rest() {
	var b [8]byte
	_, _ = unix.Read(w.fd, b[:])
}

// Close closes the eventfd. It may be called again.
func (w *Waker) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
		w.fd = -1
	}
}
