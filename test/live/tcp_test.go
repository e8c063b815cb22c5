//go:build linux

package live_test

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
)

// bulk is a TCP connection over which much was sent, from client to server; both
// ends are still open.
type bulk struct {
	client, server net.Conn
}

// transfer sends size octets over a new connection between two namespaces.
func transfer(t *testing.T, client, server *netns.NS, address string, size int64) bulk {
	t.Helper()
	// Keepalives would be packets that come when they like.
	silent := net.KeepAliveConfig{Enable: false}
	var listener net.Listener
	var err error
	server.Run(func() {
		listener, err = (&net.ListenConfig{KeepAlive: -1, KeepAliveConfig: silent}).Listen(t.Context(), "tcp", address)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan net.Conn, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			_, err = io.CopyN(io.Discard, c, size)
		}
		if err != nil {
			t.Errorf("serve: %v", err)
		}
		served <- c
	}()
	b := bulk{}
	client.Run(func() {
		b.client, err = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: -1, KeepAliveConfig: silent}).Dial("tcp", listener.Addr().String())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.client.Close() })
	if _, err := io.CopyN(b.client, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	b.server = <-served
	t.Cleanup(func() { b.server.Close() })
	time.Sleep(300 * time.Millisecond) // the last acknowledgements
	return b
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// direction is what one end of a connection sent.
type direction struct{ packets, octets uint64 }

// truth returns what TCP itself counts, RFC 4898 (tcpEStatsPerfSegsOut): segments
// with all that were repeated, and the octets of their IP packets.
func (b bulk) truth(t *testing.T) (there, back direction) {
	t.Helper()
	header := uint64(20 + 20 + 12) // IPv4, and TCP with a timestamp
	if b.client.LocalAddr().(*net.TCPAddr).IP.To4() == nil {
		header += 20
	}
	// A SYN has 8 octets of options more: 20 behind the fixed header.
	out, in := tcpInfo(t, b.client), tcpInfo(t, b.server)
	there = direction{uint64(out.Segs_out), out.Bytes_sent + uint64(out.Segs_out)*header + 8}
	// What the accepted socket counts begins after the SYN+ACK.
	back = direction{uint64(in.Segs_out) + 1, in.Bytes_sent + (uint64(in.Segs_out)+1)*header + 8}
	return there, back
}

func tcpInfo(t *testing.T, c net.Conn) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return info
}

// agrees compares the collector's flows of the connection with TCP's own counts.
func (b bulk) agrees(t *testing.T, n *judge.Nfcapd) {
	t.Helper()
	there, back := b.truth(t)
	port := b.client.LocalAddr().(*net.TCPAddr).Port
	for way, want := range map[string]direction{"src": there, "dst": back} {
		got := judge.Add(n.Flows(fmt.Sprintf("proto tcp and %s port %d", way, port)))
		if got != (judge.Sum{Records: 1, Packets: want.packets, Octets: want.octets}) {
			t.Errorf("%s port %d: the collector has %+v, TCP sent %+v", way, port, got, want)
		}
	}
	t.Logf("there %+v, back %+v", there, back)
}

// Bulk TCP over veth. With segmentation offloads off, packets and octets are
// those of the interface's counters, less link headers and what is not IP; with
// GSO and GRO on, they are those of the segments that TCP sent. Frames are those of
// the interface, too, but for those that leave where the program counts them before
// the kernel cuts TCP's super-packets into segments for the interface.
func TestBulkTCP(t *testing.T) {
	for _, offloads := range []bool{false, true} {
		for name, address := range map[string]string{"IPv4": "10.9.0.2:0", "IPv6": "[fd00:9::2]:0"} {
			t.Run(fmt.Sprintf("%s offloads %v", name, offloads), func(t *testing.T) {
				binary.InBothModes(t, func(t *testing.T, m binary.Mode) { bulkTCP(t, m, offloads, address) })
			})
		}
	}
}

