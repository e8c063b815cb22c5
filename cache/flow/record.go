package flow

import "net/netip"

// EndReason tells why a flow left the cache. The values are those of
// flowEndReason, IANA information element 136.
type EndReason uint8

const (
	IdleTimeout     EndReason = 1
	ActiveTimeout   EndReason = 2
	EndOfFlow       EndReason = 3 // TCP FIN or RST
	ForcedEnd       EndReason = 4 // shutdown, or an operator's clear
	LackOfResources EndReason = 5 // the cache was full
)

// EndReasons is one more than the largest EndReason, for arrays indexed by it.
const EndReasons = 6

// String returns the reason in the words of the IANA registry.
func (r EndReason) String() string {
	switch r {
	case IdleTimeout:
		return "idle timeout"
	case ActiveTimeout:
		return "active timeout"
	case EndOfFlow:
		return "end of flow detected"
	case ForcedEnd:
		return "forced end"
	case LackOfResources:
		return "lack of resources"
	}
	return "unknown"
}

// ForwardingStatus is what the forwarding table does with the flow. The values
// are those of forwardingStatus, IANA information element 89: two bits of
// status, six of reason (RFC 7270 §4.12).
type ForwardingStatus uint8

const (
	StatusUnknown   ForwardingStatus = 0   // no lookup was made
	Forwarded       ForwardingStatus = 64  // reason unknown
	Dropped         ForwardingStatus = 128 // blackhole route
	DroppedByPolicy ForwardingStatus = 129 // prohibit route ("ACL deny")
	Unroutable      ForwardingStatus = 131 // unreachable route, or none
	TerminatedHere  ForwardingStatus = 195 // delivered to this host ("terminate for us")
)

// statusClass masks the two bits of status.
const statusClass = 0xc0

// IsDropped reports whether the router shows the destination as Null.
func (s ForwardingStatus) IsDropped() bool { return s&statusClass == Dropped }

// IsLocal reports whether the router shows the destination as Local.
func (s ForwardingStatus) IsLocal() bool { return s&statusClass == 192 }

// Route is the forwarding decision that the first packet of a flow looked up,
// besides the egress interface; the flow keeps it for its life.
type Route struct {
	// NextHop is the gateway, laid out as Key.Src; NextHopVersion is 4 or 6 (an
	// IPv4 route may have an IPv6 gateway), or 0 where the destination is on
	// the link or there is no route.
	NextHop                    [16]byte
	NextHopVersion             uint8
	SrcPrefixLen, DstPrefixLen uint8
	Status                     ForwardingStatus
}

// NextHopAddr returns the gateway, or the zero Addr where there is none.
func (r *Route) NextHopAddr() netip.Addr { return addr(r.NextHopVersion, &r.NextHop) }

// Record is a Flow Record: the sum of a flow's packets, its route, and when
// and why it left the cache. It owns no memory of the table.
type Record struct {
	Packet
	Route
	End EndReason
	// Expired is the horizon at which the flow left the cache.
	Expired Time
	// SrcAS and DstAS are the autonomous systems that the addresses belong to; 0 where it is
	// not known, as to the cache.
	SrcAS, DstAS uint32
}
