//go:build linux

package route

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// plan tells when the tables are to be read anew. A table of a million routes
// takes most of a second to read: reading never takes more than a tenth of the time.
type plan struct {
	due       time.Time // zero for never
	notBefore time.Time
	cost      time.Duration // of the last reading
	retries   int           // readings in a row that changes of IPv6 routes interrupted
}

const (
	settle = 200 * time.Millisecond // what made a change goes on changing
	relax  = 10 * time.Second       // before what is right but slow is made fast again
)

// in has the tables read anew after d, or when that may be, or earlier where it
// was already planned so.
func (p *plan) in(d time.Duration) {
	due := time.Now().Add(d)
	if due.Before(p.notBefore) {
		due = p.notBefore
	}
	if p.due.IsZero() || due.Before(p.due) {
		p.due = due
	}
}

// done notes a reading that took d and has just ended.
func (p *plan) done(d time.Duration) {
	p.cost, p.due, p.notBefore = d, time.Time{}, time.Now().Add(max(time.Second, 9*d))
}

// overrun deals with notifications that the kernel had no room for: from now on
// all lookups ask, until the tables are read anew.
func (t *Table) overrun() {
	t.overruns.Add(1)
	t.behind = true
	t.publish()
	t.plan.in(0)
}

// resync reads the tables anew. Where that fails it is tried again.
func (t *Table) resync() {
	t.resyncs.Add(1)
	if err := t.Load(); err != nil {
		t.behind = true
		t.publish()
		t.plan.in(time.Second)
	}
}

// Load reads interfaces, rules and routes, and then the notifications that came
// meanwhile: those of changes that the dump has already are of no effect. A million
// routes take 0.6 s.
func (t *Table) Load() error {
	start := time.Now()
	// While its queue is not empty after an overrun, the kernel drops further
	// notifications without saying so again (netlink_overrun in af_netlink.c).
	if err := t.drain(func([]byte) {}); err != nil {
		return err
	}
	if err := t.loadLinks(); err != nil {
		return err
	}
	for f := range t.custom {
		if err := t.loadRules(f); err != nil {
			return err
		}
	}
	fresh := newTables(t.links.down)
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		err := t.dumper.dump(unix.RTM_GETROUTE, family, func(b []byte) {
			if u, ok := parseRoute(b); ok {
				fresh.apply(unix.RTM_NEWROUTE, 0, &u)
			}
		})
		if err != nil {
			return fmt.Errorf("dump routes: %w", err)
		}
	}
	fresh.publish()
	t.tables, t.behind = fresh, false
	t.plan.done(time.Since(start))
	return t.catchUp()
}

// catchUp handles what changed during a dump. A dump of IPv6 routes goes on by
// count after a change (fib6_dump_table in net/ipv6/ip6_fib.c) and may have
// passed over others: it is repeated, up to three times in a row.
func (t *Table) catchUp() error {
	interrupted := false
	err := t.drain(func(b []byte) {
		for m := range messages(b) {
			isRoute := m.kind == unix.RTM_NEWROUTE || m.kind == unix.RTM_DELROUTE
			interrupted = interrupted || isRoute && len(m.data) > 0 && m.data[0] == unix.AF_INET6
		}
		t.handle(b)
	})
	t.publish()
	if t.plan.retries++; !interrupted || t.plan.retries > 3 {
		t.plan.retries = 0
	} else {
		t.plan.in(settle)
	}
	return err
}

// drain hands the notifications that wait to f. It ends after a second even
// where more keep coming; an overrun meanwhile is noted for the next reading.
func (t *Table) drain(f func([]byte)) error {
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		n, err := t.listener.read(t.buffer[:], time.Now().Add(time.Millisecond))
		switch {
		case err == nil:
			f(t.buffer[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, unix.ENOBUFS):
			t.overrun()
		default:
			return fmt.Errorf("read route notifications: %w", err)
		}
	}
	return nil
}

func (t *Table) loadLinks() error {
	all := make(map[uint32]link)
	err := t.dumper.dump(unix.RTM_GETLINK, unix.AF_UNSPEC, func(b []byte) {
		if l, ok := parseLink(b); ok {
			all[l.Index] = l
		}
	})
	if err != nil {
		return fmt.Errorf("dump interfaces: %w", err)
	}
	t.links.reset(all)
	return nil
}

// loadRules reads a family's rules.
func (t *Table) loadRules(family int) error {
	s := ruleSet{seen: make(map[uint32]bool)}
	err := t.dumper.dump(unix.RTM_GETRULE, [2]int{unix.AF_INET, unix.AF_INET6}[family], s.add)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT):
		t.custom[family] = false // a kernel without rules
	case err != nil:
		return fmt.Errorf("dump rules: %w", err)
	default:
		t.custom[family] = s.isCustom()
	}
	return nil
}
