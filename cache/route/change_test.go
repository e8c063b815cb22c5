//go:build linux

package route_test

import (
	"strings"
	"testing"

	"cacheflow/cache/flow"
	"cacheflow/cache/route"
)

// probes are destinations whose routes TestChanges changes.
func (l *lab) probes() (keys []flow.Key) {
	for _, dst := range []string{"203.0.113.1", "203.0.113.200", "198.51.100.1", "10.0.2.2", "10.0.3.2", "10.0.4.9", "10.0.2.1", "10.0.4.1"} {
		keys = append(keys, key(l.c1, "10.0.1.2", dst))
	}
	for _, dst := range []string{"2001:db8:1::1", "2001:db8:1:8000::1", "fd00:2::2", "fd00:3::2", "fd00:4::9", "fd00:2::1", "fd00:4::1"} {
		keys = append(keys, key(l.c1, "fd00:1::2", dst))
	}
	return keys
}

// TestChanges compares with the kernel after each of a series of changes, most
// of which leave the tables in a state that only the notifications tell of.
func TestChanges(t *testing.T) {
	l := newLab(t, route.Options{})
	for _, step := range []string{
		"route add 203.0.113.0/24 via 10.0.2.2",
		"route add 203.0.113.128/25 via 10.0.3.2",
		"route replace 203.0.113.0/24 via 10.0.3.2",
		"route change 203.0.113.128/25 via 10.0.2.2",
		"route add 203.0.113.0/24 via 10.0.2.2 metric 5",
		"route del 203.0.113.0/24 metric 0",
		"route append 203.0.113.0/24 via 10.0.3.2 metric 5",
		"route prepend 203.0.113.0/24 dev t1 metric 5",
		"route replace 203.0.113.0/24 via 10.0.2.9 metric 5",
		"route del 203.0.113.0/24 via 10.0.2.9 metric 5",
		"route del 203.0.113.0/24 via 10.0.2.2 metric 5",
		"route del 203.0.113.0/24",
		"route del 203.0.113.128/25",
		"route add blackhole 203.0.113.0/24",
		"route replace 203.0.113.0/24 nexthop via 10.0.2.2 nexthop via 10.0.3.2",
		"route replace 203.0.113.0/24 dev t1",
		"route add default via 10.0.3.2",
		"route del default",
		"route add default via 10.0.3.2 table default",
		"-6 route add 2001:db8:1::/48 via fd00:2::2",
		"-6 route append 2001:db8:1::/48 via fd00:3::2",
		"-6 route del 2001:db8:1::/48 via fd00:2::2",
		"-6 route del 2001:db8:1::/48",
		"-6 route add 2001:db8:1::/48 nexthop via fd00:2::2 nexthop via fd00:3::2",
		"-6 route replace 2001:db8:1::/48 via fd00:3::2",
		"-6 route add 2001:db8:1:8000::/49 dev t1",
		"-6 route add 2001:db8:1:8000::/49 via fd00:2::2 metric 512",
		"-6 route del 2001:db8:1:8000::/49 dev t1",
		"addr add 10.0.4.1/24 dev s1",
		"-6 addr add fd00:4::1/64 dev s1 nodad",
		"route add 198.51.100.0/24 via 10.0.3.2 src 10.0.4.1",
		"addr del 10.0.4.1/24 dev s1",
		"-6 addr del fd00:4::1/64 dev s1",
		"addr add 10.0.4.1/24 dev s1",
		"link set s1 down",
		"link set s1 up",
		"route add 198.51.100.0/24 via 10.0.2.2",
		"addr flush dev s1",
		"-6 addr add fd00:2::1/64 dev s1 nodad",
		"link set t1 down",
		"link set t1 up",
		"rule add from 10.0.1.0/24 lookup 100",
		"route add 203.0.113.0/25 via 10.0.3.2 table 100",
		"route add unreachable 10.0.2.2 table 100",
		"-6 rule add from fd00:1::/64 lookup 100",
		"-6 route add 2001:db8:1::/49 dev t1 table 100",
		"rule del from 10.0.1.0/24 lookup 100",
		"-6 rule del from fd00:1::/64 lookup 100",
		"link set t1 name t2",
		"link del t2",
	} {
		out, err := l.gateway.Command("ip", strings.Fields(step)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", step, err, out)
		}
		if words := strings.Fields(step); words[1] == "addr" && words[2] == "add" {
			// The kernel enters the address's own route a little later.
			address, _, _ := strings.Cut(words[3], "/")
			eventually(t, "the address's own route", func() bool {
				return strings.Contains(l.gateway.MustRun("ip", "-6", "route", "show", "table", "local"), "local "+address+" ")
			})
		}
		l.check(l.probes()...)
		if t.Failed() {
			t.Fatalf("after: ip %s", step)
		}
	}
	t.Logf("%+v", l.table.Stats())
}

