//go:build linux

package kernel

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/capture/link"
)

// A waiter sleeps until the program asks for attention. It waits for the wake-up
// itself (edge-triggered), not for there to be something in a ring: most records
// are made without one, to be read when it suits us.
type waiter struct {
	epoll  int
	waker  *link.Waker
	events [16]unix.EpollEvent
}

func newWaiter(rings []ring) (*waiter, error) {
	waker, err := link.NewWaker()
	if err != nil {
		return nil, err
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		waker.Close()
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	w := &waiter{epoll: fd, waker: waker}
	err = w.add(waker.FD(), unix.EPOLLIN)
	for i := range rings {
		if err == nil {
			err = w.add(rings[i].fd, unix.EPOLLIN|unix.EPOLLET)
		}
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *waiter) add(fd int, events uint32) error {
	err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("wait for the rings: %w", err)
	}
	return nil
}

// wait returns when a ring or the waker calls, or after the timeout.
func (w *waiter) wait(timeout time.Duration) error {
	n, err := unix.EpollWait(w.epoll, w.events[:], int((timeout+time.Millisecond-1)/time.Millisecond))
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("wait for the program: %w", err)
	}
	for i := range max(n, 0) {
		if int(w.events[i].Fd) == w.waker.FD() {
			w.waker.Rest()
		}
	}
	return nil
}

// wake ends the wait that is under way, or the next one. Any goroutine may call it.
func (w *waiter) wake() { w.waker.Wake() }

func (w *waiter) close() {
	w.waker.Close()
	_ = unix.Close(w.epoll)
}
