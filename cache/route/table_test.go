//go:build linux

package route_test

import (
	"testing"

	"cacheflow/cache/flow"
	"cacheflow/cache/route"
)

// check compares keys with the judge's answers in the gateway, by its routes as
// they are now.
func (l *lab) check(keys ...flow.Key) []verdict {
	l.t.Helper()
	settle(l.t, l.gateway, l.table)
	return check(l.t, l.gateway, l.table, l.reader, keys...)
}

// TestRoutes compares each kind of route with the kernel.
func TestRoutes(t *testing.T) {
	l := newLab(t, route.Options{})
	for _, command := range [][]string{
		{"route", "add", "203.0.113.0/24", "via", "10.0.2.2"},
		{"route", "add", "203.0.113.128/26", "via", "10.0.3.2"},
		{"route", "add", "203.0.113.200/32", "via", "10.0.2.2"},
		{"route", "add", "198.51.100.0/24", "via", "inet6", "fd00:2::2", "dev", "s1"},
		{"route", "add", "192.0.2.0/28", "dev", "t1"},
		{"route", "add", "unreachable", "192.0.2.16/28"},
		{"route", "add", "blackhole", "192.0.2.32/28"},
		{"route", "add", "prohibit", "192.0.2.48/28"},
		{"route", "add", "throw", "192.0.2.64/28"},
		{"route", "add", "172.16.0.0/12", "via", "10.0.2.2", "metric", "20"},
		{"route", "add", "172.16.0.0/12", "via", "10.0.3.2", "metric", "10"},
		{"route", "add", "172.20.0.0/16", "tos", "0x10", "via", "10.0.3.2"},
		{"route", "add", "172.21.0.0/16", "via", "10.0.2.2", "metric", "5"},
		{"route", "add", "172.21.0.0/16", "tos", "0x10", "via", "10.0.3.2", "metric", "10"},
		{"route", "add", "local", "100.64.0.0/24", "dev", "lo"},
		{"route", "add", "100.64.0.128/25", "via", "10.0.3.2"},
		{"route", "add", "default", "via", "10.0.3.2"},
		{"-6", "route", "add", "2001:db8:1::/48", "via", "fd00:2::2"},
		{"-6", "route", "add", "2001:db8:1:8000::/49", "via", "fd00:3::2"},
		{"-6", "route", "add", "2001:db8:2::/64", "dev", "t1"},
		{"-6", "route", "add", "unreachable", "2001:db8:3::/64"},
		{"-6", "route", "add", "blackhole", "2001:db8:4::/64"},
		{"-6", "route", "add", "prohibit", "2001:db8:5::/64"},
		{"-6", "route", "add", "throw", "2001:db8:6::/64"},
		{"-6", "route", "add", "2001:db8:7::/64", "via", "fd00:2::2", "metric", "20"},
		{"-6", "route", "add", "2001:db8:7::/64", "via", "fd00:3::2", "metric", "10"},
		{"-6", "route", "add", "2001:db8:8::/64", "from", "fd00:1::/64", "via", "fd00:3::2"},
		{"-6", "route", "add", "local", "2001:db8:9::/64", "dev", "lo"},
		{"-6", "route", "add", "2001:db8:9:0:8000::/65", "via", "fd00:3::2"},
		{"-6", "route", "add", "default", "via", "fd00:3::2"},
	} {
		l.ip(command...)
	}
	var keys []flow.Key
	for _, dst := range []string{
		"203.0.113.1", "203.0.113.129", "203.0.113.200", "203.0.113.201", "203.0.113.255",
		"198.51.100.7", "192.0.2.1", "192.0.2.17", "192.0.2.33", "192.0.2.49", "192.0.2.65",
		"172.16.1.1", "172.20.1.1", "172.21.1.1", "100.64.0.1", "100.64.0.129", "8.8.8.8", "10.0.2.2", "10.0.1.1", "10.0.2.1", "10.0.2.255", "10.0.2.0",
		"127.0.0.1", "0.0.0.0", "0.1.2.3",
	} {
		keys = append(keys, key(l.c1, "10.0.1.2", dst), key(0, "10.0.1.1", dst))
	}
	for _, dst := range []string{"172.20.1.1", "172.21.1.1"} {
		tos := key(l.c1, "10.0.1.2", dst)
		tos.ToS = 0x13
		keys = append(keys, tos)
	}
	for _, dst := range []string{
		"2001:db8:1::1", "2001:db8:1:8000::1", "2001:db8:2::1", "2001:db8:3::1", "2001:db8:4::1", "2001:db8:5::1",
		"2001:db8:9::1", "2001:db8:9:0:8000::1", "2001:db8:6::1", "2001:db8:7::1", "2001:db8:8::1", "2606::1", "fd00:2::2", "fd00:1::1", "fd00:2::1", "fd00:2::", "fe80::1",
	} {
		keys = append(keys, key(l.c1, "fd00:1::2", dst), key(0, "fd00:1::1", dst), key(l.s1, "fd00:2::2", dst))
	}
	l.check(keys...)
	s := l.table.Stats()
	t.Logf("%+v", s)
	l.gateway.Run(func() {
		other, err := l.table.NewReader()
		if err != nil {
			t.Error(err)
			return
		}
		k := key(l.c1, "10.0.1.2", "0.0.0.0") // always asked for
		var r flow.Route
		other.Lookup(&k, 0, &r)
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	if n := l.table.Stats().Asked; n != s.Asked+1 {
		t.Errorf("asked %d times, %d before one more Reader asked once", n, s.Asked)
	}
	if s.AskFailed != 0 || s.Asked > uint64(len(keys)/3) {
		t.Errorf("stats %+v", s)
	}
}
