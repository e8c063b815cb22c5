//go:build linux

package afpacket

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// leaving is what the kernel says of a leaving frame of an Ethernet device.
var leaving = map[bpf.Extension]uint32{bpf.ExtType: unix.PACKET_OUTGOING, bpf.ExtLinkLayerType: unix.ARPHRD_ETHER}

// arriving is what it says of an arriving one: it begins behind its header.
func arriving(etherType uint32) map[bpf.Extension]uint32 {
	return map[bpf.Extension]uint32{bpf.ExtType: unix.PACKET_HOST, bpf.ExtLinkLayerType: unix.ARPHRD_ETHER, bpf.ExtProto: etherType}
}

// A packet goes to one worker whatever it is wrapped in, and whichever way it
// goes; what cannot be read goes to worker 0.
func TestFanoutLooksThroughWrapping(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		p := fanoutProgram(r.Uint32())
		src, dst := fmt.Sprintf("10.%d.0.1", r.IntN(256)), fmt.Sprintf("10.0.%d.2", r.IntN(256))
		payload, etherType, ppp := ip4(src, dst, flow.ProtocolUDP, udp(1, 2, 30)), uint16(unix.ETH_P_IP), uint16(pppIPv4)
		if r.IntN(2) == 0 {
			payload = ip6("fd00::"+src, "fd00::"+dst, flow.ProtocolUDP, udp(1, 2, 30))
			etherType, ppp = unix.ETH_P_IPV6, pppIPv6
		}
		want := p.run(t, arriving(uint32(etherType)), payload)
		for name, w := range map[string]struct {
			etherType uint16
			payload   []byte
		}{
			"plain":     {etherType, payload},
			"tag":       {unix.ETH_P_8021Q, tag(5, etherType, payload)},
			"four tags": {etherTypeQinQ, tag(5, unix.ETH_P_8021AD, tag(6, unix.ETH_P_8021Q, tag(7, unix.ETH_P_8021Q, tag(8, etherType, payload))))},
			"labels":    {unix.ETH_P_MPLS_UC, labels(payload, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)},
			"PPPoE":     {unix.ETH_P_PPP_SES, pppoe(ppp, payload)},
			"tag PPPoE": {unix.ETH_P_8021Q, tag(5, unix.ETH_P_PPP_SES, pppoe(ppp, payload))},
			"PPP MPLS":  {unix.ETH_P_PPP_SES, pppoe(pppMPLS, labels(payload, 9))},
		} {
			if got := p.run(t, arriving(uint32(w.etherType)), w.payload); got != want {
				t.Errorf("%s, arriving: %d, want %d", name, got, want)
			}
			if got := p.run(t, leaving, ether(w.etherType, w.payload)); got != want {
				t.Errorf("%s, leaving: %d, want %d", name, got, want)
			}
		}
		for name, packet := range map[string][]byte{
			"ARP":        ether(unix.ETH_P_ARP, payload),
			"802.3":      ether(60, payload),
			"five tags":  ether(unix.ETH_P_8021Q, tag(1, unix.ETH_P_8021Q, tag(1, unix.ETH_P_8021Q, tag(1, unix.ETH_P_8021Q, tag(1, unix.ETH_P_8021Q, tag(1, etherType, payload)))))),
			"truncated":  ether(etherType, payload[:18]),
			"no payload": ether(etherType, nil),
			"pseudowire": ether(unix.ETH_P_MPLS_UC, labels(make([]byte, 60), 1)),
		} {
			if got := p.run(t, leaving, packet); got != 0 {
				t.Errorf("%s: %d, want 0", name, got)
			}
		}
	}
}

// Flows spread evenly, also where their addresses differ in few bits.
func TestFanoutSpreads(t *testing.T) {
	for name, address := range map[string]func(i uint32) (src, dst uint32){
		"hosts to one server":   func(i uint32) (uint32, uint32) { return 0x0a000000 + i, 0xc0a80001 },
		"both count":            func(i uint32) (uint32, uint32) { return 0x0a000000 + i, 0x0b000000 + i },
		"networks to a server":  func(i uint32) (uint32, uint32) { return i<<20 | 1, 0xc0a80001 },
		"one network each":      func(i uint32) (uint32, uint32) { return 0x0a000001 | i<<12, 0x0b000001 | i<<12 },
		"server to hosts by 16": func(i uint32) (uint32, uint32) { return 0xc0a80001, 0x0a000000 + i*16 },
	} {
		for _, workers := range []int{2, 3, 4, 8} {
			for _, version := range []int{4, 6} {
				count := make([]int, workers)
				etherType := uint32(unix.ETH_P_IP)
				if version == 6 {
					etherType = unix.ETH_P_IPV6
				}
				run := fanoutProgram(1).interpreter(t, arriving(etherType))
				const flows = 1024
				for i := range uint32(flows) {
					s, d := address(i)
					var a, b [4]byte
					binary.BigEndian.PutUint32(a[:], s)
					binary.BigEndian.PutUint32(b[:], d)
					src, dst := netip.AddrFrom4(a).String(), netip.AddrFrom4(b).String()
					packet := ip4(src, dst, flow.ProtocolTCP, nil)
					if version == 6 {
						packet = ip6("fd00::"+src, "fd00::"+dst, flow.ProtocolTCP, nil)
					}
					count[uint32(run(packet))%uint32(workers)]++
				}
				for w, n := range count {
					if n < flows/workers*3/4 || n > flows/workers*5/4 {
						t.Errorf("%s, IPv%d: worker %d of %d has %d of %d flows", name, version, w, workers, n, flows)
					}
				}
			}
		}
	}
}

