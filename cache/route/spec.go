//go:build linux

package route

import (
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// Families index arrays: IPv4, IPv6.
const (
	v4 = 0
	v6 = 1
)

// spec is what a routing message says of a route besides its prefix's address:
// enough to answer lookups, to tell the routes of one prefix apart, and to know
// which routes fall with an interface, an address or a nexthop object. A million
// routes share a few thousand specs.
type spec struct {
	gw        [16]byte // first octets for IPv4
	prefsrc   [4]byte  // IPv4 only: the route falls with this address
	oif       uint32
	priority  uint32 // metric; the lowest wins
	nhid      uint32 // nexthop object, or 0
	version   uint8  // of IP: 4 or 6
	gwVersion uint8  // 4, 6, or 0 for none
	bits      uint8  // prefix length
	srcBits   uint8  // IPv6 source-specific routing; 0 for all others
	kind      uint8  // rtm_type: unix.RTN_UNICAST …
	tos       uint8
	proto     uint8
	scope     uint8
	multipath bool // several next hops; gw and oif are the first one's
	contested bool // the kernel chooses among several routes of the prefix
}

// trust tells how far a route of the copy is the kernel's answer.
type trust uint32

const (
	certain  trust = iota // it is
	choice                // it matches, but the kernel chooses the next hop
	doubtful              // the kernel may have another
)

// trust returns how far s tells by itself what becomes of a flow.
func (s *spec) trust() trust {
	if s.contested || s.tos != 0 || s.srcBits != 0 {
		return doubtful
	}
	switch s.kind {
	case unix.RTN_UNICAST:
		if s.multipath || s.oif == 0 { // or a nexthop object that the message does not resolve
			return choice
		}
		return certain
	case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST,
		unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT:
		return certain
	}
	return doubtful // throw, and what is yet to come
}

// sameSlot reports whether the kernel keeps s and o under one key of a prefix,
// so that a replacement of the one is a replacement of the other.
func (s *spec) sameSlot(o *spec) bool {
	return s.priority == o.priority && s.tos == o.tos && s.srcBits == o.srcBits
}

// same reports whether s and o are one route. Next hops of a multipath route
// come and go within it.
func (s *spec) same(o *spec) bool {
	if s.multipath && o.multipath {
		return s.sameSlot(o) && s.kind == o.kind && s.nhid == o.nhid
	}
	return *s == *o
}

// route is a spec in use. Readers share it; the owner alone changes it.
type route struct {
	spec
	// level is its trust now: that of the spec, or doubtful while the interface
	// is without carrier, or for good once the kernel may have dropped the route.
	level atomic.Uint32
	// answer and egress are what a packet that came in finds, but for the
	// source's prefix length.
	answer  flow.Route
	egress  uint32
	retired bool   // owner's: doubtful for good; not to be used again
	refs    int    // owner's: candidates that use it
	index   uint32 // owner's: the fib's entry; 0 for none yet
}

func (r *route) trusted() trust { return trust(r.level.Load()) }

// update is one routing message.
type update struct {
	prefix netip.Prefix
	table  uint32
	spec   spec
	cloned bool // not a route of a table but an entry of the exception cache
}
