// Package route answers where the kernel sends a flow: egress interface, next
// hop and prefix lengths, from a copy of the forwarding table that netlink
// notifications keep current.
//
// # What is looked up in the copy, and what the kernel is asked
//
// The copy holds the tables local and main of IPv4 and IPv6. It answers alone,
// without a lock or an allocation, where it can know what the kernel does.
// Otherwise a Reader asks the kernel (RTM_GETROUTE with input interface,
// addresses, protocol, ports and type of service), once per new flow:
//
//   - where the matched route has several next hops, or its prefix has several
//     routes that the kernel chooses among by more than the metric;
//   - where policy rules other than the default ones exist (also those that a
//     VRF brings), or the table default has routes and main has none;
//   - where a route in main is more specific than a covering one in local (the
//     kernel's answer depends on whether it ever had a custom rule);
//   - for link-local and other special destinations;
//   - while the copy is known to be behind: until it is loaded, after an overrun
//     of the notifications, and for routes whose interface, address or nexthop
//     object went away (IPv4 routes then vanish without a notification).
//
// # What a flow's fields say
//
//   - Unicast: Forwarded, with the egress interface, and the next hop where the
//     route has a gateway.
//   - An address of this host, or an anycast one: TerminatedHere.
//   - Broadcast and multicast that came in: Unroutable. Such packets end on the
//     link; a router shows Null. Multicast routing is not consulted.
//   - Unreachable, or no route: Unroutable. Prohibit: DroppedByPolicy. Blackhole,
//     and what the kernel refuses as a martian when asked: Dropped.
//   - DstPrefixLen is that of the route that matched, as `ip route get fibmatch`
//     shows it: 32 for an address of this host. SrcPrefixLen is the longest match
//     for the source in the table main, so that it is the connected prefix for an
//     address of this host. Both are 0 for a default route and for none.
//
// A key without an input interface is looked up as this host's own packet. Where
// it was observed at egress and its source is another host's (the capture could
// not know the input interface), the source takes no part in the choice.
//
// # Behind NAT
//
// A packet to an address of this host may go on to another one: as a reply to
// what was masqueraded, or because a port leads to a server. So where a lookup
// comes out as TerminatedHere, connection tracking is asked (ctnetlink's
// IPCTNL_MSG_CT_GET, once per new flow) for the connection that has the packet's
// addresses, protocol and ports, and the route is looked up for the destination
// that takes the place of the packet's own. All fields are then that route's,
// DstPrefixLen too.
//
// Nothing is asked while the kernel has no connection tracking, or no connection
// in this network namespace; it is noticed within a second that this has changed.
// The question needs CAP_NET_ADMIN. Where it fails, it is put again after a
// minute, and the answers in between stay TerminatedHere. So do those
//
//   - about ICMP, which is tracked by an identifier that no key has, and about
//     fragments without ports;
//   - about connections in another zone than 0, and about what is translated
//     without connection tracking (IPVS, eBPF programs, stateless rules);
//   - about a connection from outside whose first packet has not left yet: the
//     kernel makes its entry as that packet leaves, and capture is seldom faster.
//
// A destination that is translated but is no address of this host, as of a pool
// that is routed here, is looked up as it is.
//
// # Limits
//
// Rules that match by fwmark or by uid are evaluated as for a packet with mark
// 0 and no owner: packets do not carry them on the wire. Reverse path filtering,
// the forwarding switch and martian sources are not judged unless the kernel is
// asked. Exceptions that ICMP redirects put beside the table are not seen.
//
// Of several next hops the kernel chooses by addresses (fib_multipath_hash_policy
// 0, the default) or by ports too (policy 1). By addresses its answer is exact in
// IPv4, and in IPv6 with the flow label that [Reader.LookupLabel] takes (kernels
// before 6.14 ignore it). By ports it is exact for TCP, UDP and ICMP, the
// protocols that can be asked for, unless the packet carries a hash from the
// network card, from receive packet steering or from a socket of this machine:
// the kernel then takes that one, which nobody can ask for.
package route
