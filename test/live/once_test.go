//go:build linux

package live_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
)

// way is one direction of a ping, from address to address.
type way struct{ from, to string }

// pings is how many echo requests a ping sends.
const pings = 5

func ping(ns *netns.NS, to string) {
	ns.MustRun("ping", "-q", "-i", "0.01", "-c", fmt.Sprint(pings), to)
}

// once has cacheflow meter interfaces of ns, whose names have blanks between them,
// while traffic runs, and sees that each echo request and each answer of the wanted
// ways is counted once, and that no other ping was seen.
func once(t *testing.T, m binary.Mode, ns *netns.NS, names string, traffic func(), want ...way) {
	t.Helper()
	collector := nfcapd(t, ns, judge.NfcapdConfig{})
	args := []string{"-e", collector.Address.String()}
	for _, name := range strings.Fields(names) {
		args = append(args, "-i", name)
	}
	d := start(t, m, ns, args...)
	traffic()
	final := d.stop()
	final.exact(t)
	collector.Stop()
	delivered(t, collector, final)
	var all uint64
	for _, f := range collector.Flows("proto icmp or proto icmp6") {
		if kind := f.Uint("destinationTransportPort") >> 8; kind == 8 || kind == 0 || kind == 128 || kind == 129 {
			all += f.Uint("packetDeltaCount")
		}
	}
	if all != uint64(2*pings*len(want)) {
		t.Errorf("%s: %d packets of pings, want %d", names, all, 2*pings*len(want))
	}
	for _, w := range want {
		protocol, request, reply := "icmp", 8, 0
		if strings.Contains(w.from, ":") {
			protocol, request, reply = "icmp6", 128, 129
		}
		for filter, kind := range map[string]int{
			fmt.Sprintf("proto %s and src ip %s and dst ip %s", protocol, w.from, w.to): request,
			fmt.Sprintf("proto %s and src ip %s and dst ip %s", protocol, w.to, w.from): reply,
		} {
			packets := uint64(0)
			for _, f := range collector.Flows(filter) {
				if f.Uint("destinationTransportPort")>>8 == uint64(kind) {
					packets += f.Uint("packetDeltaCount")
				}
			}
			if packets != pings {
				t.Errorf("%s: %d packets, want %d: %s, type %d", names, packets, pings, filter, kind)
			}
		}
	}
}

// With one interface of a gateway selected, the inner or the outer one, every
// packet that passes it is metered once, in both directions, and so are the
// gateway's own. With both selected, only the kernel can tell which leaving packets
// came in by the other one: it does as well.
func TestGatewayOnce(t *testing.T) { inParallel(t, gatewayOnce) }

func gatewayOnce(t *testing.T, m binary.Mode) {
	client, gateway, server := netns.New(t), netns.New(t), netns.New(t)
	gateway.Sysctl("net/ipv4/ip_forward", "1")
	gateway.Sysctl("net/ipv6/conf/all/forwarding", "1")
	netns.Veth(t, netns.End{NS: client, Name: "c", Addrs: []string{"10.1.0.2/24", "fd00:1::2/64"}},
		netns.End{NS: gateway, Name: "lan", Addrs: []string{"10.1.0.1/24", "fd00:1::1/64"}})
	netns.Veth(t, netns.End{NS: server, Name: "s", Addrs: []string{"10.2.0.2/24", "fd00:2::2/64"}},
		netns.End{NS: gateway, Name: "wan", Addrs: []string{"10.2.0.1/24", "fd00:2::1/64"}})
	client.MustRun("ip", "route", "add", "default", "via", "10.1.0.1")
	client.MustRun("ip", "-6", "route", "add", "default", "via", "fd00:1::1")
	server.MustRun("ip", "route", "add", "default", "via", "10.2.0.1")
	server.MustRun("ip", "-6", "route", "add", "default", "via", "fd00:2::1")
	traffic := func() {
		ping(client, "10.2.0.2")
		ping(client, "fd00:2::2")
		ping(gateway, "10.1.0.2")
		ping(gateway, "fd00:1::2")
		ping(gateway, "10.2.0.2")
		ping(client, "10.2.0.1") // the gateway's outer address, through the inner interface
	}
	through := []way{{"10.1.0.2", "10.2.0.2"}, {"fd00:1::2", "fd00:2::2"}}
	inner := []way{{"10.1.0.1", "10.1.0.2"}, {"fd00:1::1", "fd00:1::2"}, {"10.1.0.2", "10.2.0.1"}}
	outer := []way{{"10.2.0.1", "10.2.0.2"}}
	once(t, m, gateway, "lan", traffic, slices.Concat(through, inner)...)
	once(t, m, gateway, "wan", traffic, slices.Concat(through, outer)...)
	if m == binary.EBPF {
		once(t, m, gateway, "lan wan", traffic, slices.Concat(through, inner, outer)...)
	}
}

