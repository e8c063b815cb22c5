//go:build linux

package route

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// view is what Readers look up in. It does not change; what it points to does,
// by the Table's goroutine alone and in ways that Readers may see at any time.
type view struct {
	tables *tables
	// custom is set, by family, where the rules are not the default ones.
	custom [2]bool
	// behind is set while the tables are known to miss changes.
	behind bool
	// fallback is set where IPv4's table default has, or had, routes.
	fallback bool
}

// match is what the tables say of a key.
type match struct {
	route   *route // nil for none
	srcBits uint8
	trust   trust
}

// match looks up both addresses of k.
func (v *view) match(k *flow.Key) (m match) {
	var local, main, src *route
	family, special := v4, false
	if k.Version == 4 {
		dst, t := [4]byte(k.Dst[:4]), &v.tables.ribs[v4]
		local, main = t.local.trie.lookup(netip.AddrFrom4(dst)), t.main.fib.lookup(dst)
		src = t.main.fib.lookup([4]byte(k.Src[:4]))
		special = special4(k)
	} else {
		dst, t := netip.AddrFrom16(k.Dst), &v.tables.ribs[v6]
		local, main = t.local.trie.lookup(dst), t.main.trie.lookup(dst)
		src = t.main.trie.lookup(netip.AddrFrom16(k.Src))
		family, special = v6, special6(k)
	}
	if src != nil {
		m.srcBits = src.bits
	}
	m.route = main
	if local != nil {
		m.route = local
	}
	switch {
	case special || v.behind || v.custom[family]:
		m.trust = doubtful
	case m.route == nil:
		if family == v4 && v.fallback {
			m.trust = doubtful
		}
	case local != nil && main != nil && main.bits > local.bits:
		// IPv4's tables are one trie until a rule is added, in which the more
		// specific route wins (net/ipv4/fib_trie.c); then local comes first, as
		// it always does in IPv6.
		m.trust = doubtful
	default:
		m.trust = m.route.trusted()
	}
	return m
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
// multicast and link-local.
func special6(k *flow.Key) bool {
	return k.Dst[0] == 0xff || k.Dst[0] == 0xfe && k.Dst[1]&0xc0 == 0x80
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