func bulkTCP(t *testing.T, m binary.Mode, offloads bool, address string) {
	const size = 64 << 20
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "out", Addrs: []string{"10.9.0.1/24", "fd00:9::1/64"}, Offloads: offloads},
		netns.End{NS: b, Name: "in", Addrs: []string{"10.9.0.2/24", "fd00:9::2/64"}, Offloads: offloads})
	plainACKs(t, a, b)
	ends := []*end{newEnd(t, m, a, "out"), newEnd(t, m, b, "in")}
	c := transfer(t, a, b, address, size)
	for _, e := range ends {
		frames, octets, i := e.delta()
		final := e.daemon.stop()
		final.exact(t)
		e.collector.Stop()
		delivered(t, e.collector, final)
		c.agrees(t, e.collector)
		if offloads {
			if i.Metered*4 > i.Packets {
				t.Errorf("%s: %d frames for %d packets: offloads are not on", e.name, i.Metered, i.Packets)
			}
			continue
		}
		// All that is not IP here is ARP: 28 octets (RFC 826).
		arp := i.frames("non-IP")
		supers := m == binary.EBPF && e.name == "out"
		if (i.Observed < frames) != supers || i.Observed > frames || i.Packets != frames-arp || i.Octets != octets-14*frames-28*arp {
			t.Errorf("%s: metered %+v, the interface counted %d frames and %d octets", e.name, i, frames, octets)
		}
		t.Logf("%s: %d frames of the interface's counters, %d of them ARP", e.name, frames, arp)
	}
}

// plainACKs switches selective acknowledgements off: TCP does not tell how many
// of its octets they were.
func plainACKs(t *testing.T, namespaces ...*netns.NS) {
	t.Helper()
	for _, ns := range namespaces {
		ns.Sysctl("net/ipv4/tcp_sack", "0")
	}
}

// end is one end of a link: an interface that a daemon of its own meters.
type end struct {
	t         *testing.T
	ns        *netns.NS
	name      string
	collector *judge.Nfcapd
	daemon    *daemon
	// counters of the interface, and what had been metered then.
	packets, octets uint64
	metered         ledgerInterface
}

func newEnd(t *testing.T, m binary.Mode, ns *netns.NS, name string) *end {
	t.Helper()
	e := &end{t: t, ns: ns, name: name, collector: nfcapd(t, ns, judge.NfcapdConfig{})}
	e.daemon = start(t, m, ns, "-i", name, "--workers", "2", "-e", e.collector.Address.String())
	e.packets, e.octets, e.metered = e.quiet()
	return e
}

// quiet returns the interface's own counters, both directions together, and the
// ledger of the same instant, at which it must close.
func (e *end) quiet() (packets, octets uint64, i ledgerInterface) {
	e.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		packets, octets = e.counters()
		l := e.daemon.ledger()
		i = l.total()
		if p, _ := e.counters(); p == packets && i.InRing == 0 && i.InFirstLevel == 0 && l.isClosed() {
			return packets, octets, i
		}
	}
	e.t.Fatalf("%s is never quiet", e.name)
	return
}

func (e *end) counters() (packets, octets uint64) {
	e.t.Helper()
	link, err := e.ns.Links().LinkByName(e.name)
	if err != nil {
		e.t.Fatal(err)
	}
	s := link.Attrs().Statistics
	return s.RxPackets + s.TxPackets, s.RxBytes + s.TxBytes
}

// delta returns what both counted since newEnd.
func (e *end) delta() (frames, octets uint64, i ledgerInterface) {
	e.t.Helper()
	frames, octets, i = e.quiet()
	m := &e.metered
	if arp := m.frames("non-IP"); arp > 0 {
		i.Ignored = append(i.Ignored, ledgerFrames{"non-IP", -arp})
	}
	i.Observed -= m.Observed
	i.Metered -= m.Metered
	i.Packets -= m.Packets
	i.Octets -= m.Octets
	return frames - e.packets, octets - e.octets, i
}
