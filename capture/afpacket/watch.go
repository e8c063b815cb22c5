//go:build linux

package afpacket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settle is how long Run waits for further changes after one.
	settle = 20 * time.Millisecond
	// retry is after which time Run tries again what failed.
	retry = time.Second
)

// Run attaches interfaces that come and detaches those that go, until ctx is
// done or the capture is stopped; it then returns nil. It must run in the
// network namespace of Open.
func (c *Capture) Run(ctx context.Context) error {
	fd, err := c.subscribe()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	w, err := newWaker()
	if err != nil {
		return err
	}
	defer w.close()
	defer context.AfterFunc(ctx, w.wake)()
	poll := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	for said := ""; ; {
		// Look first: something may have changed since Open.
		timeout := -1
		if err := c.rescan(); err != nil {
			if said != err.Error() {
				said = err.Error()
				c.cfg.Log.Error("follow the interfaces", "err", err)
			}
			timeout = int(retry.Milliseconds())
		}
		if _, err := unix.Poll(poll, timeout); err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for changes of the interfaces: %w", err)
		}
		if ctx.Err() != nil || c.isStopped() {
			return nil
		}
		time.Sleep(settle)
		if err := forget(fd); err != nil {
			return fmt.Errorf("follow the interfaces: %w", err)
		}
	}
}

// subscribe opens a socket that becomes readable when an interface changes;
// where the interfaces were not named, also when an address or a route does.
func (c *Capture) subscribe() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("follow the interfaces: %w", err)
	}
	groups := uint32(unix.RTMGRP_LINK)
	if len(c.cfg.Interfaces) == 0 {
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

// rescan looks at the interfaces and brings the capture in line.
func (c *Capture) rescan() error {
	links, err := listLinks()
	if err != nil {
		return err
	}
	chosen, err := choose(links, c.cfg.Interfaces)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.names()
	err = c.apply(links, chosen)
	c.logChanges(before, c.names())
	return err
}

// logChanges says which interfaces came and went; both lists are sorted.
func (c *Capture) logChanges(before, after []string) {
	had := map[string]bool{}
	for _, name := range before {
		had[name] = true
	}
	for _, name := range after {
		if !had[name] {
			c.cfg.Log.Info("interface added", "interface", name)
		}
		delete(had, name)
	}
	for _, name := range before {
		if had[name] {
			c.cfg.Log.Info("interface gone", "interface", name)
		}
	}
}

func (c *Capture) isStopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}