// TestResync waits for the tables to be right by themselves again after changes
// that the kernel tells nothing of.
func TestResync(t *testing.T) {
	l := newLab(t, route.Options{})
	l.ip("route", "add", "203.0.113.0/24", "via", "10.0.2.2")
	l.check(l.probes()...)
	before := l.table.Stats()
	l.ip("link", "set", "s1", "down") // withdraws it without a word
	l.check(l.probes()...)
	eventually(t, "a resync", func() bool { return l.table.Stats().Resyncs > before.Resyncs })
	settle(t, l.gateway, l.table)
	l.ip("link", "set", "s1", "up")
	eventually(t, "another resync", func() bool { return l.table.Stats().Resyncs > before.Resyncs+1 })
	settle(t, l.gateway, l.table)
	asked := l.table.Stats().Asked
	l.check(l.probes()...)
	if n := l.table.Stats().Asked - asked; n != 0 {
		t.Errorf("asked the kernel %d times after the resync", n)
	}
}

// TestCarrier takes the carrier of an interface away, with the kernel set to use
// its routes all the same and to pass over them.
func TestCarrier(t *testing.T) {
	for _, ignore := range []string{"0", "1"} {
		l := newLab(t, route.Options{})
		for _, name := range []string{"all", "t1", "s1", "c1"} {
			l.gateway.Sysctl("net/ipv4/conf/"+name+"/ignore_routes_with_linkdown", ignore)
			l.gateway.Sysctl("net/ipv6/conf/"+name+"/ignore_routes_with_linkdown", ignore)
		}
		l.ip("route", "add", "203.0.113.0/24", "via", "10.0.3.2")
		l.ip("route", "add", "203.0.113.0/24", "via", "10.0.2.2", "metric", "9")
		l.ip("-6", "route", "add", "2001:db8:1::/48", "via", "fd00:3::2")
		l.check(l.probes()...)
		l.other.MustRun("ip", "link", "set", "t0", "down")
		eventually(t, "the carrier goes", func() bool { return !l.up(l.t1) })
		l.check(l.probes()...)
		l.other.MustRun("ip", "link", "set", "t0", "up")
		eventually(t, "the carrier comes", func() bool { return l.up(l.t1) })
		l.check(l.probes()...)
	}
}

func (l *lab) up(index uint32) bool {
	for _, i := range l.table.Interfaces() {
		if i.Index == index {
			return i.Up
		}
	}
	return false
}

// TestLookupFillsAll has a Route of an earlier lookup left in it.
func TestLookupFillsAll(t *testing.T) {
	l := newLab(t, route.Options{})
	l.ip("route", "add", "203.0.113.0/24", "via", "10.0.2.2")
	l.ip("route", "add", "unreachable", "192.0.2.0/24")
	settle(t, l.gateway, l.table)
	for _, dst := range []string{"10.0.1.1", "10.0.2.2", "192.0.2.1", "8.8.8.8", "224.0.0.5", "0.0.0.1"} {
		var used, fresh flow.Route
		k := key(l.c1, "10.0.1.2", "203.0.113.1")
		if l.reader.Lookup(&k, 0, &used); used.NextHopVersion != 4 || used.SrcPrefixLen != 24 {
			t.Fatalf("%+v", used)
		}
		k = key(l.c1, "9.9.9.9", dst)
		if a, b := l.reader.Lookup(&k, 0, &used), l.reader.Lookup(&k, 0, &fresh); a != b || used != fresh {
			t.Errorf("%s: %+v, %+v", dst, used, fresh)
		}
	}
	var r flow.Route
	if egress := l.reader.Lookup(&flow.Key{}, 0, &r); egress != 0 || r != (flow.Route{}) {
		t.Errorf("no IP version: %+v", r)
	}
}

