//go:build linux

package route_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"cacheflow/cache/flow"
	"cacheflow/cache/route"
	"cacheflow/test/netns"
)

// ipBatch runs lines of iproute2 commands; those that fail are passed over.
func ipBatch(t testing.TB, ns *netns.NS, lines []byte) {
	t.Helper()
	cmd := ns.Command("ip", "-force", "-batch", "-")
	cmd.Stdin = bytes.NewReader(lines)
	cmd.Run()
}

// TestOverrun has the kernel drop notifications: an interface that goes down
// withdraws thousands of IPv6 routes at once, more than the buffer holds. The
// answers are right while the table is behind, and it ends up with all routes.
func TestOverrun(t *testing.T) {
	l := newLab(t, route.Options{ReceiveBuffer: 1}) // the kernel makes it its least, 2304 octets
	const routes = 3000
	start := l.table.Stats().Routes[1]
	var add bytes.Buffer
	var keys []flow.Key
	for i := range routes {
		fmt.Fprintf(&add, "route add 2001:db8:%x::/48 via fd00:2::2\n", i)
		if i%60 == 0 {
			keys = append(keys, key(l.c1, "fd00:1::2", fmt.Sprintf("2001:db8:%x::1", i)))
		}
	}
	fmt.Fprintln(&add, "route add default via fd00:3::2")
	ipBatch(t, l.gateway, add.Bytes())
	eventually(t, "all routes", func() bool { return l.table.Stats().Routes[1] == start+routes+1 })
	check(t, l.gateway, l.table, l.reader, keys...)

	before := l.table.Stats()
	l.ip("link", "set", "s1", "down")
	eventually(t, "an overrun", func() bool { return l.table.Stats().Overruns > before.Overruns })
	check(t, l.gateway, l.table, l.reader, keys...)
	eventually(t, "a resync", func() bool { return l.table.Stats().Resyncs > before.Resyncs })
	// fd00:2::/64 went with them, and fe80::/64 has other routes.
	eventually(t, "the routes to go", func() bool { return l.table.Stats().Routes[1] == start })
	eventually(t, "answers from the copy", func() bool {
		before := l.table.Stats().Asked
		check(t, l.gateway, l.table, l.reader, keys...)
		return l.table.Stats().Asked == before
	})
	t.Logf("%+v", l.table.Stats())
}

// TestLargeTable compares a table that is large enough for the array with the
// kernel, as it was read and after changes.
func TestLargeTable(t *testing.T) {
	l := newLab(t, route.Options{})
	var add bytes.Buffer
	for i := range 9000 {
		fmt.Fprintf(&add, "route add 172.%d.%d.0/%d via 10.0.%d.2\n", 16+i>>8, i&255, 24+i%2*3, 2+i%3%2)
	}
	ipBatch(t, l.gateway, add.Bytes())
	l.table, l.reader = start(t, l.gateway, route.Options{})
	var keys []flow.Key
	for i := range 200 {
		keys = append(keys, key(l.c1, "10.0.1.2", fmt.Sprintf("172.%d.%d.%d", 16+i%40, i, i)), key(0, "10.0.1.1", fmt.Sprintf("172.20.%d.9", i)))
	}
	keys = append(keys, key(l.c1, "172.16.1.1", "10.0.1.1"), key(l.c1, "10.0.1.2", "10.0.2.255"), key(l.c1, "10.0.1.2", "127.0.0.1"))
	l.check(keys...)
	for _, step := range []string{
		"route add default via 10.0.2.2",
		"route add 172.20.0.0/14 dev t1",
		"route replace 172.20.7.0/27 via 10.0.3.2",
		"route del 172.20.9.0/27",
		"route add 172.20.8.9/32 via 10.0.2.2",
		"route add blackhole 172.20.0.0/18",
		"route del 172.20.0.0/14",
		"addr add 172.20.8.1/26 dev s1",
		"route del default",
	} {
		l.ip(strings.Fields(step)...)
		l.check(keys...)
		if t.Failed() {
			t.Fatalf("after: ip %s", step)
		}
	}
	if s := l.table.Stats(); s.Routes[0] < 9000 || s.Asked > uint64(len(keys)) {
		t.Errorf("%+v", s)
	}
}
