//go:build linux

package route_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/cache/route"
	"cacheflow/test/netns"
	"cacheflow/test/process"
)

// natRules masquerade what leaves towards the server, and lead port 8080 of the
// gateway's address there to port 80 of the other server.
const natRules = `
table inet nat {
	chain post { type nat hook postrouting priority 100; oifname s1 masquerade; }
	chain pre {
		type nat hook prerouting priority -100;
		iifname s1 meta l4proto { tcp, udp, udplite, sctp } th dport 8080 dnat ip to 10.0.3.2:80
		iifname s1 meta l4proto { tcp, udp, udplite, sctp } th dport 8080 dnat ip6 to [fd00:3::2]:80
	}
}`

// natLab is a lab whose client has a network behind it, 10.9.0.0/16 and
// fd00:9::/32, and whose gateway translates once masquerade is called.
func natLab(t testing.TB) *lab {
	process.Need(t, "nft")
	l := newLab(t, route.Options{})
	l.client.MustRun("ip", "addr", "add", "10.9.0.5/32", "dev", "lo")
	l.client.MustRun("ip", "-6", "addr", "add", "fd00:9::5/128", "dev", "lo", "nodad")
	l.ip("route", "add", "10.9.0.0/16", "via", "10.0.1.2")
	l.ip("-6", "route", "add", "fd00:9::/32", "via", "fd00:1::2")
	settle(t, l.gateway, l.table)
	return l
}

func (l *lab) masquerade() {
	l.t.Helper()
	l.gateway.MustRun("nft", natRules)
	l.gateway.Sysctl("net/netfilter/nf_conntrack_checksum", "0") // the packets of this test have none
}

