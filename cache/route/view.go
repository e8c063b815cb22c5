//go:build linux

package route

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// view is what Readers look up in. It does not change; what it points to does,
// by the Table's goroutine alone and in ways that Readers may see at any time.
type view struct {
	tables *tables
	// doubtful is set, by family, where only the kernel knows: the rules are not
	// the default ones, or the tables miss changes.
	doubtful [2]bool
	// fallback is set where IPv4's table default has, or had, routes.
	fallback bool
	// fib is the one of IPv4's table main where the quick way may be tried.
	fib *fib
}

// quick is the common case of what follows: an IPv4 destination that no matter
// of the table local comes near, by a route that is certain and leads out. It is
// kept short so that the processor has the loads of several lookups under way at
// a time.
func (v *view) quick(k *flow.Key, r *flow.Route) (egress uint32, ok bool) {
	dst, src := binary.BigEndian.Uint32(k.Dst[:]), binary.BigEndian.Uint32(k.Src[:])
	to, from := v.fib.lookup(dst), v.fib.lookup(src)
	if to == nil || from == nil || v.tables.ribs[v4].local.near.has(dst) || to.trusted() != certain || to.egress == 0 {
		return 0, false
	}
	*r = to.answer
	r.SrcPrefixLen = from.bits
	return to.egress, true
}

// match is what the tables say of a key.
type match struct {
	route   *route // nil for none
	srcBits uint8
	trust   trust
}

// match looks up both addresses of k.
func (v *view) match(k *flow.Key) match {
	if k.Version == 4 {
		return v.match4(k)
	}
	return v.match6(k)
}

func (v *view) match4(k *flow.Key) (m match) {
	t := &v.tables.ribs[v4]
	dst := binary.BigEndian.Uint32(k.Dst[:])
	if src := t.main.lookup4(binary.BigEndian.Uint32(k.Src[:])); src != nil {
		m.srcBits = src.bits
	}
	m.decide(t.local.lookup4(dst), t.main.lookup4(dst))
	if v.doubtful[v4] || special4(k) || m.route == nil && v.fallback {
		m.trust = doubtful
	}
	return m
}

func (v *view) match6(k *flow.Key) (m match) {
	t := &v.tables.ribs[v6]
	dst := netip.AddrFrom16(k.Dst)
	if src := t.main.trie.lookup(netip.AddrFrom16(k.Src)); src != nil {
		m.srcBits = src.bits
	}
	m.decide(t.local.trie.lookup(dst), t.main.trie.lookup(dst))
	if v.doubtful[v6] || special6(k) {
		m.trust = doubtful
	}
	return m
}

// decide chooses among the routes that the tables local and main have for the
// destination; each may be nil.
func (m *match) decide(local, main *route) {
	switch m.route = main; {
	case local != nil:
		m.route = local
		if main != nil && main.bits > local.bits {
			// IPv4's tables are one trie until a rule is added, in which the more
			// specific route wins (net/ipv4/fib_trie.c); then local comes first,
			// as it always does in IPv6.
			m.trust = doubtful
			return
		}
	case main == nil:
		return
	}
	m.trust = m.route.trusted()
}

// loopback is the ifIndex of lo in each network namespace (LOOPBACK_IFINDEX of
// include/net/flow.h).
const loopback = 1

// special4 reports whether the kernel treats the destination by rules of its
// own: loopback that does not come from lo, this network, and what this host sends to a group or to all.
func special4(k *flow.Key) bool {
	switch a := k.Dst[0]; {
	case a == 127:
		return k.Input > loopback
	case a == 0 || a>>4 == 0xe:
		return true
	}
	return [4]byte(k.Dst[:4]) == [4]byte{255, 255, 255, 255}
}

// special6 reports whether the destination's meaning depends on an interface:
// multicast, link-local, and loopback that does not come from lo.
func special6(k *flow.Key) bool {
	switch k.Dst[0] {
	case 0:
		return k.Input > loopback && [15]byte(k.Dst[:15]) == [15]byte{}
	case 0xfe:
		return k.Dst[1]&0xc0 == 0x80
	}
	return k.Dst[0] == 0xff
}

// ends reports whether the destination of a packet that came in is a group or
// all hosts of the link, beyond which it is not forwarded.
func ends(k *flow.Key) bool {
	if k.Input == 0 {
		return false
	}
	if k.Version == 4 {
		return k.Dst[0]>>4 == 0xe || [4]byte(k.Dst[:4]) == [4]byte{255, 255, 255, 255}
	}
	return k.Dst[0] == 0xff
}

// fill writes what a route to s does to a flow of k, and returns its egress
// interface. The source's prefix length is left alone.
func fill(s *spec, k *flow.Key, r *flow.Route) (egress uint32) {
	r.NextHop, r.NextHopVersion, r.DstPrefixLen = [16]byte{}, 0, s.bits
	switch s.kind {
	case unix.RTN_UNICAST:
		r.Status = flow.Forwarded
		r.NextHop, r.NextHopVersion = s.gw, s.gwVersion
		return s.oif
	case unix.RTN_LOCAL, unix.RTN_ANYCAST:
		r.Status = flow.TerminatedHere
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST:
		if k.Input == 0 {
			r.Status = flow.Forwarded
			return s.oif
		}
		r.Status = flow.Unroutable
	case unix.RTN_BLACKHOLE:
		r.Status = flow.Dropped
	case unix.RTN_PROHIBIT:
		r.Status = flow.DroppedByPolicy
	default:
		r.Status = flow.Unroutable
	}
	return 0
}
