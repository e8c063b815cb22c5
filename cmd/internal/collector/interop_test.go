package collector

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// need skips the test where a tool is missing; in CI it fails.
func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// start serves c on the loopback and returns its port. The cleanup waits for
// Serve, which drains the socket.
func start(t *testing.T, c *Collector, emit func(*Record)) (port int, stop func()) {
	t.Helper()
	conn, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, conn, emit) }()
	return conn.LocalAddr().(*net.UDPAddr).Port, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
	}
}

type counters struct{ packets, octets uint64 }

// traffic writes a capture file of n UDP packets in 40 flows of either IP
// version and returns what each source and destination sent, IP octets.
func traffic(t *testing.T, n int) (file string, truth map[string]counters) {
	t.Helper()
	file, truth = filepath.Join(t.TempDir(), "traffic.pcap"), map[string]counters{}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	w.WriteFileHeader(65535, layers.LinkTypeEthernet)
	at := time.Unix(1_700_000_000, 0)
	for i := range n {
		data, src, dst, octets := packet(t, i%40, 20+i%1000)
		at = at.Add(time.Millisecond)
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: len(data)}, data); err != nil {
			t.Fatal(err)
		}
		k := src + " " + dst
		truth[k] = counters{truth[k].packets + 1, truth[k].octets + uint64(octets)}
	}
	return file, truth
}

// packet returns a frame of flow i; odd ones are IPv6.
func packet(t *testing.T, i, payload int) (data []byte, src, dst string, octets int) {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	udp := &layers.UDP{SrcPort: layers.UDPPort(1000 + i), DstPort: 53}
	var ip gopacket.SerializableLayer
	if i%2 == 1 {
		src, dst = fmt.Sprintf("2001:db8::%x", i), "2001:db8:1::1"
		v6 := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolUDP, HopLimit: 64, SrcIP: net.ParseIP(src), DstIP: net.ParseIP(dst)}
		eth.EthernetType, ip, octets = layers.EthernetTypeIPv6, v6, 48+payload
		udp.SetNetworkLayerForChecksum(v6)
	} else {
		src, dst = fmt.Sprintf("192.0.2.%d", i+1), "198.51.100.1"
		v4 := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolUDP, TTL: 64, SrcIP: net.ParseIP(src), DstIP: net.ParseIP(dst)}
		eth.EthernetType, ip, octets = layers.EthernetTypeIPv4, v4, 28+payload
		udp.SetNetworkLayerForChecksum(v4)
	}
	b := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(b, opts, eth, ip, udp, gopacket.Payload(make([]byte, payload))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), src, dst, octets
}

// softflowd meters the file by itself and exports it; what the collector sums up
// is the truth of each flow, and the number of flows is softflowd's own.
func TestSoftflowd(t *testing.T) {
	need(t, "softflowd")
	file, truth := traffic(t, 4000)
	for _, version := range []uint16{netflow5, netflow9, ipfix} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			got, records := map[string]counters{}, 0
			c := New(Config{})
			port, stop := start(t, c, func(r *Record) {
				if r.Options {
					return
				}
				row := r.Row()
				k := row.Src.String() + " " + row.Dst.String()
				got[k] = counters{got[k].packets + row.Packets, got[k].octets + row.Octets}
				records++
				if r.Version != version || row.Protocol != 17 || row.DstPort != 53 || row.SrcPort < 1000 || row.SrcPort > 1039 {
					t.Errorf("version %d: %+v", r.Version, row)
				}
			})
			said := softflowd(t, file, port, version)
			stop()
			for k, want := range truth {
				if version == netflow5 && strings.Contains(k, ":") {
					continue // NetFlow v5 has no IPv6
				}
				if got[k] != want {
					t.Errorf("%s: %+v, want %+v", k, got[k], want)
				}
			}
			if records != said {
				t.Errorf("%d records, softflowd says %d", records, said)
			}
			// softflowd 1.1.0 leaves templates out of v9's count, against RFC 3954
			// §5.1; and its IPFIX sequence number has the message's own records in
			// it, but no options, against RFC 7011 §3.1.
			found := map[Reason]uint64{}
			if version == netflow9 {
				found[CountMismatch] = 1
			}
			wantFound(t, c, found)
			if s := c.Stats(); version != ipfix && s.LostDatagrams+s.LostRecords+s.Late+s.Restarts != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

var softflowdExported = regexp.MustCompile(`(?m)^Flows exported: (\d+) \((\d+) records\)`)

// softflowd exports file and returns how many records it says to have sent.
func softflowd(t *testing.T, file string, port int, version uint16, more ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// Relative names: softflowd 1.1.0 hangs on long ones.
	args := append(more, "-d", "-6", "-r", filepath.Base(file), "-n", fmt.Sprintf("127.0.0.1:%d", port),
		"-v", strconv.Itoa(int(version)), "-c", "ctl", "-p", "pid")
	cmd := exec.CommandContext(ctx, "softflowd", args...)
	cmd.Dir = filepath.Dir(file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := softflowdExported.FindSubmatch(out)
	if m == nil {
		t.Fatalf("softflowd does not say how much it exported:\n%s", out)
	}
	n, _ := strconv.Atoi(string(m[2]))
	return n
}
