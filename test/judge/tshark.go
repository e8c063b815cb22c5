package judge

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/test/process"
)

// Tshark reads a capture file of export datagrams.
type Tshark struct {
	// File is the capture file.
	File string

	t testing.TB
}

// NewTshark judges a recording.
func NewTshark(t testing.TB, r *Recorder) *Tshark {
	t.Helper()
	process.Need(t, "tshark")
	return &Tshark{File: r.WritePcap(), t: t}
}

func (s *Tshark) command(args ...string) *exec.Cmd {
	cmd := exec.Command("tshark", append([]string{"-n", "-r", s.File, "-d", fmt.Sprintf("udp.port==%d,cflow", collectorPort)}, args...)...)
	cmd.Env = append(cmd.Environ(), "TZ=UTC")
	return cmd
}

// Errors returns what tshark complains about: malformed packets, sequence
// errors of v9 and IPFIX, data without a template.
func (s *Tshark) Errors() (lines []string) {
	s.t.Helper()
	out := process.Run(s.t, s.command("-Y", "_ws.expert || _ws.malformed || !cflow || (cflow.flowset_id >= 256 && !cflow.template_frame)",
		"-T", "fields", "-e", "frame.number", "-e", "frame.protocols", "-e", "_ws.expert.message", "-e", "cflow.template_frame"))
	for line := range strings.Lines(string(out)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// Fields returns what each datagram has in fields of tshark's, all values of one with a bar between
// them.
func (s *Tshark) Fields(names ...string) (rows [][]string) {
	s.t.Helper()
	args := []string{"-T", "fields", "-E", "aggregator=|"}
	for _, name := range names {
		args = append(args, "-e", name)
	}
	for line := range strings.Lines(string(process.Run(s.t, s.command(args...)))) {
		rows = append(rows, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return rows
}

// Flows returns the records of the first n datagrams; all for 0.
func (s *Tshark) Flows(n int) []Flow {
	s.t.Helper()
	args := []string{"-T", "pdml"}
	if n > 0 {
		args = append(args, "-c", strconv.Itoa(n))
	}
	cmd := s.command(args...)
	out, err := cmd.StdoutPipe() // some 70 KB a datagram
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var p pdml
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.line(lines.Text())
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		s.t.Fatalf("%s: %v", cmd, err)
	}
	p.finish()
	return p.flows
}

// pdml reads tshark's XML, of which every field is a line.
type pdml struct {
	flows       []Flow
	flow        Flow
	uptime, now int64 // of the datagram, in milliseconds
	label, exp  uint64
	labels      int
}

// attribute returns the value of an attribute in a line of a field, and what
// follows it.
func attribute(line, before string) (value, rest string, ok bool) {
	if _, rest, ok = strings.Cut(line, before); ok {
		value, rest, ok = strings.Cut(rest, `"`)
	}
	return value, rest, ok
}

// tsharkNames are the fields that tshark shows as they are.
var tsharkNames = map[string]string{
	"srcaddr": "sourceIPv4Address", "dstaddr": "destinationIPv4Address",
	"srcaddrv6": "sourceIPv6Address", "dstaddrv6": "destinationIPv6Address",
	"nexthop": "ipNextHopIPv4Address", "nexthopv6": "ipNextHopIPv6Address",
	"srcmask": "sourceIPv4PrefixLength", "dstmask": "destinationIPv4PrefixLength",
	"srcmaskv6": "sourceIPv6PrefixLength", "dstmaskv6": "destinationIPv6PrefixLength",
	"srcport": "sourceTransportPort", "dstport": "destinationTransportPort",
	"protocol": "protocolIdentifier", "tos": "ipClassOfService", "ip_dscp": "ipDiffServCodePoint",
	"tcpflags": "tcpControlBits", "tcpflags16": "tcpControlBits", "ip_version": "ipVersion",
	"inputint": "ingressInterface", "outputint": "egressInterface", "direction": "flowDirection",
	"packets": "packetDeltaCount", "octets": "octetDeltaCount",
	"length_min": "minimumIpTotalLength", "length_max": "maximumIpTotalLength",
	"ttl_min": "minimumTTL", "ttl_max": "maximumTTL", "ip_fragment_flags": "fragmentFlags",
	"flow_end_reason": "flowEndReason", "srcmac": "sourceMacAddress", "dstmac": "destinationMacAddress",
	"vlanid": "vlanId", "dot1q_priority": "dot1qPriority",
	"dot1q_customer_vlan_id": "dot1qCustomerVlanId", "dot1q_customer_priority": "dot1qCustomerPriority",
	"mpls_label_depth": "mplsLabelStackDepth", "ipv6flowlabel": "flowLabelIPv6",
}

func (p *pdml) line(text string) {
	field, rest, ok := attribute(text, `<field name="`)
	if !ok {
		return
	}
	show, _, ok := attribute(rest, ` show="`)
	if !ok {
		return
	}
	name, isOurs := strings.CutPrefix(field, "cflow.")
	switch {
	case field == "" && (strings.HasPrefix(show, "Flow ") || strings.HasPrefix(show, "pdu ")):
		p.finish()
		p.flow = Flow{}
	case isOurs && name == "version":
		p.finish()
	case isOurs && p.flow == nil:
		p.header(name, show)
	case isOurs && tsharkNames[name] != "":
		if n, err := strconv.ParseUint(show, 0, 64); err == nil {
			show = strconv.FormatUint(n, 10)
		}
		p.flow[tsharkNames[name]] = show
	case isOurs:
		p.composed(name, show)
	}
}

// header keeps what relative times need.
func (p *pdml) header(name, show string) {
	switch name {
	case "sysuptime":
		p.uptime = milliseconds(show)
	case "unix_secs":
		p.now = milliseconds(show)
	case "unix_nsecs":
		n, _ := strconv.ParseInt(show, 10, 64)
		p.now += n / int64(time.Millisecond)
	}
}

// composed puts together what tshark shows in parts.
func (p *pdml) composed(name, show string) {
	n, _ := strconv.ParseUint(show, 0, 64)
	add := func(element string, v uint64) {
		p.flow[element] = strconv.FormatUint(p.flow.Uint(element)+v, 10)
	}
	switch name {
	case "timestart":
		p.flow["flowStartMilliseconds"] = wallTime(p.now, uint32(p.uptime))(uint32(milliseconds(show)))
	case "timeend":
		p.flow["flowEndMilliseconds"] = wallTime(p.now, uint32(p.uptime))(uint32(milliseconds(show)))
	case "abstimestart":
		p.flow["flowStartMilliseconds"] = absolute(show)
	case "abstimeend":
		p.flow["flowEndMilliseconds"] = absolute(show)
	case "icmp_ipv4_type":
		add("icmpTypeCodeIPv4", n<<8)
	case "icmp_ipv4_code":
		add("icmpTypeCodeIPv4", n)
	case "icmp_ipv6_type":
		add("icmpTypeCodeIPv6", n<<8)
	case "icmp_ipv6_code":
		add("icmpTypeCodeIPv6", n)
	case "forwarding_status":
		add("forwardingStatus", n<<6)
	case "forwarding_status_unknown_code", "forwarding_status_forward_code", "forwarding_status_drop_code", "forwarding_status_consume_code":
		add("forwardingStatus", n)
	case "mpls_label":
		p.label = n
	case "mpls_exp":
		p.exp = n
	case "mpls_bos":
		p.mpls(n)
	}
}

// mpls ends one of the label stack entries, which come in their order.
func (p *pdml) mpls(bottom uint64) {
	elements := []string{"mplsTopLabelStackSection", "mplsLabelStackSection2", "mplsLabelStackSection3"}
	if p.labels < len(elements) {
		p.flow[elements[p.labels]] = fmt.Sprintf("%06x", p.label<<4|p.exp<<1|bottom)
	}
	p.labels++
}

// finish ends the record at hand. One without addresses is of an options template.
func (p *pdml) finish() {
	if p.flow["sourceIPv4Address"] != "" || p.flow["sourceIPv6Address"] != "" {
		p.flows = append(p.flows, p.flow)
	}
	p.flow, p.labels = nil, 0
}

// milliseconds reads seconds with or without decimals.
func milliseconds(text string) int64 {
	whole, decimals, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole+(decimals + "000")[:3], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func absolute(text string) string {
	at, err := time.Parse("Jan _2, 2006 15:04:05.000000000 MST", text)
	if err != nil {
		return text
	}
	return strconv.FormatInt(at.UnixMilli(), 10)
}
