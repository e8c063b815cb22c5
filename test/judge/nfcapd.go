package judge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cacheflow/test/process"
)

// Nfcapd is a running nfcapd, whose files nfdump reads.
type Nfcapd struct {
	noOptions bool
	// Address is where it listens.
	Address netip.AddrPort

	t       testing.TB
	dir     string
	process *process.Process
}

// NfcapdConfig says how nfcapd is run. The zero value listens on a free port of
// 127.0.0.1 with nfcapd's own defaults and closes its file when it is stopped.
type NfcapdConfig struct {
	// NoOptions says that it is sent no options data, so that it judges the sequence numbers
	// of IPFIX as well.
	NoOptions bool
	Command   process.Command // where to run it
	Address   netip.AddrPort  // where to listen; what is zero is chosen
	Buffer    int             // socket receive buffer in octets; 0 is the system's default
	Rotate    time.Duration   // how long a file is written, at least 2 s; 0 is an hour
}

// StartNfcapd starts nfcapd and waits until it listens.
func StartNfcapd(t testing.TB, c NfcapdConfig) *Nfcapd {
	t.Helper()
	process.Need(t, "nfcapd", "nfdump")
	n := &Nfcapd{Address: endpoint(t, c.Address), t: t, dir: t.TempDir()}
	if c.Rotate == 0 {
		c.Rotate = time.Hour
	}
	args := []string{"-w", n.dir, "-S", "0", "-b", n.Address.Addr().String(), "-p", strconv.Itoa(int(n.Address.Port())),
		"-t", strconv.Itoa(int(c.Rotate.Seconds()))}
	if c.Buffer > 0 {
		args = append(args, "-B", strconv.Itoa(c.Buffer))
	}
	n.noOptions = c.NoOptions
	n.process = process.Start(t, c.Command.Make("nfcapd", args...), process.Printed("Startup nfcapd"))
	return n
}

// Stop ends nfcapd, which then has written all that it received.
func (n *Nfcapd) Stop() {
	drained(n.process.Pid(), n.Address.Port())
	n.process.Stop(syscall.SIGTERM, patience)
}

// Statistics are nfdump's over all closed files.
type Statistics struct {
	Sum
	SequenceFailures uint64 // 0 of IPFIX
}