// TestNexthopObjects covers routes by nexthop objects and groups, with and
// without the kernel resolving them in its messages.
func TestNexthopObjects(t *testing.T) {
	for _, compat := range []string{"1", "0"} {
		t.Run("compat="+compat, func(t *testing.T) {
			l := newLab(t, route.Options{})
			l.gateway.Sysctl("net/ipv4/nexthop_compat_mode", compat)
			for _, step := range []string{
				"nexthop add id 1 via 10.0.2.2 dev s1",
				"nexthop add id 2 via 10.0.3.2 dev t1",
				"nexthop add id 3 group 1/2",
				"nexthop add id 4 blackhole",
				"nexthop add id 5 via fd00:2::2 dev s1",
				"nexthop add id 6 via fd00:3::2 dev t1",
				"nexthop add id 8 via fd00:2::2 dev s1", // the kernel caches by object which route it was of
				"nexthop add id 7 group 8/6",
				"route add 203.0.113.0/25 nhid 1",
				"route add 203.0.113.128/25 nhid 3",
				"route add 198.51.100.0/24 nhid 5",
				"-6 route add 2001:db8:1::/48 nhid 5",
				"-6 route add 2001:db8:1:8000::/49 nhid 7",
				"nexthop replace id 1 via 10.0.3.2 dev t1",
				"nexthop replace id 5 via fd00:3::2 dev t1",
				"route replace 203.0.113.128/25 nhid 4",
				"nexthop del id 1",
				"nexthop del id 5",
				"nexthop del id 7",
			} {
				l.ip(strings.Fields(step)...)
				l.check(l.probes()...)
				if t.Failed() {
					t.Fatalf("after: ip %s", step)
				}
			}
		})
	}
}

// TestRules has the kernel choose the table by what rules tell packets apart by.
func TestRules(t *testing.T) {
	l := newLab(t, route.Options{})
	for table, via := range map[string]string{"main": "10.0.2.2", "10": "10.0.3.2", "20": "10.0.1.2"} {
		l.ip("route", "add", "203.0.113.0/24", "via", via, "table", table)
		l.ip("route", "add", "203.0.113.200/29", "via", via, "table", table)
	}
	tcp := key(l.c1, "10.0.1.2", "203.0.113.1")
	tcp.Protocol = flow.ProtocolTCP
	tos := key(l.c1, "10.0.1.2", "203.0.113.1")
	tos.ToS = 0x10
	keys := append(l.probes(), tcp, tos, key(l.t1, "10.0.3.2", "203.0.113.1"), key(0, "10.0.2.1", "203.0.113.1"))
	for _, rule := range []string{
		"iif c1 lookup 10",
		"from 10.0.1.0/24 lookup 10",
		"to 203.0.113.200 lookup 20",
		"ipproto tcp lookup 10",
		"dport 53 lookup 10",
		"tos 0x10 lookup 10",
		"pref 100 lookup main suppress_prefixlength 28",
		"from 10.0.1.0/24 unreachable",
		"not from 10.0.1.0/24 lookup 20",
	} {
		l.ip(append([]string{"rule", "add"}, strings.Fields(rule)...)...)
		l.check(keys...)
		if t.Failed() {
			t.Fatalf("with: ip rule add %s", rule)
		}
		l.ip(append([]string{"rule", "del"}, strings.Fields(rule)...)...)
	}
	settle(t, l.gateway, l.table)
	asked := l.table.Stats().Asked
	l.check(keys...)
	if n := l.table.Stats().Asked - asked; n != 0 {
		t.Errorf("asked the kernel %d times with the default rules", n)
	}
}
