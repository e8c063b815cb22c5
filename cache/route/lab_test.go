//go:build linux

package route_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/cache/route"
	"cacheflow/test/netns"
)

var _ cache.Router = (*route.Reader)(nil)

// lab is a gateway between a client and two servers, with a table that follows
// the gateway's routes:
//
//	client c0 — c1 gateway s1 — s0 server
//	                       t1 — t0 other server
//
// IPv4 10.0.N.0/24 and IPv6 fd00:N::/64 with N = 1, 2, 3; the gateway is .1, the
// others .2.
type lab struct {
	t                       testing.TB
	client, gateway, server *netns.NS
	other                   *netns.NS
	table                   *route.Table
	reader                  *route.Reader
	c1, s1, t1              uint32 // ifIndexes in the gateway
}

func newLab(t testing.TB, o route.Options) *lab {
	t.Helper()
	l := &lab{t: t, client: netns.New(t), gateway: netns.New(t), server: netns.New(t), other: netns.New(t)}
	pair := func(n int, host *netns.NS, hostName, gatewayName string) uint32 {
		end := func(ns *netns.NS, name string, i int) netns.End {
			return netns.End{NS: ns, Name: name, Addrs: []string{fmt.Sprintf("10.0.%d.%d/24", n, i), fmt.Sprintf("fd00:%d::%d/64", n, i)}}
		}
		_, index := netns.Veth(t, end(host, hostName, 2), end(l.gateway, gatewayName, 1))
		host.MustRun("ip", "route", "add", "default", "via", fmt.Sprintf("10.0.%d.1", n))
		host.MustRun("ip", "-6", "route", "add", "default", "via", fmt.Sprintf("fd00:%d::1", n))
		return uint32(index)
	}
	l.gateway.Sysctl("net/ipv4/ip_forward", "1")
	l.gateway.Sysctl("net/ipv6/conf/all/forwarding", "1")
	l.c1 = pair(1, l.client, "c0", "c1")
	l.s1 = pair(2, l.server, "s0", "s1")
	l.t1 = pair(3, l.other, "t0", "t1")
	l.table, l.reader = start(t, l.gateway, o)
	return l
}

// start runs a Table in the namespace until the test ends.
func start(t testing.TB, ns *netns.NS, o route.Options) (*route.Table, *route.Reader) {
	t.Helper()
	table, reader := open(t, ns, o)
	run(t, table)
	return table, reader
}

// open makes a Table of the namespace and a Reader.
func open(t testing.TB, ns *netns.NS, o route.Options) (table *route.Table, reader *route.Reader) {
	t.Helper()
	var err error
	ns.Run(func() {
		if table, err = route.New(o); err == nil {
			reader, err = table.NewReader()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return table, reader
}

// run starts the Table, and stops it when the test ends.
func run(t testing.TB, table *route.Table) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	go func() { done <- table.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// ip runs a command of iproute2 in the gateway.
func (l *lab) ip(args ...string) {
	l.t.Helper()
	l.gateway.MustRun("ip", args...)
}

// settle waits until the table has read what the kernel sent before the call:
// a notification of a link change made now is the last of them.
func settle(t testing.TB, ns *netns.NS, table *route.Table) {
	t.Helper()
	alias := fmt.Sprintf("settled %d", time.Now().UnixNano())
	ns.MustRun("ip", "link", "set", "lo", "alias", alias)
	eventually(t, "the notifications are read", func() bool { return table.Interfaces()[0].Alias == alias })
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// key returns that of a UDP packet from src to dst that came in by the interface.
func key(input uint32, src, dst string) flow.Key {
	return keyOf(input, netip.MustParseAddr(src), netip.MustParseAddr(dst))
}

func keyOf(input uint32, src, dst netip.Addr) flow.Key {
	k := flow.Key{Input: input, Protocol: flow.ProtocolUDP, SrcPort: 1024, DstPort: 53, Version: 4}
	copy(k.Src[:], src.AsSlice())
	copy(k.Dst[:], dst.AsSlice())
	if dst.Is6() {
		k.Version = 6
	}
	return k
}
