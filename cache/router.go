package cache

import "cacheflow/cache/flow"

// Router answers the one lookup that a flow makes, on its first packet. It is
// called by the goroutine that owns the table.
type Router interface {
	// Lookup fills in r for a packet of key k and returns the ifIndex of the
	// egress interface; 0 where the packet is for this host or goes nowhere
	// (r.Status tells). The IPv6 flow label takes part in the kernel's choice
	// among several next hops.
	Lookup(k *flow.Key, flowLabel uint32, r *flow.Route) (egress uint32)
}
