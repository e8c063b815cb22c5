package judge

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// Datagram is one that a Recorder received.
type Datagram struct {
	Time time.Time
	From netip.AddrPort
	Data []byte
}

// Recorder is a UDP socket that keeps every datagram, so that each judge can be
// given the same.
type Recorder struct {
	// Address is where it listens.
	Address netip.AddrPort

	t    testing.TB
	conn *net.UDPConn
	done chan struct{}

	mu        sync.Mutex
	datagrams []Datagram
}

// StartRecorder listens on address, whose missing parts are chosen, and ends
// with the test. It is called in the namespace that it is to listen in.
func StartRecorder(t testing.TB, address netip.AddrPort) *Recorder {
	t.Helper()
	if !address.Addr().IsValid() {
		address = netip.AddrPortFrom(loopback, address.Port())
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	forceBuffer(conn, 64<<20)
	r := &Recorder{Address: conn.LocalAddr().(*net.UDPAddr).AddrPort(), t: t, conn: conn, done: make(chan struct{})}
	go r.receive()
	t.Cleanup(r.Stop)
	return r
}

// forceBuffer enlarges the receive buffer; beyond the system's limit as root only.
func forceBuffer(conn *net.UDPConn, octets int) {
	_ = conn.SetReadBuffer(octets)
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soRcvBufForce, octets)
		})
	}
}

// soRcvBufForce is SO_RCVBUFFORCE of socket(7), which needs CAP_NET_ADMIN.
const soRcvBufForce = 33

func (r *Recorder) receive() {
	defer close(r.done)
	buf := make([]byte, 1<<16)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of what was sent from here
		}
		r.mu.Lock()
		r.datagrams = append(r.datagrams, Datagram{time.Now(), netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), bytes.Clone(buf[:n])})
		r.mu.Unlock()
	}
}

// Stop closes the socket.
func (r *Recorder) Stop() {
	_ = r.conn.Close()
	<-r.done
}

// Datagrams returns what has come so far; the caller leaves it as it is.
func (r *Recorder) Datagrams() []Datagram {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.datagrams[:len(r.datagrams):len(r.datagrams)]
}

// Settle waits until nothing has come for the given time.
func (r *Recorder) Settle(quiet time.Duration) {
	for n := -1; n != len(r.Datagrams()); time.Sleep(quiet) {
		n = len(r.Datagrams())
	}
}

// Forward sends the recorded datagrams to another collector on this host, from
// one socket. It lets the collector read before it sends more than any buffer
// takes, so that none is lost however slow the collector is.
func (r *Recorder) Forward(to netip.AddrPort) {
	r.t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	for i, d := range r.Datagrams() {
		if i%50 == 0 {
			r.awaitRead(to.Port())
		}
		if _, err := conn.Write(d.Data); err != nil {
			r.t.Fatalf("forward to %s: %v", to, err)
		}
	}
}

// awaitRead waits until nothing is left to read at a UDP port of this host.
func (r *Recorder) awaitRead(port uint16) {
	r.t.Helper()
	for begun := time.Now(); queued(os.Getpid(), port); time.Sleep(200 * time.Microsecond) {
		if time.Since(begun) > patience {
			r.t.Fatalf("the collector at port %d does not read", port)
		}
	}
}

// collectorPort is the port to which a capture file's datagrams go: tshark takes
// some of those that a recorder may be given for a traceroute's, and says so.
const collectorPort = 2055

// sourcePort returns what stands for the port that a datagram came from: one of traceroute's is written
// as one that the kernel gives to nobody (ip_local_port_range).
func sourcePort(port uint16) uint16 {
	const first, last, below = 33434, 33534, 20000
	if port >= first && port <= last {
		return port - below
	}
	return port
}

// WritePcap writes the datagrams with UDP and IP headers to a capture file of
// the test's own and returns its name.
func (r *Recorder) WritePcap() string {
	r.t.Helper()
	name := filepath.Join(r.t.TempDir(), "datagrams.pcap")
	file, err := os.Create(name)
	if err != nil {
		r.t.Fatal(err)
	}
	defer file.Close()
	w := pcapgo.NewWriterNanos(file)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeRaw); err != nil {
		r.t.Fatal(err)
	}
	for _, d := range r.Datagrams() {
		data, err := packet(d, netip.AddrPortFrom(r.Address.Addr(), collectorPort))
		if err == nil {
			err = w.WritePacket(gopacket.CaptureInfo{Timestamp: d.Time, CaptureLength: len(data), Length: len(data)}, data)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return name
}

// packet puts the headers before a datagram again.
func packet(d Datagram, to netip.AddrPort) ([]byte, error) {
	udp := &layers.UDP{SrcPort: layers.UDPPort(sourcePort(d.From.Port())), DstPort: layers.UDPPort(to.Port())}
	var ip gopacket.SerializableLayer
	if from := d.From.Addr(); from.Is4() {
		ip4 := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: from.AsSlice(), DstIP: to.Addr().Unmap().AsSlice()}
		ip, _ = ip4, udp.SetNetworkLayerForChecksum(ip4)
	} else {
		ip6 := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: from.AsSlice(), DstIP: to.Addr().AsSlice()}
		ip, _ = ip6, udp.SetNetworkLayerForChecksum(ip6)
	}
	out := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, udp, gopacket.Payload(d.Data))
	return out.Bytes(), err
}
