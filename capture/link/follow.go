//go:build linux

package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settle is how long Follow waits for further changes after one.
	settle = 20 * time.Millisecond
	// retry is after which time Follow calls a look again that failed.
	retry = time.Second
)

// Follow calls look at once, after each change of the interfaces of the calling
// thread's network namespace, and a second after it failed; the same error is
// logged once. With addresses, which is for interfaces that were not named, it
// also follows what Choose then goes by. It returns nil when ctx is done, or
// after the first change at which stopped says so.
func Follow(ctx context.Context, addresses bool, stopped func() bool, log *slog.Logger, look func() error) error {
	fd, err := subscribe(addresses)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	w, err := NewWaker()
	if err != nil {
		return err
	}
	defer w.Close()
	defer context.AfterFunc(ctx, w.Wake)()
	poll := []unix.PollFd{{Fd: int32(w.FD()), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	for said := ""; ; {
		// Look first: something may have changed before the subscription.
		timeout := -1
		if err := look(); err == nil {
			said = ""
		} else {
			if said != err.Error() {
				said = err.Error()
				log.Error("follow the interfaces", "err", err)
			}
			timeout = int(retry.Milliseconds())
		}
		if _, err := unix.Poll(poll, timeout); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for changes of the interfaces: %w", err)
		}
		if ctx.Err() != nil || stopped() {
			return nil
		}
		time.Sleep(settle)
		if err := forget(fd); err != nil {
			return fmt.Errorf("follow the interfaces: %w", err)
		}
	}
}

// subscribe opens a socket that becomes readable when an interface changes;
// with addresses, also when an address or, where the host does not forward, a
// route does.
func subscribe(addresses bool) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("follow the interfaces: %w", err)
	}
	groups := uint32(unix.RTMGRP_LINK)
	if addresses {
		groups |= unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
		if !forwards() {
			groups |= unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("follow the interfaces: %w", err)
	}
	return fd, nil
}

// forget reads the notifications away: what changed is seen by looking. That
// some were lost (ENOBUFS) therefore does not matter.
func forget(fd int) error {
	var b [8192]byte
	for {
		_, _, err := unix.Recvfrom(fd, b[:], 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR):
			return err
		}
	}
}
