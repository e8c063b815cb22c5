//go:build linux

package route

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// asker asks the kernel for the route of a packet (RTM_GETROUTE, rtnetlink(7)).
type asker struct{ socket }

// route asks for the route of a packet of k. Its prefix length is that of the
// matched route only with RTM_F_FIB_MATCH in flags; the next hop is the one that
// the packet takes only without.
func (a *asker) route(k *flow.Key, label uint32, flags uint32) (spec, error) {
	s, err := a.get(a.build(k, label, flags, true))
	if err == unix.EINVAL && k.Input == 0 {
		// The source of a packet that this host sends has to be its own; of one
		// that it forwards, seen as it leaves, it is not.
		s, err = a.get(a.build(k, label, flags, false))
	}
	return s, err
}

func (a *asker) get(request []byte) (spec, error) {
	m, err := a.exchange(unix.RTM_GETROUTE, request)
	if err != nil {
		return spec{}, err
	}
	if u, ok := parseRoute(m.data); ok && m.kind == unix.RTM_NEWROUTE {
		return u.spec, nil
	}
	return spec{}, errNoAnswer
}

// build writes the request for k and returns it.
func (a *asker) build(k *flow.Key, label uint32, flags uint32, withSource bool) []byte {
	family, size := byte(unix.AF_INET), 4
	if k.Version == 6 {
		family, size = unix.AF_INET6, 16
	}
	b := a.begin()
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
			b = appendPort(b, unix.RTA_SPORT, k.SrcPort)
		}
		if k.DstPort != 0 {
			b = appendPort(b, unix.RTA_DPORT, k.DstPort)
		}
	case k.IsICMP():
		b = appendAttr(b, unix.RTA_IP_PROTO, []byte{k.Protocol})
	}
	return b
}
