package synth

import (
	"net/netip"

	"cacheflow/cache/flow"
)

// Lookup is the router's answer for a new flow (cache.Router): the interface of the
// destination's network and, where it is behind a gateway, the next hop. The longest prefix
// decides.
func (s *Source) Lookup(k *flow.Key, _ uint32, r *flow.Route) (egress uint32) {
	to := s.network(k.DstAddr())
	if to == nil {
		r.Status = flow.Unroutable
		return 0
	}
	r.Status, r.DstPrefixLen = flow.Forwarded, uint8(to.Prefix.Bits())
	if from := s.network(k.SrcAddr()); from != nil {
		r.SrcPrefixLen = uint8(from.Prefix.Bits())
	}
	if to.NextHop.IsValid() {
		r.NextHop, r.NextHopVersion = key(to.NextHop), 4
		if to.NextHop.Is6() {
			r.NextHopVersion = 6
		}
	}
	return to.Interface
}

// ASNumbers returns the autonomous systems that both ends of a flow are in, as their routes say.
func (s *Source) ASNumbers(k *flow.Key) (src, dst uint32) {
	if n := s.network(k.SrcAddr()); n != nil {
		src = n.AS
	}
	if n := s.network(k.DstAddr()); n != nil {
		dst = n.AS
	}
	return src, dst
}

func (s *Source) network(a netip.Addr) (found *Network) {
	for i := range s.cfg.Profile.Networks {
		n := &s.cfg.Profile.Networks[i]
		if n.Prefix.Contains(a) && (found == nil || n.Prefix.Bits() > found.Prefix.Bits()) {
			found = n
		}
	}
	return found
}
