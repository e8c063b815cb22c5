//go:build linux

package route

import (
	"cmp"
	"net/netip"
	"slices"
	"sync/atomic"

	"cacheflow/cache/flow"
)

// rib is one of the kernel's tables for one family: for each prefix the route
// that the kernel takes, as far as messages tell, or a contested one where they
// do not. Only its tries and its fib are for Readers.
type rib struct {
	family int
	trie   trie
	fib    *fib // what Readers use instead of the trie, where it is large; IPv4 only
	near   *near
	specs  *specs
	// several holds the routes of prefixes that have more than one, and of those
	// for which messages did not tell which remain.
	several map[netip.Prefix]*candidates
}

// candidates are the routes of one prefix.
type candidates struct {
	routes []*route
	// unsure is set once a message left open what the kernel has. The prefix then
	// stays contested until the table is read anew.
	unsure bool
}

func newRIB(family int, s *specs) *rib {
	return &rib{family: family, trie: newTrie(), near: newNear(), specs: s, several: make(map[netip.Prefix]*candidates)}
}

// largeTable is the number of IPv4 routes from which a table has a fib. Below it
// the trie is in the processor's caches, and 64 MiB would be out of proportion.
const largeTable = 8192

// publish has to precede the first use by Readers: the table changes in place
// before, and in ways that Readers may see at any time after.
func (t *rib) publish() {
	if t.family == v4 && t.trie.size() >= largeTable {
		t.fib = newFIB(&t.trie)
		return // the trie is the owner's own
	}
	t.trie.published = true
}

// outgrown reports whether the table is due for a fib.
func (t *rib) outgrown() bool {
	return t.family == v4 && t.fib == nil && t.trie.size() >= 2*largeTable
}

// lookup4 returns the route of the longest prefix that contains the IPv4
// address, nil for none. It may be called by any goroutine.
func (t *rib) lookup4(n uint32) *route {
	if t.fib != nil {
		return t.fib.lookup(n)
	}
	return t.trie.lookup(address4(n))
}

// near tells by the first two octets of an address whether the table local, or a
// rule of special4, may have a say in it. It forgets nothing.
type near [1 << 16 / 32]uint32

func newNear() *near {
	n := new(near)
	for _, p := range []string{"0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"} {
		n.add(netip.MustParsePrefix(p))
	}
	return n
}

func (t *near) has(n uint32) bool {
	return atomic.LoadUint32(&t[n>>21])>>(n>>16&31)&1 != 0
}

func (t *near) add(p netip.Prefix) {
	first := first4(p) >> 16
	for i := first; i < first+1<<max(0, 16-p.Bits()); i++ {
		atomic.StoreUint32(&t[i>>5], t[i>>5]|1<<(i&31))
	}
}

// candidates returns a copy of p's, and the route that answers for p now.
func (t *rib) candidates(p netip.Prefix) (c candidates, chosen *route) {
	chosen = t.trie.get(p)
	if s := t.several[p]; s != nil {
		return candidates{slices.Clone(s.routes), s.unsure}, chosen
	}
	if chosen != nil {
		c.routes = []*route{chosen}
	}
	return c, chosen
}

// add enters the route that a message announces. It reports whether the table
// has to be read anew to be sure of the prefix.
func (t *rib) add(p netip.Prefix, s *spec, replace bool) (unsure bool) {
	if t.trie.get(p) == nil { // the one case that a full table consists of
		t.set(p, nil, t.specs.use(s))
		return false
	}
	c, chosen := t.candidates(p)
	slot := func(r *route) bool { return r.sameSlot(s) }
	if t.family == v6 && s.multipath {
		c.routes = t.joined(c.routes, s)
	}
	known := slices.IndexFunc(c.routes, func(r *route) bool { return r.same(s) })
	switch n := count(c.routes, slot); {
	case known >= 0 && n == 1 || replace && n == 1:
		i := slices.IndexFunc(c.routes, slot)
		old := c.routes[i]
		c.routes[i] = t.specs.use(s)
		t.specs.drop(old)
	case known >= 0: // announced again
	case replace && n > 1:
		c.unsure = true
	default:
		c.routes = append(c.routes, t.specs.use(s))
	}
	t.choose(p, c, chosen)
	return c.unsure
}

// joined returns routes without the next hops that s announces as its own: a
// route that joins others of its metric is announced together with them.
func (t *rib) joined(routes []*route, s *spec) []*route {
	return slices.DeleteFunc(routes, func(r *route) bool {
		joins := r.sameSlot(s) && !r.multipath && r.gwVersion != 0
		if joins {
			t.specs.drop(r)
		}
		return joins
	})
}