// rawSocket opens one of a protocol that is bound to an address.
func rawSocket(t testing.TB, ns *netns.NS, protocol uint8, addr netip.Addr) int {
	t.Helper()
	fd, err := -1, error(nil)
	ns.Run(func() {
		if fd, err = unix.Socket(family(addr), unix.SOCK_RAW, int(protocol)); err == nil {
			err = unix.Bind(fd, sockaddr(addr))
		}
	})
	if err != nil {
		t.Fatalf("raw socket of protocol %d at %v: %v", protocol, addr, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	wait := unix.NsecToTimeval(int64(5 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		t.Fatal(err)
	}
	return fd
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

// first returns the first packet of a connection, without checksum.
func first(protocol uint8, src, dst uint16) []byte {
	b := binary.BigEndian.AppendUint16(nil, src)
	b = binary.BigEndian.AppendUint16(b, dst)
	switch protocol {
	case flow.ProtocolTCP: // SYN
		return append(b, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0)
	case flow.ProtocolUDP:
		return append(b, 0, 8, 0, 0)
	case flow.ProtocolUDPLite:
		return append(b, 0, 8, 0xff, 0xff)
	case flow.ProtocolSCTP: // INIT
		return append(b, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1)
	case flow.ProtocolDCCP: // Request
		return append(b, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	}
	return make([]byte, 8)
}

// hasPorts reports whether a key of the protocol has ports.
func hasPorts(protocol uint8) bool {
	return slices.Contains([]uint8{flow.ProtocolTCP, flow.ProtocolUDP, flow.ProtocolUDPLite, flow.ProtocolSCTP, flow.ProtocolDCCP}, protocol)
}

// deliver sends the first packet of a connection and returns where from it seems
// to come at the address behind at, where it is received.
func deliver(t testing.TB, from *netns.NS, src netip.AddrPort, to netip.AddrPort, at *netns.NS, behind netip.Addr, protocol uint8) netip.AddrPort {
	t.Helper()
	in, out := rawSocket(t, at, protocol, behind), rawSocket(t, from, protocol, src.Addr())
	if err := unix.Sendto(out, first(protocol, src.Port(), to.Port()), 0, sockaddr(to.Addr())); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 128)
	n, sender, err := unix.Recvfrom(in, b, 0)
	if err != nil || n < 28 && behind.Is4() || n < 8 {
		t.Fatalf("protocol %d from %v to %v: %d octets, %v", protocol, src, to, n, err)
	}
	var addr netip.Addr
	switch s := sender.(type) {
	case *unix.SockaddrInet4:
		addr, b = netip.AddrFrom4(s.Addr), b[20:]
	case *unix.SockaddrInet6:
		addr = netip.AddrFrom16(s.Addr)
	}
	if !hasPorts(protocol) {
		return netip.AddrPortFrom(addr, 0)
	}
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b))
}

// natKey returns that of a packet which comes in from the server's side.
func (l *lab) natKey(protocol uint8, src, dst netip.AddrPort) flow.Key {
	k := keyOf(l.s1, src.Addr(), dst.Addr())
	k.Protocol, k.SrcPort, k.DstPort = protocol, src.Port(), dst.Port()
	if !hasPorts(protocol) {
		k.SrcPort, k.DstPort = 0, 0
	}
	return k
}

// expect looks k up.
func (l *lab) expect(what string, k flow.Key, egress uint32, want flow.Route) {
	l.t.Helper()
	var got flow.Route
	if e := l.reader.Lookup(&k, 0, &got); e != egress || got != want {
		l.t.Errorf("%s: protocol %d, %v port %d to %v port %d: interface %d, %+v, instead of %d, %+v",
			what, k.Protocol, k.SrcAddr(), k.SrcPort, k.DstAddr(), k.DstPort, e, got, egress, want)
	}
}

// natFamily has the addresses of the lab in one family, and the answers about
// packets from the server.
type natFamily struct {
	client, other, server, gateway netip.Addr
	here, toClient, toOther        flow.Route
}

func natFamilies() []natFamily {
	v4 := natFamily{client: netip.MustParseAddr("10.9.0.5"), other: netip.MustParseAddr("10.0.3.2"), server: netip.MustParseAddr("10.0.2.2"), gateway: netip.MustParseAddr("10.0.2.1")}
	v6 := natFamily{client: netip.MustParseAddr("fd00:9::5"), other: netip.MustParseAddr("fd00:3::2"), server: netip.MustParseAddr("fd00:2::2"), gateway: netip.MustParseAddr("fd00:2::1")}
	v4.here = flow.Route{Status: flow.TerminatedHere, SrcPrefixLen: 24, DstPrefixLen: 32}
	v6.here = flow.Route{Status: flow.TerminatedHere, SrcPrefixLen: 64, DstPrefixLen: 128}
	v4.toOther = flow.Route{Status: flow.Forwarded, SrcPrefixLen: 24, DstPrefixLen: 24}
	v6.toOther = flow.Route{Status: flow.Forwarded, SrcPrefixLen: 64, DstPrefixLen: 64}
	v4.toClient = flow.Route{Status: flow.Forwarded, SrcPrefixLen: 24, DstPrefixLen: 16, NextHopVersion: 4}
	v6.toClient = flow.Route{Status: flow.Forwarded, SrcPrefixLen: 64, DstPrefixLen: 32, NextHopVersion: 6}
	copy(v4.toClient.NextHop[:], netip.MustParseAddr("10.0.1.2").AsSlice())
	copy(v6.toClient.NextHop[:], netip.MustParseAddr("fd00:1::2").AsSlice())
	return []natFamily{v4, v6}
}

// TestNAT looks up what the server sends to the gateway's address.
func TestNAT(t *testing.T) {
	l := natLab(t)
	l.masquerade()
	at := netip.AddrPortFrom
	for _, f := range natFamilies() {
		server := at(f.server, 7)
		for _, p := range []uint8{flow.ProtocolTCP, flow.ProtocolUDP, flow.ProtocolUDPLite, flow.ProtocolSCTP, flow.ProtocolDCCP, flow.ProtocolGRE, flow.ProtocolESP, 253} {
			outside := deliver(t, l.client, at(f.client, 5000), server, l.server, f.server, p)
			l.expect("masqueraded", l.natKey(p, server, outside), l.c1, f.toClient)
			// Of the protocols below conntrack may not know the ports.
			if !hasPorts(p) || p == flow.ProtocolDCCP {
				continue
			}
			second := deliver(t, l.other, at(f.other, 5000), server, l.server, f.server, p)
			if second == outside {
				t.Fatalf("two connections seem to come from %v", second)
			}
			l.expect("masqueraded to another port", l.natKey(p, server, second), l.t1, f.toOther)
			deliver(t, l.server, at(f.server, 6000), at(f.gateway, 8080), l.other, f.other, p)
			l.expect("to a server", l.natKey(p, at(f.server, 6000), at(f.gateway, 8080)), l.t1, f.toOther)
			deliver(t, l.server, at(f.server, 6000), at(f.gateway, 22), l.gateway, f.gateway, p)
			l.expect("to the gateway", l.natKey(p, at(f.server, 6000), at(f.gateway, 22)), 0, f.here)
			l.expect("of no connection", l.natKey(p, at(f.server, 6001), at(f.gateway, 8080)), 0, f.here)
		}
	}
	if s := l.table.Stats(); s.TrackAsked != 2*(8+4*4) || s.Translated != 2*(8+4*2) || s.TrackFailed != 0 {
		t.Errorf("%+v", s)
	}
}

// TestNATOfICMP sees that the kernel is not asked what it refuses to answer.
func TestNATOfICMP(t *testing.T) {
	l := natLab(t)
	l.masquerade()
	for _, f := range natFamilies() {
		server, gateway := netip.AddrPortFrom(f.server, 7), netip.AddrPortFrom(f.gateway, 7)
		deliver(t, l.client, netip.AddrPortFrom(f.client, 5000), server, l.server, f.server, flow.ProtocolUDP)
		for _, p := range []uint8{flow.ProtocolICMP, flow.ProtocolICMPv6} {
			l.expect("ICMP", l.natKey(p, server, gateway), 0, f.here)
		}
	}
	if s := l.table.Stats(); s.TrackAsked != 0 || s.TrackFailed != 0 {
		t.Errorf("%+v", s)
	}
}

// TestNATByRule has a rule lead the way behind the translation.
func TestNATByRule(t *testing.T) {
	l := natLab(t)
	l.masquerade()
	l.ip("route", "add", "10.9.0.0/24", "via", "10.0.3.2", "table", "100")
	l.ip("rule", "add", "to", "10.9.0.0/16", "iif", "s1", "table", "100")
	settle(t, l.gateway, l.table)
	f := natFamilies()[0]
	server := netip.AddrPortFrom(f.server, 7)
	outside := deliver(t, l.client, netip.AddrPortFrom(f.client, 5000), server, l.server, f.server, flow.ProtocolUDP)
	want := f.toClient
	want.DstPrefixLen = 24
	copy(want.NextHop[:], netip.MustParseAddr("10.0.3.2").AsSlice())
	l.expect("by a rule", l.natKey(flow.ProtocolUDP, server, outside), l.t1, want)
}

// TestNATBeginsLater asks nothing before there are connections, and notices when
// there are.
func TestNATBeginsLater(t *testing.T) {
	l := natLab(t)
	f := natFamilies()[0]
	server, gateway := netip.AddrPortFrom(f.server, 6000), netip.AddrPortFrom(f.gateway, 8080)
	k := l.natKey(flow.ProtocolUDP, server, gateway)
	for range 100 {
		l.expect("without conntrack", k, 0, f.here)
	}
	if s := l.table.Stats(); s.TrackAsked != 0 || s.TrackFailed != 0 {
		t.Errorf("%+v", s)
	}
	l.masquerade()
	deliver(t, l.server, server, gateway, l.other, f.other, flow.ProtocolUDP)
	eventually(t, "the connection is known", func() bool {
		var r flow.Route
		return l.reader.Lookup(&k, 0, &r) == l.t1
	})
}

// onThread runs f on a thread of its own.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		f()
	}()
	<-done
}

