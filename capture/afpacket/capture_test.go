//go:build linux

package afpacket

import (
	"testing"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// Both directions of one interface: every frame once, with its direction, its
// interface, its tags and labels; what is not IP is counted.
func TestBothDirections(t *testing.T) {
	payload := ip4("10.0.0.1", "10.0.0.2", flow.ProtocolUDP, udp(1000, 2000, 100))
	frames := [][]byte{
		ether(unix.ETH_P_IP, payload),
		ether(unix.ETH_P_8021Q, tag(100, unix.ETH_P_IP, payload)),
		ether(unix.ETH_P_8021AD, tag(200, unix.ETH_P_8021Q, tag(300, unix.ETH_P_IP, payload))),
		ether(unix.ETH_P_MPLS_UC, labels(payload, 16, 17, 18, 19)),
		ether(unix.ETH_P_PPP_SES, pppoe(pppIPv4, ip4("10.0.0.3", "10.0.0.2", flow.ProtocolUDP, udp(1000, 2000, 100)))),
		ether(unix.ETH_P_IPV6, ip6("fd00::1", "fd00::2", flow.ProtocolUDP, udp(1000, 2000, 100))),
		ether(unix.ETH_P_ARP, make([]byte, 46)),
		ether(0x88cc, make([]byte, 46)),
		ether(unix.ETH_P_IP, payload[:10]), // cut: seen all the same
	}
	const rounds = 50
	for _, workers := range []int{1, 2} {
		a, b := pair(t)
		r := capturing(t, b, Config{Interfaces: []string{"in"}, Workers: workers})
		there, back := newSender(t, a, "out"), newSender(t, b, "in")
		for range rounds {
			there.send(frames...)
			back.send(frames...)
		}
		r.await(2 * rounds * len(frames))
		r.finish()
		got := r.counters()["in"]
		if got.Observed != 2*rounds*9 || got.Metered != 2*rounds*6 || got.NotMetered[capture.NonIP] != 2*rounds*2 ||
			got.NotMetered[capture.TruncatedIP] != 2*rounds || got.OtherHost != rounds*9 {
			t.Fatalf("%d workers: counters %+v", workers, got)
		}
		checkKinds(t, r.all(), uint32(b.Index("in")), rounds)
	}
}

// checkKinds checks that the packets are of the six kinds that TestBothDirections
// sends, each so often in each direction of the interface.
func checkKinds(t *testing.T, packets []flow.Packet, index uint32, often int) {
	t.Helper()
	kinds := map[flow.Packet]int{}
	for _, p := range packets {
		p.First, p.Last = 0, 0
		kinds[p]++
		if p.Direction == flow.Ingress && (p.Input != index || p.Egress != 0) || p.Direction == flow.Egress && (p.Input != 0 || p.Egress != index) {
			t.Fatalf("interfaces of %+v", p)
		}
	}
	if len(kinds) != 12 {
		t.Fatalf("%d kinds of packet, want 6 in each direction: %+v", len(kinds), kinds)
	}
	for p, n := range kinds {
		if n != often {
			t.Errorf("%d packets, want %d, of %+v", n, often, p)
		}
	}
	for name, is := range map[string]func(p *flow.Packet) bool{
		"tag":    func(p *flow.Packet) bool { return p.VLAN == 100 && p.CustomerVLAN == 0 },
		"QinQ":   func(p *flow.Packet) bool { return p.VLAN == 200 && p.CustomerVLAN == 300 },
		"labels": func(p *flow.Packet) bool { return p.MPLSDepth == 4 },
		"IPv6":   func(p *flow.Packet) bool { return p.Version == 6 && p.Octets == 148 },
	} {
		found := 0
		for p := range kinds {
			if is(&p) {
				found++
			}
		}
		if found != 2 {
			t.Errorf("%s was found in %d directions: %+v", name, found, kinds)
		}
	}
}