// remove takes out the route that a message withdraws. It reports whether the
// table has to be read anew to be sure of the prefix.
func (t *rib) remove(p netip.Prefix, s *spec) (unsure bool) {
	c, chosen := t.candidates(p)
	if chosen == nil {
		return false
	}
	i := slices.IndexFunc(c.routes, func(r *route) bool { return r.same(s) })
	switch {
	case i >= 0:
		t.specs.drop(c.routes[i])
		c.routes = slices.Delete(c.routes, i, i+1)
	case slices.ContainsFunc(c.routes, func(r *route) bool { return r.sameSlot(s) }):
		c.unsure = true // such as one of several next hops: which remain is not said
	}
	t.choose(p, c, chosen)
	return c.unsure
}

// choose makes the best of c the answer for p.
func (t *rib) choose(p netip.Prefix, c candidates, old *route) {
	var best *route
	if len(c.routes) > 0 {
		best = slices.MinFunc(c.routes, func(a, b *route) int { return cmp.Compare(a.priority, b.priority) })
	}
	contested := c.unsure || t.contested(c.routes, best)
	if contested && best == nil {
		best = old // of no more use than its length
	}
	switch {
	case contested:
		t.several[p] = &c
		s := best.spec
		s.contested = true
		t.set(p, old, t.specs.find(&s))
	case len(c.routes) > 1:
		t.several[p] = &c
		t.set(p, old, best)
	default:
		delete(t.several, p)
		t.set(p, old, best)
	}
}

// contested reports whether the kernel chooses among routes by more than the
// metric. IPv6 also weighs reachability and the input interface; IPv4 passes
// over routes of another type of service.
func (t *rib) contested(routes []*route, best *route) bool {
	if len(routes) < 2 {
		return false
	}
	return t.family == v6 || count(routes, func(r *route) bool { return r.priority == best.priority || r.tos != 0 }) > 1
}

// set makes r, or nothing where it is nil, the answer for p instead of old.
func (t *rib) set(p netip.Prefix, old, r *route) {
	switch {
	case r == old:
	case r != nil:
		if p.Addr().Is4() {
			t.near.add(p)
		}
		t.trie.insert(p, r)
		if t.fib != nil {
			t.fib.insert(p, r)
		}
	default:
		t.trie.remove(p)
		if t.fib != nil {
			t.fib.remove(p, t.trie.cover(p))
		}
	}
}

func count(routes []*route, is func(*route) bool) (n int) {
	for _, r := range routes {
		if is(r) {
			n++
		}
	}
	return n
}

// forwarded is the key of some packet that came in.
var forwarded = flow.Key{Input: loopback}

// specs holds each spec in use once.
type specs struct {
	routes map[spec]*route
	// down reports whether the interface is down or without carrier.
	down func(ifIndex uint32) bool
}

// find returns the route of s.
func (m *specs) find(s *spec) *route {
	r := m.routes[*s]
	if r == nil {
		r = &route{spec: *s}
		r.egress = fill(s, &forwarded, &r.answer)
		r.level.Store(uint32(s.trust()))
		if m.down(s.oif) {
			r.level.Store(uint32(doubtful))
		}
		m.routes[*s] = r
	}
	return r
}

// use returns the route of s, for a candidate that uses it until drop.
func (m *specs) use(s *spec) *route {
	r := m.find(s)
	r.refs++
	return r
}

func (m *specs) drop(r *route) {
	if r.refs--; r.refs == 0 && !r.retired {
		delete(m.routes, r.spec)
	}
}

// retire makes lookups that reach routes of which is holds ask the kernel for
// good, since it may have dropped them without a word. A route announced later
// is another one. It reports whether there were any.
func (m *specs) retire(is func(*spec) bool) (any bool) {
	for s, r := range m.routes {
		if is(&s) {
			r.level.Store(uint32(doubtful))
			r.retired = true
			delete(m.routes, s)
			any = any || r.refs > 0
		}
	}
	return any
}

// carrier tells the routes through the interface that its carrier went or came
// back: the kernel may be set to pass over routes without carrier.
func (m *specs) carrier(ifIndex uint32, up bool) {
	for s, r := range m.routes {
		switch {
		case s.oif != ifIndex:
		case up:
			r.level.Store(uint32(s.trust()))
		default:
			r.level.Store(uint32(doubtful))
		}
	}
}