// A bridge shows what its host sends and receives; a port of it, all that passes
// the port, although most of it is addressed to others.
func TestBridgeOnce(t *testing.T) { inParallel(t, bridgeOnce) }

func bridgeOnce(t *testing.T, m binary.Mode) {
	x, y, host := netns.New(t), netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: x, Name: "x", Addrs: []string{"10.3.0.1/24"}}, netns.End{NS: host, Name: "px"})
	netns.Veth(t, netns.End{NS: y, Name: "y", Addrs: []string{"10.3.0.2/24"}}, netns.End{NS: host, Name: "py"})
	host.MustRun("ip", "link", "add", "br0", "type", "bridge")
	host.Sysctl("net/ipv6/conf/br0/disable_ipv6", "1")
	host.MustRun("ip", "addr", "add", "10.3.0.3/24", "dev", "br0")
	for _, port := range []string{"px", "py"} {
		host.MustRun("ip", "link", "set", port, "master", "br0")
	}
	host.MustRun("ip", "link", "set", "br0", "up")
	traffic := func() {
		ping(x, "10.3.0.2")
		ping(host, "10.3.0.1")
		ping(y, "10.3.0.3")
	}
	own, other := way{"10.3.0.3", "10.3.0.1"}, way{"10.3.0.2", "10.3.0.3"}
	passing := way{"10.3.0.1", "10.3.0.2"}
	once(t, m, host, "br0", traffic, own, other)
	once(t, m, host, "px", traffic, own, passing)
}

// A tun device has no link header; what it carries is metered once.
func TestTunOnce(t *testing.T) { inParallel(t, tunOnce) }

func tunOnce(t *testing.T, m binary.Mode) {
	a, b := netns.New(t), netns.New(t)
	left, right := openTun(t, a, "left", unix.IFF_TUN), openTun(t, b, "right", unix.IFF_TUN)
	go relay(left, right, unseen)
	go relay(right, left, unseen)
	for name, ns := range map[string]*netns.NS{"left": a, "right": b} {
		ns.MustRun("ip", "addr", "add", map[string]string{"left": "10.4.0.1/24", "right": "10.4.0.2/24"}[name], "dev", name)
		ns.MustRun("ip", "link", "set", name, "up")
	}
	traffic := func() {
		ping(a, "10.4.0.2")
		ping(b, "10.4.0.1")
	}
	for name, ns := range map[string]*netns.NS{"left": a, "right": b} {
		once(t, m, ns, name, traffic, way{"10.4.0.1", "10.4.0.2"}, way{"10.4.0.2", "10.4.0.1"})
	}
}

// A vxlan device shows what is inside the tunnel; the interface below shows the
// tunnel.
func TestVXLANOnce(t *testing.T) { inParallel(t, vxlanOnce) }

