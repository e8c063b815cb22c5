package pcapfile

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// tool returns the output of one of Wireshark's tools. Where it is missing, the
// test is skipped, but fails under CI.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("%v (Debian's package tshark has it)", err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, stderr.String())
	}
	return string(out)
}

// fields is what tshark says about a frame: all occurrences of each field,
// from the outermost.
type fields map[string][]string

var judged = []string{
	"frame.time_epoch", "eth.src", "eth.dst",
	"ip.src", "ip.dst", "ip.proto", "ip.len", "ip.dsfield", "ip.ttl", "ip.frag_offset", "ip.flags.mf",
	"ipv6.src", "ipv6.dst", "ipv6.plen", "ipv6.nxt", "ipv6.tclass", "ipv6.hlim", "ipv6.flow",
	"ipv6.fraghdr.offset", "mip6.mhtype",
	"tcp.srcport", "tcp.dstport", "tcp.flags", "udp.srcport", "udp.dstport", "dccp.srcport", "dccp.dstport",
	"sctp.srcport", "sctp.dstport", "icmp.type", "icmp.code", "icmpv6.type", "icmpv6.code",
	"ieee8021ad.id", "ieee8021ad.svid", "ieee8021ad.cvid", "vlan.id", "mpls.label", "mpls.exp", "mpls.bottom",
}

func dissect(t *testing.T, path string, options ...string) (frames []fields) {
	t.Helper()
	args := append([]string{"-n", "-r", path, "-T", "fields", "-E", "occurrence=a", "-E", "separator=|"}, options...)
	for _, f := range judged {
		args = append(args, "-e", f)
	}
	for line := range strings.Lines(tool(t, "tshark", args...)) {
		f := fields{}
		for i, v := range strings.Split(strings.TrimSuffix(line, "\n"), "|") {
			if v != "" {
				f[judged[i]] = strings.Split(v, ",")
			}
		}
		frames = append(frames, f)
	}
	return frames
}

