//go:build linux

package route_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cache/route"
)

// TestMultipath sends packets of many flows through a gateway with two ways to
// their destination, and compares the interface that each left by with the
// table's answer, for both families and hash policies. The servers tell them
// apart: both have the destination address.
func TestMultipath(t *testing.T) {
	l := newLab(t, route.Options{})
	const dst4, dst6 = "203.0.113.1", "2001:db8::1"
	l.ip("route", "add", "203.0.113.0/24", "nexthop", "via", "10.0.2.2", "nexthop", "via", "10.0.3.2")
	l.ip("-6", "route", "add", "2001:db8::/64", "nexthop", "via", "fd00:2::2", "nexthop", "via", "fd00:3::2")
	// Labels that the client would choose by itself are not in a flow's key.
	l.client.Sysctl("net/ipv6/auto_flowlabels", "0")
	const sources = 24
	for i := range sources {
		l.client.MustRun("ip", "addr", "add", fmt.Sprintf("10.0.1.%d/24", 10+i), "dev", "c0")
		l.client.MustRun("ip", "-6", "addr", "add", fmt.Sprintf("fd00:1::%x/64", 16+i), "dev", "c0", "nodad")
	}
	seen := make(chan hit, 1024)
	for ns, egress := range map[interface {
		Run(func())
		MustRun(string, ...string) string
	}]uint32{l.server: l.s1, l.other: l.t1} {
		ns.MustRun("ip", "addr", "add", dst4+"/32", "dev", "lo")
		ns.MustRun("ip", "-6", "addr", "add", dst6+"/128", "dev", "lo", "nodad")
		ns.Run(func() { serve(t, seen, egress, dst4, dst6) })
	}
	for i, policy := range []string{"0", "1"} {
		ports := uint16(20000 + 10000*i) // so that a late packet is of its own run
		l.gateway.Sysctl("net/ipv4/fib_multipath_hash_policy", policy)
		l.gateway.Sysctl("net/ipv6/fib_multipath_hash_policy", policy)
		settle(t, l.gateway, l.table)
		for _, dst := range []string{dst4, dst6} {
			t.Run(fmt.Sprintf("policy=%s/%s", policy, dst), func(t *testing.T) {
				l.multipath(t, netip.MustParseAddr(dst), sources, ports, seen)
			})
		}
	}
}

// hit is a packet that arrived by the gateway's interface.
type hit struct {
	from   netip.AddrPort
	egress uint32
}

func serve(t *testing.T, seen chan<- hit, egress uint32, addrs ...string) {
	for _, a := range addrs {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(a), Port: 53})
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			b := make([]byte, 1)
			for {
				_, from, err := c.ReadFromUDPAddrPort(b)
				if err != nil {
					return
				}
				seen <- hit{netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), egress}
			}
		}()
	}
}

// multipath sends a packet of each flow, and again where one does not arrive.
func (l *lab) multipath(t *testing.T, dst netip.Addr, sources int, ports uint16, seen <-chan hit) {
	want := make(map[netip.AddrPort]uint32)
	for i := range sources * 4 {
		src := netip.MustParseAddr(fmt.Sprintf("10.0.1.%d", 10+i%sources))
		if dst.Is6() {
			src = netip.MustParseAddr(fmt.Sprintf("fd00:1::%x", 16+i%sources))
		}
		k := keyOf(l.c1, src, dst)
		k.SrcPort = ports + uint16(i*7)
		var r flow.Route
		want[netip.AddrPortFrom(src, k.SrcPort)] = l.reader.Lookup(&k, 0, &r)
		if r.DstPrefixLen != map[bool]uint8{false: 24, true: 64}[dst.Is6()] || r.NextHopVersion != k.Version {
			t.Errorf("%v: %+v", src, r)
		}
	}
	took := make(map[netip.AddrPort]uint32)
	for range 20 {
		l.client.Run(func() {
			for from := range want {
				if took[from] == 0 {
					send(t, from, netip.AddrPortFrom(dst, 53))
				}
			}
		})
		for pause := time.After(250 * time.Millisecond); pause != nil && len(took) < len(want); {
			select {
			case h := <-seen:
				if want[h.from] != 0 {
					took[h.from] = h.egress
				}
			case <-pause:
				pause = nil
			}
		}
	}
	count := make(map[uint32]int)
	for from, egress := range want {
		count[egress]++
		if took[from] != egress {
			t.Errorf("%v left by %q, the table says %s", from, l.table.InterfaceName(took[from]), l.table.InterfaceName(egress))
		}
	}
	if count[l.s1] == 0 || count[l.t1] == 0 {
		t.Errorf("the packets took one way only: %v", count)
	}
}

// send sends one datagram. A connected socket would give it a hash, which policy
// 1 takes over where there is one.
func send(t *testing.T, from, to netip.AddrPort) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(from))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	if _, err := c.WriteToUDPAddrPort([]byte{0}, to); err != nil {
		t.Error(err)
	}
}
