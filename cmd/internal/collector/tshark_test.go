package collector

import (
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"cacheflow/cmd/internal/render"
)

// judged are tshark's fields and the elements that they show. A field of a
// datagram has the values of all its records in their order.
var judged = []struct {
	tshark string
	ids    []uint16
}{
	{"cflow.srcaddr", []uint16{8}}, {"cflow.dstaddr", []uint16{12}},
	{"cflow.srcaddrv6", []uint16{27}}, {"cflow.dstaddrv6", []uint16{28}},
	{"cflow.srcport", []uint16{7}}, {"cflow.dstport", []uint16{11}}, {"cflow.protocol", []uint16{4}},
	{"cflow.tos", []uint16{5}}, {"cflow.inputint", []uint16{10}}, {"cflow.outputint", []uint16{14}},
	{"cflow.packets", []uint16{2}}, {"cflow.octets", []uint16{1}}, {"cflow.direction", []uint16{61}},
	{"cflow.flow_end_reason", []uint16{136}}, {"cflow.sampling_interval", []uint16{34}},
	{"cflow.timestart", nil}, {"cflow.timeend", nil}, {"cflow.abstimestart", nil}, {"cflow.abstimeend", nil},
}

// tshark decodes softflowd's datagrams, which nobody here has made, to the same
// values.
func TestTsharkReadsTheSame(t *testing.T) {
	need(t, "softflowd")
	need(t, "tshark")
	file, _ := traffic(t, 4000)
	for _, version := range []uint16{netflow5, netflow9, ipfix} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			datagrams := record(t, file, version)
			if version == netflow9 {
				// tshark stops after count records, and softflowd's leaves out the
				// templates.
				for _, d := range datagrams {
					be.PutUint16(d[2:], math.MaxUint16)
				}
			}
			rows := tshark(t, datagrams)
			c, compared := New(Config{}), 0
			for i, d := range datagrams {
				want := map[string][]string{}
				for j, f := range judged {
					if rows[i][j] != "" {
						want[f.tshark] = strings.Split(rows[i][j], "|")
					}
				}
				got := map[string][]string{}
				c.Decode(d, exporterA, received, func(r *Record) { addJudged(got, r) })
				addTimes(want)
				if version == netflow5 { // the header's own interval counts as the field
					delete(want, "cflow.sampling_interval")
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("datagram %d (-tshark +collector):\n%s", i, diff)
				}
				compared += len(got["cflow.packets"])
			}
			if compared < 20 {
				t.Errorf("%d records compared", compared)
			}
		})
	}
}

func addJudged(got map[string][]string, r *Record) {
	for _, f := range judged {
		for _, id := range f.ids {
			if v := r.Get(id); v != nil {
				got[f.tshark] = append(got[f.tshark], text(render.ElementByID(id).Kind, v))
			}
		}
	}
	if row := r.Row(); !r.Options {
		got["duration"] = append(got["duration"], fmt.Sprint(row.End-row.Start))
		if r.Version == ipfix {
			got["start"] = append(got["start"], fmt.Sprint(row.Start))
		}
	}
}

// text writes a value as tshark does.
func text(k render.Kind, v []byte) string {
	if k == render.IPv4 || k == render.IPv6 {
		return net.IP(v).String()
	}
	return fmt.Sprint(render.Uint(v))
}

// addTimes replaces tshark's times, which are of the uptime in v5 and v9, by
// durations in milliseconds, and in IPFIX by the start as well.
func addTimes(want map[string][]string) {
	for _, names := range [][2]string{{"cflow.timestart", "cflow.timeend"}, {"cflow.abstimestart", "cflow.abstimeend"}} {
		for i, s := range want[names[0]] {
			start, end := millis(s), millis(want[names[1]][i])
			want["duration"] = append(want["duration"], fmt.Sprint(end-start))
			if names[0] == "cflow.abstimestart" {
				want["start"] = append(want["start"], fmt.Sprint(start))
			}
		}
		delete(want, names[0])
		delete(want, names[1])
	}
	if tos := want["cflow.tos"]; tos != nil {
		for i, s := range tos {
			n, _ := strconv.ParseUint(s, 0, 8)
			tos[i] = fmt.Sprint(n)
		}
	}
}

// millis reads seconds, or tshark's text for an absolute time: that of version
// 4.0, or ISO 8601 since 4.2.
func millis(s string) int64 {
	for _, layout := range []string{"Jan _2, 2006 15:04:05.000000000 MST", time.RFC3339Nano} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UnixMilli()
		}
	}
	f, _ := strconv.ParseFloat(s, 64)
	return int64(math.Round(f * 1000))
}

// record returns the datagrams that softflowd exports of file.
func record(t *testing.T, file string, version uint16) (datagrams [][]byte) {
	t.Helper()
	conn, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var more []string
	if version == ipfix {
		more = []string{"-A", "milli"}
	}
	softflowd(t, file, conn.LocalAddr().(*net.UDPAddr).Port, version, more...)
	buf := make([]byte, maxDatagram)
	for {
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := conn.Read(buf)
		if err != nil {
			return datagrams
		}
		datagrams = append(datagrams, append([]byte(nil), buf[:n]...))
	}
}

// tshark returns a row of the judged fields for each datagram.
func tshark(t *testing.T, datagrams [][]byte) (rows [][]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "export.pcap")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriter(f)
	w.WriteFileHeader(65535, layers.LinkTypeRaw)
	for _, d := range datagrams {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IP{127, 0, 0, 1}, DstIP: net.IP{127, 0, 0, 1}}
		b := gopacket.NewSerializeBuffer()
		gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, ip, &layers.UDP{SrcPort: 40000, DstPort: 2055}, gopacket.Payload(d))
		w.WritePacket(gopacket.CaptureInfo{Timestamp: received, CaptureLength: len(b.Bytes()), Length: len(b.Bytes())}, b.Bytes())
	}
	args := []string{"-n", "-r", file, "-d", "udp.port==2055,cflow", "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|"}
	for _, f := range judged {
		args = append(args, "-e", f.tshark)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	if len(rows) != len(datagrams) {
		t.Fatalf("tshark has %d rows for %d datagrams:\n%s", len(rows), len(datagrams), out)
	}
	return rows
}