// number returns the i-th occurrence of a field, 0 where there is none.
func (f fields) number(t *testing.T, name string, i int) uint64 {
	t.Helper()
	if i >= len(f[name]) {
		return 0
	}
	n, err := strconv.ParseUint(f[name][i], 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (f fields) first(name string) string {
	if len(f[name]) == 0 {
		return ""
	}
	return f[name][0]
}

// notJudged are files of the corpus where tshark is of no use: it reads more of
// what is cut or contradicts itself, and nothing behind a length of 0.
var notJudged = []string{"undecodable.pcap", "length-0.pcap"}

// TestTshark lets tshark judge what we read from the corpus: in one pcapng file
// that Wireshark's mergecap makes of it, so that this is judged as well.
func TestTshark(t *testing.T) {
	paths, err := filepath.Glob("../testdata/*.pcap")
	if err != nil || len(paths) < 20 {
		t.Fatal(err, paths)
	}
	paths = slices.DeleteFunc(paths, func(p string) bool { return slices.Contains(notJudged, filepath.Base(p)) })
	merged := filepath.Join(t.TempDir(), "merged.pcapng")
	tool(t, "mergecap", append([]string{"-a", "-F", "pcapng", "-w", merged}, paths...)...)

	var ours []*flow.Packet
	for _, path := range paths {
		ours = append(ours, frameByFrame(t, path)...)
	}
	again := frameByFrame(t, merged)
	apart := dissect(t, merged, "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE")
	joined := dissect(t, merged, "-o", "ip.defragment:TRUE", "-o", "ipv6.defragment:TRUE")
	if len(again) != len(ours) || len(apart) != len(ours) || len(joined) != len(ours) {
		t.Fatalf("%d frames, %d in the merged file, tshark reads %d and %d", len(ours), len(again), len(apart), len(joined))
	}
	joins := 0
	for i, p := range ours {
		judge(t, i+1, p, apart[i])
		// The ports of a datagram's last part, from what tshark put together.
		if p != nil && p.Fragment && ports(t, joined[i]) != [2]uint64{} {
			joins++
			if got := [2]uint64{uint64(p.SrcPort), uint64(p.DstPort)}; got != ports(t, joined[i]) && got != [2]uint64{} {
				t.Errorf("frame %d: joined to ports %v, tshark %v", i+1, got, ports(t, joined[i]))
			}
		}
		if q := again[i]; (p == nil) != (q == nil) || p != nil && (p.Src != q.Src || p.Octets != q.Octets || p.Protocol != q.Protocol) {
			t.Errorf("frame %d differs in the merged file: %+v and %+v", i+1, p, q)
		}
	}
	if joins == 0 {
		t.Error("tshark put no datagram together")
	}
}

// frameByFrame reads a file in batches of one: nil for a frame not metered.
func frameByFrame(t *testing.T, path string) (frames []*flow.Packet) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for {
		batch := make([]flow.Packet, 1)
		n, _, err := s.Read(batch)
		switch {
		case n == 1:
			frames = append(frames, &batch[0])
		case err == nil:
			frames = append(frames, nil)
		default:
			return frames
		}
	}
}

// judge compares one frame with what tshark says about it.
func judge(t *testing.T, number int, p *flow.Packet, f fields) {
	t.Helper()
	if p == nil {
		if f["ip.src"] != nil || f["ipv6.src"] != nil {
			t.Errorf("frame %d is not metered, tshark reads %v", number, f)
		}
		return
	}
	got, want := facts(t, p), opinion(t, p, f)
	for name, v := range want {
		if got[name] != v {
			t.Errorf("frame %d: %s is %s, tshark says %s", number, name, got[name], v)
		}
	}
}

// facts are what we say.
func facts(t *testing.T, p *flow.Packet) map[string]string {
	t.Helper()
	m := map[string]string{
		"source": p.SrcAddr().String(), "destination": p.DstAddr().String(),
		"octets": fmt.Sprint(p.Octets), "ToS": fmt.Sprint(p.ToS), "TTL": fmt.Sprint(p.MinTTL),
		"flow label": fmt.Sprint(p.FlowLabel), "fragment": fmt.Sprint(p.Fragment),
		"protocol": fmt.Sprint(p.Protocol), "flags": fmt.Sprint(p.TCPFlags),
		"ports": fmt.Sprint([2]uint64{uint64(p.SrcPort), uint64(p.DstPort)}),
		"VLANs": fmt.Sprint([2]uint64{uint64(p.VLAN & 0xfff), uint64(p.CustomerVLAN & 0xfff)}),
	}
	m["labels"] = fmt.Sprint(p.MPLS, p.MPLSDepth)
	m["MACs"] = fmt.Sprint(net.HardwareAddr(p.SrcMAC[:]), net.HardwareAddr(p.DstMAC[:]))
	stamp := time.Unix(corpusStart-3600, int64(p.First))
	m["time"] = fmt.Sprintf("%d.%09d", stamp.Unix(), stamp.Nanosecond())
	return m
}

// corpusStart is the first stamp of each file of the corpus.
const corpusStart = 1_700_000_000

// opinion is what tshark says, as far as it knows.
func opinion(t *testing.T, p *flow.Packet, f fields) map[string]string {
	t.Helper()
	m := map[string]string{"flow label": fmt.Sprint(f.number(t, "ipv6.flow", 0)), "time": f.first("frame.time_epoch")}
	if f["eth.src"] != nil {
		m["MACs"] = f.first("eth.src") + " " + f.first("eth.dst")
	}
	if p.Version == 4 {
		m["source"], m["destination"], m["octets"] = f.first("ip.src"), f.first("ip.dst"), f.first("ip.len")
		m["ToS"] = fmt.Sprint(f.number(t, "ip.dsfield", 0))
		m["TTL"], m["protocol"] = f.first("ip.ttl"), f.first("ip.proto")
		m["flow label"] = "0"
		m["fragment"] = fmt.Sprint(f.number(t, "ip.frag_offset", 0) != 0 || f.first("ip.flags.mf") == "1")
	} else {
		m["source"], m["destination"], m["TTL"] = f.first("ipv6.src"), f.first("ipv6.dst"), f.first("ipv6.hlim")
		m["octets"] = fmt.Sprint(40 + f.number(t, "ipv6.plen", 0))
		m["ToS"] = fmt.Sprint(f.number(t, "ipv6.tclass", 0))
	}
	// tshark reads nothing behind a mobility header, and what is in a tunnel too.
	tunnel := slices.Contains([]uint8{1, 4, 41, 47, 51, 58}, p.Protocol)
	later := p.Fragment && ports(t, f) == [2]uint64{}
	if f["mip6.mhtype"] == nil && !later && (!tunnel || p.IsICMP()) {
		m["ports"] = fmt.Sprint(ports(t, f))
		m["flags"] = fmt.Sprint(f.number(t, "tcp.flags", 0))
	}
	tags := slices.Concat(f["ieee8021ad.id"], f["ieee8021ad.svid"], f["ieee8021ad.cvid"], f["vlan.id"])
	tag := fields{"id": tags}
	m["VLANs"] = fmt.Sprint([2]uint64{tag.number(t, "id", 0), tag.number(t, "id", 1)})
	m["labels"] = labels(t, f)
	return m
}

// ports are source and destination, or type and code as one.
func ports(t *testing.T, f fields) [2]uint64 {
	t.Helper()
	for _, name := range []string{"icmp", "icmpv6"} {
		if f[name+".type"] != nil {
			return [2]uint64{0, f.number(t, name+".type", 0)<<8 | f.number(t, name+".code", 0)}
		}
	}
	for _, name := range []string{"tcp", "udp", "dccp", "sctp"} {
		if f[name+".srcport"] != nil {
			return [2]uint64{f.number(t, name+".srcport", 0), f.number(t, name+".dstport", 0)}
		}
	}
	return [2]uint64{}
}

// labels are the three topmost, and how many there are.
func labels(t *testing.T, f fields) string {
	t.Helper()
	var stack [3][3]byte
	for i := range min(len(f["mpls.label"]), len(stack)) {
		entry := f.number(t, "mpls.label", i)<<4 | f.number(t, "mpls.exp", i)<<1 | f.number(t, "mpls.bottom", i)
		stack[i] = [3]byte{byte(entry >> 16), byte(entry >> 8), byte(entry)}
	}
	return fmt.Sprint(stack, len(f["mpls.label"]))
}
