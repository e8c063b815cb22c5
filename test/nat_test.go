//go:build linux

package test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
	"cacheflow/test/process"
)

// TestNAT meters both sides of a gateway that masquerades a client's connections
// and leads a port to it, and looks at what a collector is told of each
// direction: the address of the gateway is not where packets to it end.
func TestNAT(t *testing.T) { binary.InBothModes(t, testNAT) }

func testNAT(t *testing.T, m binary.Mode) {
	process.Need(t, "nft")
	client, gateway, server := natLab(t)
	nfcapd := judge.StartNfcapd(t, judge.NfcapdConfig{Command: gateway.Command, Address: netip.MustParseAddrPort("127.0.0.1:2055")})
	daemon := binary.Run(t, m, gateway.Command, "-i", "lan", "-i", "wan", "-e", nfcapd.Address.String())
	for _, network := range []string{"udp", "tcp"} {
		for _, a := range natAddresses {
			echo(t, server, network, a.server+":7")
			echo(t, client, network, a.client+":80")
			echo(t, gateway, network, a.gateway+":22")
			converse(t, client, network, a.client+":5000", a.server+":7")
			converse(t, server, network, a.server+":6000", a.gateway+":8080")
			converse(t, server, network, a.server+":6001", a.gateway+":22")
		}
	}
	time.Sleep(300 * time.Millisecond) // for the last packets to arrive
	daemon.Stop(20 * time.Second)
	nfcapd.Stop()
	records := map[string]judge.Flow{}
	for _, f := range nfcapd.Flows() {
		records[keyOf(f)] = f
	}
	for _, protocol := range []int{flow.ProtocolUDP, flow.ProtocolTCP} {
		for _, a := range natAddresses {
			for _, want := range []struct {
				src, dst, ports, in, out string
				status                   flow.ForwardingStatus
			}{
				{a.client, a.server, "5000 7", "lan", "wan", flow.Forwarded},
				{a.server, a.gateway, "7 5000", "wan", "lan", flow.Forwarded},
				{a.server, a.gateway, "6000 8080", "wan", "lan", flow.Forwarded},
				{a.client, a.server, "80 6000", "lan", "wan", flow.Forwarded},
				{a.server, a.gateway, "6001 22", "wan", "", flow.TerminatedHere},
			} {
				index := map[string]int{"lan": gateway.Index("lan"), "wan": gateway.Index("wan")}
				key := fmt.Sprintf("%s %s %s %d %d", strings.Trim(want.src, "[]"), strings.Trim(want.dst, "[]"), want.ports, protocol, index[want.in])
				f := records[key]
				if f["egressInterface"] != strconv.Itoa(index[want.out]) || f["forwardingStatus"] != strconv.Itoa(int(want.status)) {
					t.Errorf("%s: %v instead of status %d to %q", key, f, want.status, want.out)
				}
			}
		}
	}
}

// natAddresses are those that a server and a gateway know of each other, and the
// client's, which the gateway keeps to itself.
var natAddresses = []struct{ client, gateway, server string }{
	{"10.1.0.2", "10.2.0.1", "10.2.0.2"},
	{"[fd00:1::2]", "[fd00:2::1]", "[fd00:2::2]"},
}

// natLab is a client and a server with a gateway between them whose address is
// all that the server sees of the client.
func natLab(t *testing.T) (client, gateway, server *netns.NS) {
	client, gateway, server = netns.New(t), netns.New(t), netns.New(t)
	gateway.Sysctl("net/ipv4/ip_forward", "1")
	gateway.Sysctl("net/ipv6/conf/all/forwarding", "1")
	netns.Veth(t, netns.End{NS: client, Name: "c0", Addrs: []string{"10.1.0.2/24", "fd00:1::2/64"}},
		netns.End{NS: gateway, Name: "lan", Addrs: []string{"10.1.0.1/24", "fd00:1::1/64"}})
	netns.Veth(t, netns.End{NS: server, Name: "s0", Addrs: []string{"10.2.0.2/24", "fd00:2::2/64"}},
		netns.End{NS: gateway, Name: "wan", Addrs: []string{"10.2.0.1/24", "fd00:2::1/64"}})
	routes(t, client, "default via 10.1.0.1", "default via fd00:1::1")
	gateway.MustRun("nft", `table inet nat {
		chain post { type nat hook postrouting priority 100; oifname wan masquerade; }
		chain pre {
			type nat hook prerouting priority -100;
			iifname wan meta l4proto { tcp, udp } th dport 8080 dnat ip to 10.1.0.2:80
			iifname wan meta l4proto { tcp, udp } th dport 8080 dnat ip6 to [fd00:1::2]:80
		}
	}`)
	return client, gateway, server
}

// echo has a host send back what it is sent to an address, until the test ends.
func echo(t *testing.T, ns *netns.NS, network, address string) {
	t.Helper()
	var err error
	ns.Run(func() {
		if network == "udp" {
			var c net.PacketConn
			if c, err = net.ListenPacket(network, address); err == nil {
				t.Cleanup(func() { c.Close() })
				go echoDatagrams(c)
			}
			return
		}
		var l net.Listener
		if l, err = net.Listen(network, address); err == nil {
			t.Cleanup(func() { l.Close() })
			go echoConnections(l)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func echoDatagrams(c net.PacketConn) {
	b := make([]byte, 64)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = c.WriteTo(b[:n], from) // who asked notices
	}
}

func echoConnections(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		c.Close()
	}
}

// converse sends something and waits until it comes back.
func converse(t *testing.T, ns *netns.NS, network, from, to string) {
	t.Helper()
	local := netip.MustParseAddrPort(from)
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: net.UDPAddrFromAddrPort(local)}
	if network == "tcp" {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	var c net.Conn
	var err error
	ns.Run(func() { c, err = d.Dial(network, to) })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, len("cacheflow"))
	if _, err = c.Write([]byte("cacheflow")); err == nil {
		_, err = io.ReadFull(c, b)
	}
	if err != nil {
		t.Fatalf("%s to %s: %v", network, to, err)
	}
}
