// Package render writes flow records as lines: those that leave the cache, and
// those that a collector decoded.
//
// JSON is one object a line, CSV one row after a header line. Both are keyed by
// the names of the IANA registry of IPFIX Information Elements and keep one
// order: addresses, the rest of the Flow Key, counters, times, what else was
// collected, the route (order is the list). One rule says which elements a
// record has:
//
//   - An element of the other IP version is left out.
//   - icmpTypeCodeIPv4 and icmpTypeCodeIPv6 are written for ICMP and ICMPv6
//     only. There, destinationTransportPort is type×256 + code as well, as a
//     router keeps it.
//   - An element whose zero says "none" is left out where it is zero: MAC
//     addresses, VLAN ids and priorities, label stack sections and depth, flow
//     label, next hops, fragmentFlags, AS numbers.
//   - The outer VLAN id is vlanId in a flow that was observed at ingress, and
//     postVlanId in one at egress.
//   - All others are always written, also as 0: ports, prefix lengths (0 is the
//     default route, or no lookup), tcpControlBits.
//
// So the same flow is the same object whether it was written before its export
// or after its reception, as far as the protocol carries its elements.
//
// Addresses are text, MAC addresses aa:bb:cc:dd:ee:ff, octet arrays (label stack
// sections are three octets) lower-case hexadecimal text; everything else is a
// number, times in the unit that the element's name says, since 1970.
package render
