package dtls_test

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"cacheflow/cmd/internal/certificate"
	"cacheflow/export"
	"cacheflow/test/authority"
	"cacheflow/test/process"
)

// TestTsharkDeciphers: with the association's secret tshark reads the flows in what the
// collector's socket got, without it only records of DTLS, and has nothing against either.
func TestTsharkDeciphers(t *testing.T) {
	t.Parallel()
	process.Need(t, "tshark")
	a := authority.New(t, "")
	c := startCollector(t, a)
	secrets, err := os.Create(filepath.Join(t.TempDir(), "secrets"))
	if err != nil {
		t.Fatal(err)
	}
	defer secrets.Close()
	e := start(t, export.Config{
		Address: c.address.String(), Identity: leaky{files(a, a.Pair("exporter.example", time.Time{})), secrets},
	})
	e.Put(records(100))
	s := shutdown(t, e)
	await(t, "the last record", func() bool { return c.decoder.Stats().Records == 100 })
	c.stop()
	capture, port := writePcap(t, c.datagrams), fmt.Sprint("==", c.address.Port(), ",")
	ciphered := []string{"-n", "-r", capture, "-d", "udp.port" + port + "dtls", "-d", "dtls.port" + port + "data"}
	known := slices.Concat(ciphered, []string{"-o", "tls.keylog_file:" + secrets.Name()})
	if faults := tshark(t, known, "-Y", "_ws.malformed || _ws.expert.severity >= warning || !dtls"); faults != "" {
		t.Errorf("tshark complains:\n%.2000s", faults)
	}
	if clear := tshark(t, ciphered, "-Y", "data"); clear != "" {
		t.Errorf("in clear:\n%.2000s", clear)
	}
	var messages []datagram
	for line := range strings.Lines(tshark(t, known, "-Y", "data", "-T", "fields", "-e", "data.data")) {
		b, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, datagram{c.address, netip.AddrPortFrom(c.address.Addr(), 2055), b})
	}
	// tshark takes no cflow inside dtls: it is given what it has deciphered once more.
	clear := []string{"-n", "-r", writePcap(t, messages), "-d", "udp.port==2055,cflow"}
	if n := strings.Count(tshark(t, clear, "-T", "fields", "-e", "cflow.srcaddr"), "192.0.2.1"); n != 100 || uint64(len(messages)) != s.Datagrams.Count {
		t.Errorf("tshark deciphers %d messages of %d, and reads %d flows of 100", len(messages), s.Datagrams.Count, n)
	}
	if faults := tshark(t, clear, "-Y", "_ws.malformed || _ws.expert.severity >= warning || !cflow"); faults != "" {
		t.Errorf("tshark complains:\n%.2000s", faults)
	}
}

func tshark(t *testing.T, args []string, more ...string) string {
	t.Helper()
	return string(process.Run(t, exec.Command("tshark", slices.Concat(args, more)...)))
}

// leaky is an identity that tells the secrets.
type leaky struct {
	certificate.Files
	secrets *os.File
}

func (l leaky) Client() (*tls.Config, error) {
	cfg, err := l.Files.Client()
	if err == nil {
		cfg.KeyLogWriter = l.secrets
	}
	return cfg, err
}

// writePcap writes datagrams with UDP and IP headers to a capture file.
func writePcap(t *testing.T, datagrams []datagram) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "datagrams.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := pcapgo.NewWriter(file)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	for i, d := range datagrams {
		udp := &layers.UDP{SrcPort: layers.UDPPort(d.from.Port()), DstPort: layers.UDPPort(d.to.Port())}
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: d.from.Addr().AsSlice(), DstIP: d.to.Addr().AsSlice()}
		udp.SetNetworkLayerForChecksum(ip)
		out := gopacket.NewSerializeBuffer()
		err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, udp, gopacket.Payload(d.data))
		if err == nil {
			n := len(out.Bytes())
			err = w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, int64(i)*1000), CaptureLength: n, Length: n}, out.Bytes())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return file.Name()
}
