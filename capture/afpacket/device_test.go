//go:build linux

package afpacket

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/capture/link"
	"cacheflow/test/netns"
)

// openTun makes a tun or tap device (linux/if_tun.h) in ns, sets it up, and
// returns what writes and reads its packets.
func openTun(t *testing.T, ns *netns.NS, name string, flags uint16) int {
	t.Helper()
	var fd int
	var err error
	ns.Run(func() {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			return
		}
		var req *unix.Ifreq
		if req, err = unix.NewIfreq(name); err == nil {
			req.SetUint16(flags | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
	})
	if err != nil {
		t.Fatalf("make %s: %v", name, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	ns.Sysctl("net/ipv6/conf/"+name+"/disable_ipv6", "1")
	ns.MustRun("ip", "link", "set", name, "up")
	return fd
}

func write(t *testing.T, fd int, b []byte) {
	t.Helper()
	if n, err := unix.Write(fd, b); err != nil || n != len(b) {
		t.Fatalf("write to the device: %d, %v", n, err)
	}
}

// lo shows every packet twice, leaving and arriving: it is metered once.
func TestLoopbackOnce(t *testing.T) {
	for name, c := range map[string]Config{
		"auto":   {Interfaces: []string{"lo"}},
		"both":   {Interfaces: []string{"lo"}, Direction: Both},
		"shared": {Interfaces: []string{"l*"}, Direction: Both, RingMemory: 2*minRing() - 1},
	} {
		ns := netns.New(t)
		r := capturing(t, ns, c)
		var server net.PacketConn
		var err error
		ns.Run(func() { server, err = net.ListenPacket("udp", "127.0.0.1:0") })
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		client := dial(t, ns, "udp", server.LocalAddr().String())
		for range 100 {
			if _, err := client.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		r.await(100)
		time.Sleep(50 * time.Millisecond)
		r.finish()
		n := 0
		for _, p := range r.all() {
			if p.Protocol == flow.ProtocolUDP {
				n += int(p.Packets)
			}
			if p.Direction != flow.Ingress || p.Input != link.Loopback {
				t.Fatalf("observation %+v", p)
			}
		}
		if n != 100 {
			t.Errorf("%s: %d UDP packets, want 100", name, n)
		}
		got := r.counters()
		if got["lo"].Observed+got["shared ring"].Observed != 100 || got["lo"].NotMetered[capture.Leaving] != 0 {
			t.Errorf("%s: leaving frames take room in the ring: %+v", name, got)
		}
	}
}

// A tun device has no link header, in either direction; what is not IP on it
// (a device may carry MPLS or IPX) is counted.
func TestTun(t *testing.T) {
	ns := netns.New(t)
	fd := openTun(t, ns, "tun0", unix.IFF_TUN)
	ns.MustRun("ip", "addr", "add", "10.5.0.1/24", "dev", "tun0")
	r := capturing(t, ns, Config{Interfaces: []string{"tun0"}, Workers: 2})
	for range 20 {
		write(t, fd, ip4("10.5.0.2", "10.5.0.1", flow.ProtocolUDP, udp(7, 9, 50)))
		write(t, fd, ip6("fd00::2", "fd00::1", flow.ProtocolUDP, udp(7, 9, 50)))
	}
	c := dial(t, ns, "udp", "10.5.0.2:9")
	for range 30 {
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	s := newSender(t, ns, "tun0")
	if err := unix.Sendto(s.fd, labels(ip4("1.1.1.1", "2.2.2.2", 17, udp(1, 2, 3)), 5), 0,
		&unix.SockaddrLinklayer{Ifindex: s.index, Protocol: networkOrder(unix.ETH_P_MPLS_UC)}); err != nil {
		t.Fatal(err)
	}
	s.send(ip4("10.5.0.1", "10.5.0.2", flow.ProtocolUDP, udp(70, 90, 5)))
	r.await(72)
	time.Sleep(100 * time.Millisecond)
	r.finish()
	index := uint32(ns.Index("tun0"))
	count := map[string]int{}
	for _, p := range r.all() {
		switch {
		case p.Direction == flow.Ingress && p.Version == 4 && p.Protocol == flow.ProtocolUDP && p.Octets == 78 && p.Input == index:
			count["in 4"]++
		case p.Direction == flow.Ingress && p.Version == 6 && p.Octets == 98:
			count["in 6"]++
		case p.Direction == flow.Egress && p.DstPort == 9 && p.Octets == 33 && p.Egress == index:
			count["out"]++
		case p.Direction == flow.Egress && p.DstPort == 90 && p.Octets == 33:
			count["raw out"]++
		}
	}
	got := r.counters()["tun0"]
	if count["in 4"] != 20 || count["in 6"] != 20 || count["out"] != 30 || count["raw out"] != 1 || got.NotMetered[capture.NonIP] != 1 {
		t.Errorf("got %v, counters %+v", count, got)
	}
}

// A tap device with a vnet header hands super-packets over without a number of
// segments: it is computed.
func TestTapSuperPackets(t *testing.T) {
	ns := netns.New(t)
	fd := openTun(t, ns, "tap0", unix.IFF_TAP|unix.IFF_VNET_HDR)
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6); err != nil {
		t.Fatal(err)
	}
	r := capturing(t, ns, Config{Interfaces: []string{"tap0"}, Workers: 2})
	tcp := make([]byte, 20+5500)
	binary.BigEndian.PutUint16(tcp, 1234)
	binary.BigEndian.PutUint16(tcp[2:], 80)
	tcp[12], tcp[13] = 5<<4, flow.ACK
	for version, packet := range map[byte][]byte{4: ip4("10.0.0.1", "10.0.0.2", flow.ProtocolTCP, tcp), 6: ip6("fd00::1", "fd00::2", flow.ProtocolTCP, tcp)} {
		headers := len(packet) - len(tcp) + 20
		vnet := make([]byte, vnetSize)
		vnet[0] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
		vnet[1] = unix.VIRTIO_NET_HDR_GSO_TCPV4
		etherType := uint16(unix.ETH_P_IP)
		if version == 6 {
			vnet[1], etherType = unix.VIRTIO_NET_HDR_GSO_TCPV6, unix.ETH_P_IPV6
		}
		binary.NativeEndian.PutUint16(vnet[2:], uint16(14+headers)) // hdr_len
		binary.NativeEndian.PutUint16(vnet[4:], 1000)               // gso_size
		binary.NativeEndian.PutUint16(vnet[6:], uint16(14+headers-20))
		binary.NativeEndian.PutUint16(vnet[8:], 16)
		for range 10 {
			write(t, fd, append(bytes.Clone(vnet), ether(etherType, packet)...))
		}
		plain := ether(etherType, packet[:headers+100])
		if version == 4 {
			binary.BigEndian.PutUint16(plain[14+2:], uint16(headers+100))
		} else {
			binary.BigEndian.PutUint16(plain[14+4:], 120)
		}
		write(t, fd, append(make([]byte, vnetSize), plain...))
	}
	r.await(22)
	r.finish()
	var packets, octets uint64
	for _, p := range r.all() {
		packets += p.Packets
		octets += p.Octets
	}
	// 5500 octets are five segments of 1000 and one of 500.
	want := uint64(20*(5500+6*20) + 10*6*(20+40) + 2*120 + 20 + 40)
	if packets != 122 || octets != want {
		t.Errorf("%d packets with %d octets, want 122 with %d", packets, octets, want)
	}
	if c := r.counters()["tap0"]; c.Metered != 22 || c.Packets != 122 || c.Octets != want {
		t.Errorf("counters %+v", c)
	}
}

// tcpInfo returns TCP's own counts: segments and payload octets sent.
func tcpInfo(t *testing.T, c net.Conn) *unix.TCPInfo {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return info
}

// Bulk TCP over veth: with offloads on, super-packets count as the segments
// that TCP itself counts; octets are those of the segments with their headers.
func TestBulkTCP(t *testing.T) {
	for name, offloads := range map[string]bool{"offloads on": true, "offloads off": false} {
		for _, network := range []string{"10.9.0.2:0", "[fd00:9::2]:0"} {
			t.Run(name+" "+network, func(t *testing.T) { bulkTCP(t, offloads, network) })
		}
	}
}

func bulkTCP(t *testing.T, offloads bool, address string) {
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "out", Addrs: []string{"10.9.0.1/24", "fd00:9::1/64"}, Offloads: offloads},
		netns.End{NS: b, Name: "in", Addrs: []string{"10.9.0.2/24", "fd00:9::2/64"}, Offloads: offloads})
	sender := capturing(t, a, Config{Interfaces: []string{"out"}, Workers: 2})
	receiver := capturing(t, b, Config{Interfaces: []string{"in"}, Workers: 2})
	client, server := transfer(t, a, b, address, 20<<20)
	out := tcpInfo(t, client)
	there, back := uint64(out.Segs_out), uint64(tcpInfo(t, server).Segs_out)+1 // its SYN+ACK came before the connection was
	sender.finish()
	receiver.finish()
	header := uint64(20 + 32) // IPv4 and TCP with a timestamp
	if address[0] == '[' {
		header = 40 + 32
	}
	port := uint16(client.LocalAddr().(*net.TCPAddr).Port)
	for which, r := range map[string]*rig{"sender": sender, "receiver": receiver} {
		var packets, octets, backwards, frames uint64
		for _, p := range r.all() {
			switch {
			case p.Protocol == flow.ProtocolTCP && p.SrcPort == port:
				packets, octets, frames = packets+p.Packets, octets+p.Octets, frames+1
			case p.Protocol == flow.ProtocolTCP && p.DstPort == port:
				backwards += p.Packets
			}
		}
		want := out.Bytes_sent + packets*header + 8 // with what was repeated; a SYN has 8 octets more of options
		if packets != there || backwards != back || octets != want {
			t.Errorf("%s: %d packets there (TCP says %d), %d back (%d), %d octets (%d)", which, packets, there, backwards, back, octets, want)
		}
		if offloads && frames > packets/4 {
			t.Errorf("%s: %d frames for %d packets: offloads are not on", which, frames, packets)
		}
		if counters := r.counters(); counters["in"].Lost+counters["out"].Lost > 0 {
			t.Errorf("%s: frames were lost: %+v", which, counters)
		}
	}
}

// transfer sends size octets by TCP from a to an address in b and returns both
// ends, still open, when all has arrived and been acknowledged.
func transfer(t *testing.T, a, b *netns.NS, address string, size int) (client, server net.Conn) {
	t.Helper()
	var listener net.Listener
	var err error
	b.Run(func() { listener, err = net.Listen("tcp", address) })
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan net.Conn, 1)
	go func() {
		defer close(served)
		c, err := listener.Accept()
		if err == nil {
			_, err = io.CopyN(io.Discard, c, int64(size))
		}
		if err != nil {
			t.Errorf("serve: %v", err)
			return
		}
		served <- c
	}()
	client = dial(t, a, "tcp", listener.Addr().String())
	if _, err := client.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	server = <-served
	if server == nil {
		t.FailNow()
	}
	t.Cleanup(func() { server.Close() })
	time.Sleep(300 * time.Millisecond) // the last acknowledgements
	return client, server
}
