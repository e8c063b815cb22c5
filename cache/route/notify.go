//go:build linux

package route

import "golang.org/x/sys/unix"

// handle applies a datagram of notifications.
func (t *Table) handle(datagram []byte) {
	for m := range messages(datagram) {
		t.notifications.Add(1)
		switch m.kind {
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			t.routeChanged(&m)
		case unix.RTM_NEWRULE, unix.RTM_DELRULE:
			t.rulesChanged(&m)
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			t.linkChanged(&m)
		case unix.RTM_DELADDR:
			t.addressGone(&m)
		case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
			t.nexthopChanged(&m)
		}
	}
	if t.tables.ribs[v4].main.outgrown() {
		t.plan.in(settle)
	}
	t.count()
}

func (t *Table) routeChanged(m *message) {
	u, ok := parseRoute(m.data)
	if !ok {
		return
	}
	fallback := t.tables.fallback
	if t.tables.apply(m.kind, m.flags, &u) {
		t.plan.in(max(relax, 50*t.plan.cost))
	}
	if t.tables.fallback != fallback {
		t.publish()
	}
}

// rulesChanged reads the family's rules anew: they are few.
func (t *Table) rulesChanged(m *message) {
	if len(m.data) == 0 {
		return
	}
	family := v4
	switch m.data[0] {
	case unix.AF_INET:
	case unix.AF_INET6:
		family = v6
	default: // of multicast routing
		return
	}
	if t.loadRules(family) != nil {
		t.custom[family] = true
		t.plan.in(settle)
	}
	t.publish()
}

// linkChanged keeps the interfaces. One that goes down takes its IPv4 routes
// with it, for which there are no notifications (fib_sync_down_dev in
// net/ipv4/fib_semantics.c); what it had when it comes up is then unknown too.
func (t *Table) linkChanged(m *message) {
	l, ok := parseLink(m.data)
	if !ok {
		return
	}
	if m.kind == unix.RTM_DELLINK {
		t.links.remove(l.Index)
		t.retire(func(s *spec) bool { return s.oif == l.Index })
		return
	}
	old, known := t.links.set(l)
	switch {
	case known && old.admin != l.admin:
		t.retire(func(s *spec) bool { return s.oif == l.Index })
	case known && old.Up != l.Up:
		t.tables.specs.carrier(l.Index, l.Up)
	}
}

// addressGone deals with an IPv4 address that was taken away: routes that prefer
// it as their source go without a notification (fib_sync_down_addr), and all of
// the interface if it was the last.
func (t *Table) addressGone(m *message) {
	if len(m.data) < unix.SizeofIfAddrmsg || m.data[0] != unix.AF_INET {
		return
	}
	index := native.Uint32(m.data[4:])
	var local [4]byte
	for kind, v := range attributes(m.data[unix.SizeofIfAddrmsg:]) {
		if kind == unix.IFA_LOCAL {
			copy(local[:], v)
		}
	}
	t.retire(func(s *spec) bool {
		return s.version == 4 && (s.oif == index || s.prefsrc == local && local != [4]byte{})
	})
}

// nexthopChanged deals with a nexthop object that was replaced or deleted, of
// which the IPv4 routes that use it may say nothing. A group that was replaced
// is one still, and its routes ask anyway.
func (t *Table) nexthopChanged(m *message) {
	const sizeofNhmsg = 8 // struct nhmsg of linux/nexthop.h
	if len(m.data) < sizeofNhmsg {
		return
	}
	var id uint32
	for kind, v := range attributes(m.data[sizeofNhmsg:]) {
		if kind == unix.NHA_ID {
			id = number(v)
		}
	}
	t.retire(func(s *spec) bool {
		return id != 0 && s.nhid == id && (m.kind == unix.RTM_DELNEXTHOP || !s.multipath)
	})
}

// retire makes the routes of which is holds doubtful, and has the tables read
// anew where any is in use.
func (t *Table) retire(is func(*spec) bool) {
	if t.tables.specs.retire(is) {
		t.plan.in(settle)
	}
}
