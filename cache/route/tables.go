//go:build linux

package route

import "golang.org/x/sys/unix"

// tables is the copy: what a dump fills and notifications keep current.
type tables struct {
	specs *specs
	ribs  [2]struct{ local, main *rib }
	// fallback is set once IPv4's table default had a route.
	fallback bool
}

func newTables(down func(ifIndex uint32) bool) *tables {
	t := &tables{specs: &specs{routes: make(map[spec]*route), down: down}}
	for f := range t.ribs {
		t.ribs[f].local, t.ribs[f].main = newRIB(f, t.specs), newRIB(f, t.specs)
	}
	return t
}

// publish has to precede the first use by Readers.
func (t *tables) publish() {
	for f := range t.ribs {
		t.ribs[f].local.publish()
		t.ribs[f].main.publish()
	}
}

// apply enters a message of the kind RTM_NEWROUTE or RTM_DELROUTE. It reports
// whether the tables have to be read anew to be sure of what it was about.
func (t *tables) apply(kind, flags uint16, u *update) (unsure bool) {
	family := v4
	if u.prefix.Addr().Is6() {
		family = v6
	}
	var r *rib
	switch {
	case u.cloned:
		return false
	case u.table == unix.RT_TABLE_MAIN:
		r = t.ribs[family].main
	case u.table == unix.RT_TABLE_LOCAL:
		r = t.ribs[family].local
	default:
		t.fallback = t.fallback || u.table == unix.RT_TABLE_DEFAULT && family == v4
		return false
	}
	if kind == unix.RTM_DELROUTE {
		return r.remove(u.prefix, &u.spec)
	}
	return r.add(u.prefix, &u.spec, flags&unix.NLM_F_REPLACE != 0)
}