// TestNATWithoutTheRight asks once where the kernel refuses to answer.
func TestNATWithoutTheRight(t *testing.T) {
	l := natLab(t)
	l.masquerade()
	f := natFamilies()[0]
	server := netip.AddrPortFrom(f.server, 7)
	outside := deliver(t, l.client, netip.AddrPortFrom(f.client, 5000), server, l.server, f.server, flow.ProtocolUDP)
	onThread(func() {
		var none [2]unix.CapUserData
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			t.Error(err)
			return
		}
		for range 100 {
			l.expect("without the right", l.natKey(flow.ProtocolUDP, server, outside), 0, f.here)
		}
	})
	if s := l.table.Stats(); s.TrackAsked != 0 || s.TrackFailed != 1 {
		t.Errorf("%+v", s)
	}
}

// TestNATWithoutModule hides that the kernel has connection tracking.
func TestNATWithoutModule(t *testing.T) {
	l := natLab(t)
	l.masquerade()
	f := natFamilies()[0]
	server := netip.AddrPortFrom(f.server, 7)
	outside := deliver(t, l.client, netip.AddrPortFrom(f.client, 5000), server, l.server, f.server, flow.ProtocolUDP)
	k := l.natKey(flow.ProtocolUDP, server, outside)
	onThread(func() {
		const dir = "/proc/sys/net/netfilter"
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount(t.TempDir(), dir, "", unix.MS_BIND, "")
		}
		if err != nil {
			t.Error(fmt.Errorf("hide %s: %w", dir, err))
			return
		}
		l.expect("without the module", k, 0, f.here)
	})
	if s := l.table.Stats(); s.TrackAsked != 0 || s.TrackFailed != 0 {
		t.Errorf("%+v", s)
	}
	time.Sleep(1100 * time.Millisecond)
	l.expect("with the module", k, l.c1, f.toClient)
}

// BenchmarkNAT looks up packets to the gateway's address: of a connection that
// goes on, of one that ends there, and of one in a namespace without conntrack.
func BenchmarkNAT(b *testing.B) {
	f := natFamilies()[0]
	server, gateway := netip.AddrPortFrom(f.server, 6000), netip.AddrPortFrom(f.gateway, 8080)
	plain, l := natLab(b), natLab(b)
	l.masquerade()
	deliver(b, l.server, server, gateway, l.other, f.other, flow.ProtocolUDP)
	for _, c := range []struct {
		name   string
		reader *route.Reader
		key    flow.Key
		want   flow.ForwardingStatus
	}{
		{"translated", l.reader, l.natKey(flow.ProtocolUDP, server, gateway), flow.Forwarded},
		{"here", l.reader, l.natKey(flow.ProtocolUDP, gateway, gateway), flow.TerminatedHere},
		{"unused", plain.reader, plain.natKey(flow.ProtocolUDP, server, gateway), flow.TerminatedHere},
	} {
		b.Run(c.name, func(b *testing.B) {
			var r flow.Route
			b.ReportAllocs()
			for b.Loop() {
				c.reader.Lookup(&c.key, 0, &r)
			}
			if r.Status != c.want {
				b.Errorf("%+v", r)
			}
		})
	}
}