// Statistics sums up the files that nfcapd has closed.
func (n *Nfcapd) Statistics() (s Statistics) {
	n.t.Helper()
	for line := range strings.Lines(string(n.nfdump("-I"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		v, _ := strconv.ParseUint(value, 10, 64)
		switch name {
		case "Flows":
			s.Records += v
		case "Packets":
			s.Packets += v
		case "Bytes":
			s.Octets += v
		case "Sequence failures":
			s.SequenceFailures += v
		}
	}
	if n.countsWrongly() {
		s.SequenceFailures = 0
	}
	return s
}

// countsWrongly reports whether it received IPFIX with options data: of that it does not count options data
// records and takes each for a lost one, against RFC 7011 §3.1. tshark and nfacctd judge
// those sequence numbers.
func (n *Nfcapd) countsWrongly() bool {
	return !n.noOptions && strings.Contains(n.process.Out.String(), "New ipfix exporter")
}

// Errors returns what nfcapd has complained about.
func (n *Nfcapd) Errors() (lines []string) {
	good := regexp.MustCompile(`Sequence Errors: 0, Bad Packets: 0$`)
	if n.countsWrongly() {
		good = regexp.MustCompile(`Sequence Errors: \d+, Bad Packets: 0$`)
	}
	for line := range strings.Lines(n.process.Out.String()) {
		line = strings.TrimSpace(line)
		if nfcapdError.MatchString(good.ReplaceAllString(line, "")) {
			lines = append(lines, line)
		}
	}
	return lines
}

var nfcapdError = regexp.MustCompile(`(?i)(error|fail|skip|malformed|unknown|unexpected|bad |corrupt|no table)`)

// Flows returns the records of the files that nfcapd has closed, or those that a
// filter of nfdump's lets through.
func (n *Nfcapd) Flows(filter ...string) (flows []Flow) {
	n.t.Helper()
	out := n.nfdump(append([]string{"-q", "-o", "json"}, filter...)...)
	open := bytes.IndexByte(out, '{')
	if open < 0 {
		return nil
	}
	// Of an array it prints what is between the brackets.
	d := json.NewDecoder(io.MultiReader(strings.NewReader("["), bytes.NewReader(out[open:]), strings.NewReader("]")))
	d.UseNumber()
	_, err := d.Token()
	for record := map[string]any{}; err == nil && d.More(); clear(record) {
		if err = d.Decode(&record); err == nil {
			flows = append(flows, nfdumpFlow(record))
		}
	}
	if err != nil {
		n.t.Fatalf("read nfdump's JSON: %v", err)
	}
	return flows
}

// Print returns what nfdump prints of the files that nfcapd has closed, in a format of its -o;
// times are those of UTC. Further arguments go to nfdump as well.
func (n *Nfcapd) Print(format string, args ...string) []byte {
	n.t.Helper()
	return n.nfdump(append([]string{"-o", format}, args...)...)
}

func (n *Nfcapd) nfdump(args ...string) []byte {
	n.t.Helper()
	cmd := exec.Command("nfdump", append([]string{"-R", n.dir}, args...)...)
	cmd.Env = append(cmd.Environ(), "TZ=UTC")
	return process.Run(n.t, cmd)
}

// nfdumpNames are the elements that nfdump prints as they are.
var nfdumpNames = map[string]string{
	"in_packets": "packetDeltaCount", "in_bytes": "octetDeltaCount", "proto": "protocolIdentifier",
	"src_port": "sourceTransportPort", "dst_port": "destinationTransportPort", "src_tos": "ipClassOfService",
	"src4_addr": "sourceIPv4Address", "dst4_addr": "destinationIPv4Address",
	"src6_addr": "sourceIPv6Address", "dst6_addr": "destinationIPv6Address",
	"ip4_next_hop": "ipNextHopIPv4Address", "ip6_next_hop": "ipNextHopIPv6Address",
	"input_snmp": "ingressInterface", "output_snmp": "egressInterface",
	"fwd_status": "forwardingStatus", "direction": "flowDirection", "src_vlan": "vlanId",
	"in_src_mac": "sourceMacAddress", "in_dst_mac": "destinationMacAddress",
}

// undecoded are those that nfdump 1.7.1 prints as 0 where it does not decode
// them: the direction and the prefix lengths in v5, the forwarding status there
// and in IPFIX.
var undecoded = []string{"direction", "fwd_status"}

func nfdumpFlow(r map[string]any) Flow {
	f := Flow{}
	for name, value := range r {
		text := text(value)
		if ours := nfdumpNames[name]; ours != "" && !(text == "0" && slices.Contains(undecoded, name)) {
			f[ours] = text
		}
	}
	version := "IPv4"
	if f["sourceIPv6Address"] != "" || f["destinationIPv6Address"] != "" {
		version = "IPv6"
	}
	for name, ours := range map[string]string{"src_mask": "source%sPrefixLength", "dst_mask": "destination%sPrefixLength"} {
		if v := fmt.Sprint(r[name]); v != "0" {
			f[fmt.Sprintf(ours, version)] = v
		}
	}
	if kind, ok := r["icmp_type"].(json.Number); ok {
		kind, _ := kind.Int64()
		code, _ := r["icmp_code"].(json.Number).Int64()
		f["destinationTransportPort"] = strconv.FormatInt(kind<<8|code, 10)
	}
	if flags, ok := r["tcp_flags"].(string); ok {
		f["tcpControlBits"] = strconv.Itoa(nfdumpFlags(flags))
	}
	for i, ours := range []string{"mplsTopLabelStackSection", "mplsLabelStackSection2", "mplsLabelStackSection3"} {
		var label, exp, bottom uint32
		text := fmt.Sprint(r[fmt.Sprintf("mpls_%d", i+1)])
		if n, _ := fmt.Sscanf(text, "%d-%d-%d", &label, &exp, &bottom); n == 3 && text != "0-0-0" {
			f[ours] = fmt.Sprintf("%06x", label<<4|exp<<1|bottom)
		}
	}
	for name, ours := range map[string]string{"first": "flowStartMilliseconds", "last": "flowEndMilliseconds"} {
		if at, err := time.Parse("2006-01-02T15:04:05.000", fmt.Sprint(r[name])); err == nil {
			f[ours] = strconv.FormatInt(at.UnixMilli(), 10)
		}
	}
	return f
}

// nfdumpFlags reads eight letters, the highest bit first.
func nfdumpFlags(text string) (bits int) {
	for _, letter := range text {
		bits <<= 1
		if letter != '.' {
			bits |= 1
		}
	}
	return bits
}