func vxlanOnce(t *testing.T, m binary.Mode) {
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "below", Addrs: []string{"10.5.0.1/24"}}, netns.End{NS: b, Name: "below", Addrs: []string{"10.5.0.2/24"}})
	for i, ns := range []*netns.NS{a, b} {
		ns.MustRun("ip", "link", "add", "vx0", "type", "vxlan", "id", "7", "dstport", "4789",
			"local", fmt.Sprintf("10.5.0.%d", 1+i), "remote", fmt.Sprintf("10.5.0.%d", 2-i))
		ns.Sysctl("net/ipv6/conf/vx0/disable_ipv6", "1")
		ns.MustRun("ip", "addr", "add", fmt.Sprintf("10.6.0.%d/24", 1+i), "dev", "vx0")
		ns.MustRun("ip", "link", "set", "vx0", "up")
	}
	traffic := func() { ping(a, "10.6.0.2") }
	traffic() // so that neighbours are known
	once(t, m, a, "vx0", traffic, way{"10.6.0.1", "10.6.0.2"})

	collector := nfcapd(t, b, judge.NfcapdConfig{})
	d := start(t, m, b, "-i", "below", "-e", collector.Address.String())
	traffic()
	d.stop().exact(t)
	collector.Stop()
	if got := judge.Add(collector.Flows("proto udp and dst port 4789")); got.Packets != 2*pings || got.Octets != 2*pings*(20+8+8+14+84) {
		t.Errorf("the tunnel: %+v, want %d packets", got, 2*pings)
	}
	if inner := collector.Flows("proto icmp"); len(inner) > 0 {
		t.Errorf("the interface below shows what is in the tunnel: %v", inner)
	}
}

// The loopback interface shows each packet leaving and arriving: it is metered
// once. The exporter's own datagrams pass there too, and are not metered.
func TestLoopbackOnce(t *testing.T) { inParallel(t, loopbackOnce) }

func loopbackOnce(t *testing.T, m binary.Mode) {
	ns := netns.New(t)
	traffic := func() {
		ping(ns, "127.0.0.1")
		ping(ns, "::1")
	}
	// A ping to oneself has one pair of addresses: both ways are looked at at once.
	collector := nfcapd(t, ns, judge.NfcapdConfig{})
	d := start(t, m, ns, "-i", "lo", "-e", collector.Address.String())
	traffic()
	final := d.stop()
	final.exact(t)
	collector.Stop()
	for filter, want := range map[string]uint64{"src ip 127.0.0.1 and dst ip 127.0.0.1 and proto icmp": 2 * pings, "src ip ::1 and dst ip ::1 and proto icmp6": 2 * pings,
		fmt.Sprintf("port %d", collector.Address.Port()): 0} {
		if got := judge.Add(collector.Flows(filter)); got.Packets != want {
			t.Errorf("%s: %+v, want %d packets", filter, got, want)
		}
	}
}

// The collector is reached through the interface that is metered: the exporter
// does not meter its own datagrams, and counts each of them as ignored.
func TestOwnExports(t *testing.T) { inParallel(t, ownExports) }

func ownExports(t *testing.T, m binary.Mode) {
	host, meter := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: host, Name: "out", Addrs: []string{"10.9.0.1/24", "fd00:9::1/64"}},
		netns.End{NS: meter, Name: "in", Addrs: []string{"10.9.0.2/24", "fd00:9::2/64"}})
	for _, address := range []string{"10.9.0.1", "fd00:9::1"} {
		var recorder *judge.Recorder
		host.Run(func() { recorder = judge.StartRecorder(t, netip.AddrPortFrom(netip.MustParseAddr(address), 0)) })
		d := start(t, m, meter, "-i", "in", "--active", "1s", "--inactive", "1s", "-e", recorder.Address.String())
		for range 4 {
			host.MustRun("ping", "-q", "-i", "0.1", "-c", "8", "10.9.0.2")
		}
		datagrams := 0
		live := d.await("everything exported, and ignored", 10*time.Second, func(l *ledger) bool {
			datagrams = len(recorder.Datagrams())
			return l.isClosed() && l.Cache.Content.Count == 0 && l.Exporters[0].Sent == l.Records && term(l.Ignored, "own export").Count == uint64(datagrams)
		})
		if datagrams < 3 {
			t.Errorf("%s: %d datagrams arrived", address, datagrams)
		}
		live.exact(t)
		d.stop().exact(t)
		recorder.Stop()
		flows, err := judge.Goflow2(recorder.Datagrams())
		if err != nil {
			t.Error(err)
		}
		for _, f := range flows {
			if f.Uint("destinationTransportPort") == uint64(recorder.Address.Port()) {
				t.Errorf("%s: its own datagrams were metered: %v", address, f)
			}
		}
		if s := judge.Add(flows); s.Packets < 64 {
			t.Errorf("%s: %+v of 64 packets", address, s)
		}
	}
}
