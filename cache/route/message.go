//go:build linux

package route

import (
	"encoding/binary"
	"iter"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Lengths and offsets are those of struct nlmsghdr (linux/netlink.h), rtmsg,
// rtattr and rtnexthop (linux/rtnetlink.h); netlink is in host byte order.
const (
	sizeofHeader  = unix.SizeofNlMsghdr
	sizeofRtMsg   = unix.SizeofRtMsg
	sizeofAttr    = unix.SizeofRtAttr
	sizeofNexthop = unix.SizeofRtNexthop
)

// rtaNexthopID is RTA_NH_ID of linux/rtnetlink.h.
const rtaNexthopID = 30

var native = binary.NativeEndian

// message is one netlink message; data aliases the buffer it was read into.
type message struct {
	kind, flags uint16
	seq         uint32
	data        []byte
}

// messages yields those of a datagram, up to the first that is malformed.
func messages(b []byte) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= sizeofHeader {
			n := int(native.Uint32(b))
			if n < sizeofHeader || n > len(b) {
				return
			}
			m := message{native.Uint16(b[4:]), native.Uint16(b[6:]), native.Uint32(b[8:]), b[sizeofHeader:n]}
			if !yield(m) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

// attributes yields the type and the value of each attribute in b, up to the
// first that is malformed. Flags are taken off the type.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= sizeofAttr {
			n := int(native.Uint16(b))
			if n < sizeofAttr || n > len(b) {
				return
			}
			if !yield(native.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[sizeofAttr:n]) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

func align(n int) int { return (n + 3) &^ 3 }

// number returns a 32-bit attribute, 0 where it is too short.
func number(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return native.Uint32(v)
}

// parseRoute reads the payload of an RTM_NEWROUTE or RTM_DELROUTE message;
// ok is false where it is not one of IPv4 or IPv6 unicast routing.
func parseRoute(b []byte) (u update, ok bool) {
	if len(b) < sizeofRtMsg {
		return u, false
	}
	family, s := b[0], &u.spec
	s.bits, s.srcBits, s.tos, s.proto, s.scope, s.kind = b[1], b[2], b[3], b[5], b[6], b[7]
	u.table = uint32(b[4])
	u.cloned = native.Uint32(b[8:])&unix.RTM_F_CLONED != 0
	var dst [16]byte
	for t, v := range attributes(b[sizeofRtMsg:]) {
		switch t {
		case unix.RTA_DST:
			copy(dst[:], v)
		case unix.RTA_TABLE:
			u.table = number(v)
		case unix.RTA_PRIORITY:
			s.priority = number(v)
		case rtaNexthopID:
			s.nhid = number(v)
		case unix.RTA_PREFSRC:
			if len(v) == len(s.prefsrc) {
				copy(s.prefsrc[:], v)
			}
		case unix.RTA_MULTIPATH:
			s.multipath = true
			s.firstHop(v)
		case unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_VIA:
			s.hop(t, v)
		}
	}
	var addr netip.Addr
	switch family {
	case unix.AF_INET:
		addr, s.version = netip.AddrFrom4([4]byte(dst[:4])), 4
	case unix.AF_INET6:
		addr, s.version = netip.AddrFrom16(dst), 6
	default:
		return u, false
	}
	u.prefix, _ = addr.Prefix(int(s.bits))
	return u, u.prefix.IsValid()
}

// hop takes one attribute of a next hop.
func (s *spec) hop(t uint16, v []byte) {
	switch t {
	case unix.RTA_OIF:
		s.oif = number(v)
	case unix.RTA_GATEWAY:
		s.gateway(v)
	case unix.RTA_VIA: // struct rtvia: family, address
		if len(v) > 2 {
			s.gateway(v[2:])
		}
	}
}

func (s *spec) gateway(v []byte) {
	switch len(v) {
	case 4:
		s.gwVersion = 4
	case 16:
		s.gwVersion = 6
	default:
		return
	}
	s.gw = [16]byte{}
	copy(s.gw[:], v)
}

// firstHop takes the first struct rtnexthop of a multipath attribute: length,
// flags, hops, interface, and its attributes.
func (s *spec) firstHop(v []byte) {
	if len(v) < sizeofNexthop {
		return
	}
	n := min(int(native.Uint16(v)), len(v))
	s.oif = native.Uint32(v[4:])
	for t, v := range attributes(v[min(sizeofNexthop, n):n]) {
		s.hop(t, v)
	}
}
