//go:build linux

package afpacket

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// A waker ends a poll(2) from another goroutine, by an eventfd(2).
type waker struct {
	mu sync.Mutex
	fd int // -1 once it is closed
}

func newWaker() (*waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	return &waker{fd: fd}, nil
}

// wake ends the poll that is under way, or the next one.
func (w *waker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		one := [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // any number, in either byte order
		_, _ = unix.Write(w.fd, one[:])        // EAGAIN: it is awake already
	}
}

// rest makes the waker ready for the next wake.
func (w *waker) rest() {
	var b [8]byte
	_, _ = unix.Read(w.fd, b[:])
}

func (w *waker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
		w.fd = -1
	}
}
