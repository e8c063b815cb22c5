//go:build linux

package route

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// Reader looks flows up for one goroutine. It has netlink sockets of its own,
// so that Readers do not wait for each other.
type Reader struct {
	table   *Table
	kernel  asker
	tracker *tracker // nil where the kernel or a policy has no socket for it

	asked, failed atomic.Uint64
}

// Lookup fills in route for a packet of key k and returns the ifIndex of the
// egress interface; 0 where the packet is for this host or goes nowhere. The
// IPv6 flow label takes part in the kernel's choice among several next hops. It
// does not allocate. Where the kernel has to be asked it takes two system calls,
// or four where the route's prefix is not known from the copy; and two where it
// has to be asked what is behind an address of this host.
func (r *Reader) Lookup(k *flow.Key, label uint32, route *flow.Route) (egress uint32) {
	v := r.table.view.Load()
	if k.Version == 4 && v.fib != nil {
		if egress, ok := v.quick(k, route); ok {
			return egress
		}
	}
	egress = r.lookup(v, k, label, route)
	if route.Status == flow.TerminatedHere && r.tracker != nil {
		return r.behind(v, k, label, route)
	}
	return egress
}

// behind looks the destination behind an address of this host up, where
// connection tracking knows one.
func (r *Reader) behind(v *view, k *flow.Key, label uint32, route *flow.Route) (egress uint32) {
	inner := *k
	if !r.tracker.translate(&inner) {
		return 0
	}
	return r.lookup(v, &inner, label, route)
}

func (r *Reader) lookup(v *view, k *flow.Key, label uint32, route *flow.Route) (egress uint32) {
	*route = flow.Route{}
	if k.Version != 4 && k.Version != 6 {
		return 0
	}
	m := v.match(k)
	route.SrcPrefixLen = m.srcBits
	switch {
	case ends(k):
		route.Status = flow.Unroutable
		return 0
	case m.trust != certain:
		return r.ask(k, label, &m, route)
	case m.route != nil:
		return fill(&m.route.spec, k, route)
	}
	route.Status = flow.Unroutable
	return 0
}

// ask lets the kernel decide. Where it does not answer, the copy does.
func (r *Reader) ask(k *flow.Key, label uint32, m *match, route *flow.Route) (egress uint32) {
	r.asked.Add(1)
	a, err := r.kernel.route(k, label, 0)
	if err == nil {
		a.bits = r.prefixLength(k, label, m, &a)
		return fill(&a, k, route)
	}
	if m.route != nil && m.trust == choice {
		route.DstPrefixLen = m.route.bits
	}
	switch err {
	case unix.ENETUNREACH, unix.EHOSTUNREACH:
		route.Status = flow.Unroutable
	case unix.EACCES:
		route.Status = flow.DroppedByPolicy
	case unix.EINVAL, unix.EXDEV:
		route.Status = flow.Dropped // blackhole, a martian, or the reverse path
	default:
		r.failed.Add(1)
		if m.route != nil {
			return fill(&m.route.spec, k, route)
		}
	}
	return 0
}

// prefixLength returns that of the route behind the answer a, which says only
// what becomes of the one destination.
func (r *Reader) prefixLength(k *flow.Key, label uint32, m *match, a *spec) uint8 {
	if m.trust == choice && m.route.kind == a.kind {
		return m.route.bits
	}
	if a.kind == unix.RTN_MULTICAST {
		return 0
	}
	b, err := r.kernel.route(k, label, unix.RTM_F_FIB_MATCH)
	switch {
	case err == nil:
		return b.bits
	case m.route != nil:
		return m.route.bits
	}
	return 0
}

// addTo adds the counters up.
func (r *Reader) addTo(s *Stats) {
	s.Asked += r.asked.Load()
	s.AskFailed += r.failed.Load()
	if t := r.tracker; t != nil {
		s.TrackAsked += t.asked.Load()
		s.Translated += t.translated.Load()
		s.TrackFailed += t.failed.Load()
	}
}

// Close releases the sockets; Lookup may not be called from then on. The counters
// stay part of the Table's.
func (r *Reader) Close() error {
	r.table.forget(r)
	if r.tracker != nil {
		r.tracker.close()
	}
	return r.kernel.close()
}
