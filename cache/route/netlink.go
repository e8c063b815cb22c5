//go:build linux

package route

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// groups are the multicast groups of what a Table follows. Each fits the 32 bits
// of struct sockaddr_nl.
var groups = []uint{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, // an address takes its IPv4 routes with it
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	unix.RTNLGRP_NEXTHOP,
}

// listener reads notifications.
type listener struct{ file *os.File }

// listen subscribes to groups in the network namespace of the calling thread.
func listen(receiveBuffer int) (*listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	l := &listener{os.NewFile(uintptr(fd), "netlink")}
	// Beyond rmem_max only with CAP_NET_ADMIN (socket(7)).
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	addr := unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	for _, g := range groups {
		addr.Groups |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, &addr); err != nil {
		l.file.Close()
		return nil, fmt.Errorf("subscribe to netlink groups: %w", err)
	}
	// Connected to the kernel, the socket takes messages from nobody else.
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		l.file.Close()
		return nil, fmt.Errorf("connect netlink socket: %w", err)
	}
	return l, nil
}

// read waits for a datagram until the deadline. Its errors are
// os.ErrDeadlineExceeded, unix.ENOBUFS after an overrun, or fatal.
func (l *listener) read(b []byte, deadline time.Time) (int, error) {
	if err := l.file.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return l.file.Read(b)
}

// dumper reads whole tables.
type dumper struct{ sockets map[int]*nl.SocketHandle }

// dumpTimeout bounds the wait for each datagram of a dump.
var dumpTimeout = unix.Timeval{Sec: 10}

// newDumper opens a socket in the network namespace of the calling thread.
func newDumper() (*dumper, error) {
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	if err := s.SetReceiveTimeout(&dumpTimeout); err != nil {
		s.Close()
		return nil, fmt.Errorf("bound the wait on a netlink socket: %w", err)
	}
	return &dumper{map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}}, nil
}

func (d *dumper) close() { d.sockets[unix.NETLINK_ROUTE].Socket.Close() }

// dump asks for all objects of the kind that get requests (RTM_GETROUTE …) for a
// family, and calls f with the payload of each; f may keep it.
func (d *dumper) dump(get int, family int, f func([]byte)) error {
	request := nl.NewNetlinkRequest(get, unix.NLM_F_DUMP)
	request.Sockets = d.sockets
	if get == unix.RTM_GETLINK {
		request.AddData(nl.NewIfInfomsg(family))
	} else {
		request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: uint8(family)}}) // fib_rule_hdr is of the same layout
	}
	err := request.ExecuteIter(unix.NETLINK_ROUTE, 0, func(b []byte) bool {
		f(b)
		return true
	})
	if errors.Is(err, nl.ErrDumpInterrupted) {
		return nil // what changed meanwhile is in the notifications
	}
	return err
}