// fragments4 cuts an IPv4 payload in two fragments.
func fragments4(src, dst string, protocol byte, payload []byte) [][]byte {
	first, second := ip4(src, dst, protocol, payload[:64]), ip4(src, dst, protocol, payload[64:])
	binary.BigEndian.PutUint16(first[6:], 0x2000)
	binary.BigEndian.PutUint16(second[6:], 64/8)
	return [][]byte{first, second}
}

// fragments6 does so behind a fragment header (RFC 8200 §4.5).
func fragments6(src, dst string, next byte, payload []byte) [][]byte {
	header := func(offset uint16, more byte, part []byte) []byte {
		h := []byte{next, 0, byte(offset >> 8), byte(offset) | more, 0, 0, 0, 9}
		return ip6(src, dst, flow.ProtocolFragment, append(h, part...))
	}
	return [][]byte{header(0, 1, payload[:64]), header(64, 0, payload[64:])}
}

// In the kernel: all packets of a flow are seen by one worker, fragments and
// what a tunnel carries too, in both directions and on devices of both kinds;
// and several workers have something to do.
func TestFanoutInKernel(t *testing.T) {
	a, b := pair(t)
	r := capturing(t, b, Config{Interfaces: []string{"in"}, Workers: 4})
	there, back := newSender(t, a, "out"), newSender(t, b, "in")
	const flows = 40
	sent := 0
	for i := range flows {
		src, dst := fmt.Sprintf("10.1.0.%d", i), fmt.Sprintf("10.2.0.%d", i)
		src6, dst6 := "fd00::"+src, "fd00::"+dst
		payload := udp(uint16(1000+i), 53, 120)
		var frames [][]byte
		add := func(etherType uint16, packets ...[]byte) {
			for _, p := range packets {
				frames = append(frames, ether(etherType, p), ether(unix.ETH_P_8021Q, tag(7, etherType, p)))
			}
		}
		add(unix.ETH_P_IP, ip4(src, dst, flow.ProtocolUDP, payload))
		add(unix.ETH_P_IP, fragments4(src, dst, flow.ProtocolUDP, payload)...)
		add(unix.ETH_P_IPV6, ip6(src6, dst6, flow.ProtocolUDP, payload))
		add(unix.ETH_P_IPV6, fragments6(src6, dst6, flow.ProtocolUDP, payload)...)
		for inner := range 8 { // GRE with many flows inside
			carried := ip4(fmt.Sprintf("172.16.%d.1", inner), "172.17.0.1", flow.ProtocolUDP, udp(uint16(inner), 9, 20))
			add(unix.ETH_P_IP, ip4(src, dst, flow.ProtocolGRE, append([]byte{0, 0, 8, 0}, carried...)))
		}
		there.send(frames...)
		back.send(frames...)
		sent += 2 * len(frames)
	}
	r.await(sent)
	r.finish()
	if got := r.counters()["in"]; got.Metered != uint64(sent) || got.Observed != uint64(sent) {
		t.Fatalf("sent %d, counters %+v", sent, got)
	}
	type pairOf struct {
		src, dst [16]byte
		protocol uint8
	}
	worker := map[pairOf]int{}
	busy := map[int]int{}
	for w, packets := range r.packets {
		for _, p := range packets {
			k := pairOf{p.Src, p.Dst, p.Protocol}
			if was, ok := worker[k]; ok && was != w {
				t.Fatalf("%v is seen by workers %d and %d", p.Key, was, w)
			}
			worker[k] = w
			busy[w]++
			if p.Protocol == flow.ProtocolUDP && (p.DstPort != 53 || p.SrcPort < 1000) {
				t.Fatalf("a fragment did not find its first: %+v", p.Key)
			}
		}
	}
	if len(worker) != 3*flows || len(busy) != 4 {
		t.Errorf("%d flows by %d workers, want %d by 4", len(worker), len(busy), 3*flows)
	}
}
