//go:build linux

package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// askTimeout bounds the wait for an answer. The kernel answers within the system
// call that asks, so that only a defect of the socket makes it wait at all.
var askTimeout = unix.Timeval{Usec: 100_000}

// asker asks the kernel for the route of a packet (RTM_GETROUTE, rtnetlink(7)).
type asker struct {
	fd      int
	seq     uint32
	request [256]byte
	reply   [8192]byte
}

func (a *asker) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	a.fd = fd
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &askTimeout); err != nil {
		a.close()
		return fmt.Errorf("bound the wait on a netlink socket: %w", err)
	}
	// Connected to the kernel, the socket takes messages from nobody else.
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		a.close()
		return fmt.Errorf("connect netlink socket: %w", err)
	}
	return nil
}

func (a *asker) close() error { return unix.Close(a.fd) }

// route asks for the route of a packet of k. Its prefix length is that of the
// matched route only with RTM_F_FIB_MATCH in flags; the next hop is the one that
// the packet takes only without.
func (a *asker) route(k *flow.Key, label uint32, flags uint32) (spec, error) {
	ans, err := a.exchange(a.build(k, label, flags, true))
	if err == unix.EINVAL && k.Input == 0 {
		// The source of a packet that this host sends has to be its own; of one
		// that it forwards, seen as it leaves, it is not.
		ans, err = a.exchange(a.build(k, label, flags, false))
	}
	return ans, err
}

// build writes the request for k and returns it.
func (a *asker) build(k *flow.Key, label uint32, flags uint32, withSource bool) []byte {
	a.seq++
	family, size := byte(unix.AF_INET), 4
	if k.Version == 6 {
		family, size = unix.AF_INET6, 16
	}
	b := append(a.request[:0], make([]byte, sizeofHeader)...)
	b = append(b, family, byte(size*8), 0, k.ToS&^3, 0, 0, 0, 0) // struct rtmsg; ECN is no part of a choice
	b = native.AppendUint32(b, flags|unix.RTM_F_LOOKUP_TABLE)
	b = appendAttr(b, unix.RTA_DST, k.Dst[:size])
	if withSource {
		b[sizeofHeader+2] = byte(size * 8)
		b = appendAttr(b, unix.RTA_SRC, k.Src[:size])
	}
	if k.Input != 0 {
		b = appendAttr32(b, unix.RTA_IIF, k.Input)
	}
	b = appendTransport(b, k)
	if label != 0 && family == unix.AF_INET6 {
		var v [4]byte
		binary.BigEndian.PutUint32(v[:], label)
		b = appendAttr(b, rtaFlowLabel, v[:])
	}
	native.PutUint32(b, uint32(len(b)))
	native.PutUint16(b[4:], unix.RTM_GETROUTE)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST)
	native.PutUint32(b[8:], a.seq)
	return b
}

// rtaFlowLabel is RTA_FLOWLABEL of linux/rtnetlink.h, since 6.14.
const rtaFlowLabel = 31

// appendTransport appends protocol and ports of those protocols for which
// net/ipv4/fib_frontend.c, rtm_getroute_parse_ip_proto, takes them.
func appendTransport(b []byte, k *flow.Key) []byte {
	switch {
	case k.Protocol == flow.ProtocolTCP || k.Protocol == flow.ProtocolUDP:
		b = appendAttr(b, unix.RTA_IP_PROTO, []byte{k.Protocol})
		if k.SrcPort != 0 {
			b = appendAttr(b, unix.RTA_SPORT, []byte{byte(k.SrcPort >> 8), byte(k.SrcPort)})
		}
		if k.DstPort != 0 {
			b = appendAttr(b, unix.RTA_DPORT, []byte{byte(k.DstPort >> 8), byte(k.DstPort)})
		}
	case k.IsICMP():
		b = appendAttr(b, unix.RTA_IP_PROTO, []byte{k.Protocol})
	}
	return b
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

// exchange sends a request and reads its reply, passing over those of earlier
// requests that were given up.
func (a *asker) exchange(request []byte) (spec, error) {
	if _, err := unix.Write(a.fd, request); err != nil {
		return spec{}, errNoAnswer
	}
	for range 16 {
		n, err := unix.Read(a.fd, a.reply[:])
		if err != nil {
			if err == unix.EINTR {
				continue
			}
			return spec{}, errNoAnswer
		}
		for m := range messages(a.reply[:n]) {
			if m.seq == a.seq {
				return m.answer()
			}
		}
	}
	return spec{}, errNoAnswer
}

// errNoAnswer stands for whatever failed on the way: the errnos that the kernel
// answers with have a meaning of their own.
var errNoAnswer = errors.New("no answer from the kernel")

func (m *message) answer() (spec, error) {
	switch m.kind {
	case unix.NLMSG_ERROR: // struct nlmsgerr begins with the negative errno
		if e := -int32(number(m.data)); e != 0 {
			return spec{}, syscall.Errno(e)
		}
	case unix.RTM_NEWROUTE:
		if u, ok := parseRoute(m.data); ok {
			return u.spec, nil
		}
	}
	return spec{}, errNoAnswer
}
