package judge

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cacheflow/test/process"
)

// Nfacctd is a running nfacctd with all its checks on.
type Nfacctd struct {
	// Address is where it listens.
	Address netip.AddrPort

	t       testing.TB
	file    string
	counted int64 // octets of file that written has seen
	process *process.Process
}

// NfacctdConfig says how nfacctd is run. The zero value listens on a free port
// of 127.0.0.1.
type NfacctdConfig struct {
	Command process.Command // where to run it
	Address netip.AddrPort  // where to listen; what is zero is chosen
	Records int             // how many it has room for at once, 1.5 KiB of memory each; 0 is 10 000
	Scale   bool            // multiply by the sampling interval that the exporter announces
}

// nfacctdPrimitives are what nfacctd aggregates by besides its own words: every
// further element of v9 and IPFIX by its number and length.
const nfacctdPrimitives = `name=next_hop field_type=15 len=4 semantics=ip
name=min_ttl field_type=52 len=1 semantics=u_int
name=max_ttl field_type=53 len=1 semantics=u_int
name=min_length field_type=25 len=4 semantics=u_int
name=max_length field_type=26 len=4 semantics=u_int
name=direction field_type=61 len=1 semantics=u_int
name=forwarding field_type=89 len=1 semantics=u_int
name=end_reason field_type=136 len=1 semantics=u_int
name=next_hop6 field_type=62 len=16 semantics=ip
name=version field_type=60 len=1 semantics=u_int
name=dscp field_type=195 len=1 semantics=u_int
name=flow_label field_type=31 len=4 semantics=u_int
name=flow_label9 field_type=31 len=3 semantics=raw
name=icmp field_type=32 len=2 semantics=u_int
name=icmp6 field_type=139 len=2 semantics=u_int
name=priority field_type=244 len=1 semantics=u_int
name=customer_vlan field_type=245 len=2 semantics=u_int
name=customer_priority field_type=246 len=1 semantics=u_int
name=label_depth field_type=202 len=1 semantics=u_int
name=label1 field_type=70 len=3 semantics=raw
name=label2 field_type=71 len=3 semantics=raw
name=label3 field_type=72 len=3 semantics=raw
`

// nfacctdConfiguration has no room for chance. nfacctd hands records to its
// plugin by a ring, does not wait for it, and loses what does not fit: so the
// ring (552 octets a record) has room for all. A bucket of the plugin's cache
// is 11 records of 350 octets. The sequence number keeps records apart that
// agree in all else that nfacctd shows.
const nfacctdConfiguration = `daemonize: false
nfacctd_ip: %s
nfacctd_port: %d
nfacctd_disable_checks: false
nfacctd_pipe_size: 16777216
plugins: print
plugin_pipe_size: %d
aggregate: export_proto_version, export_proto_seqno, src_host, dst_host, src_port, dst_port, proto, tos, tcpflags, in_iface, out_iface, src_mask, dst_mask, src_mac, dst_mac, vlan, timestamp_start, timestamp_end, next_hop, min_ttl, max_ttl, min_length, max_length, direction, forwarding, end_reason, next_hop6, version, dscp, flow_label, flow_label9, icmp, icmp6, priority, customer_vlan, customer_priority, label_depth, label1, label2, label3
aggregate_primitives: %s
print_output: json
print_output_file_append: true
print_cache_entries: %d
print_output_file: %s
print_refresh_time: 1
print_max_writers: 99
print_num_protos: true
timestamps_since_epoch: true
nfacctd_renormalize: %t
`

// StartNfacctd starts nfacctd and waits until it listens, and until its plugin
// has purged an empty cache: one that does not wait for records yet is not woken
// by them, and one that still makes its cache when it is told to end forgets all.
func StartNfacctd(t testing.TB, c NfacctdConfig) *Nfacctd {
	t.Helper()
	process.Need(t, "nfacctd")
	dir := t.TempDir()
	n := &Nfacctd{Address: endpoint(t, c.Address), t: t, file: filepath.Join(dir, "flows.json")}
	primitives, configuration := filepath.Join(dir, "primitives"), filepath.Join(dir, "nfacctd.conf")
	records := c.Records
	if records == 0 {
		records = 10_000
	}
	text := fmt.Sprintf(nfacctdConfiguration, n.Address.Addr(), n.Address.Port(), 640*records, primitives, records/8+1, n.file, c.Scale)
	for name, text := range map[string]string{primitives: nfacctdPrimitives, configuration: text} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.process = process.Start(t, c.Command.Make("nfacctd", "-f", configuration), func(p *process.Process) bool {
		return process.Printed("waiting for NetFlow/IPFIX data")(p) && process.Printed("Purging cache - END")(p)
	})
	return n
}

// Stop ends nfacctd when it has written so many records; at its end it gives its
// plugin two seconds, whatever that still has to read. Where records are missing
// Stop ends it all the same when none has come for the time of patience.
func (n *Nfacctd) Stop(records int) {
	written := 0
	for since := time.Now(); written < records && time.Since(since) < patience; time.Sleep(50 * time.Millisecond) {
		if more := n.written(); more > 0 {
			written += more
			since = time.Now()
		}
	}
	n.process.Stop(syscall.SIGINT, patience)
}

// StopQuiet ends nfacctd when it has written something, and then nothing for some time: where
// nobody knows how many records it makes of what it was sent. It writes each second; one that never
// ends to do so has lost its way.
func (n *Nfacctd) StopQuiet(quiet time.Duration) {
	written, began := false, time.Now()
	for since := began; time.Since(since) < quiet || !written; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > patience {
			n.t.Errorf("nfacctd has not come to rest after %v", patience)
			break
		}
		if n.written() > 0 {
			written, since = true, time.Now()
		}
	}
	n.process.Stop(syscall.SIGINT, patience)
}

// written counts the records that have come to the file since the last call:
// each is a line.
func (n *Nfacctd) written() (lines int) {
	file, err := os.Open(n.file)
	if err != nil {
		return 0 // nothing has come yet
	}
	defer file.Close()
	buf := make([]byte, 1<<18)
	for {
		m, err := file.ReadAt(buf, n.counted)
		n.counted += int64(m)
		lines += bytes.Count(buf[:m], []byte("\n"))
		if err != nil {
			return lines
		}
	}
}

// Errors returns what nfacctd has complained about: sequence numbers, lengths,
// padding, unknown templates. That the socket which wakes its plugin is small
// does no harm.
func (n *Nfacctd) Errors() (lines []string) {
	for line := range strings.Lines(n.process.Out.String()) {
		if strings.Contains(line, "ctrl channel") {
			continue
		}
		for _, word := range []string{"WARN", "ERROR", "expecting flow", "discarded", "unknown template", "malformed"} {
			if strings.Contains(line, word) {
				lines = append(lines, strings.TrimSpace(line))
				break
			}
		}
	}
	return lines
}

// Flows returns what nfacctd has written. In v5 and v9 it reads the seconds of
// times only: these are flowStartSeconds and flowEndSeconds. It adds up records
// of one datagram that agree in all elements.
func (n *Nfacctd) Flows() []Flow {
	n.t.Helper()
	file, err := os.Open(n.file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		n.t.Fatal(err)
	}
	defer file.Close()
	records, err := ReadJSON(file)
	if err != nil {
		n.t.Fatalf("read nfacctd's JSON: %v", err)
	}
	for i, r := range records {
		records[i] = nfacctdFlow(r)
	}
	return records
}

// nfacctdNames are the elements that nfacctd reads of every protocol, and
// nfacctdOptional those that it prints as 0 where it has none.
var (
	nfacctdNames = map[string]string{
		"packets": "packetDeltaCount", "bytes": "octetDeltaCount", "ip_proto": "protocolIdentifier",
		"port_src": "sourceTransportPort", "port_dst": "destinationTransportPort",
		"tos": "ipClassOfService", "tcp_flags": "tcpControlBits",
		"iface_in": "ingressInterface", "iface_out": "egressInterface",
	}
	nfacctdOptional = map[string]string{
		"vlan": "vlanId", "mac_src": "sourceMacAddress", "mac_dst": "destinationMacAddress",
		"next_hop": "ipNextHopIPv4Address", "min_ttl": "minimumTTL", "max_ttl": "maximumTTL",
		"min_length": "minimumIpTotalLength", "max_length": "maximumIpTotalLength",
		"direction": "flowDirection", "forwarding": "forwardingStatus", "end_reason": "flowEndReason",
		"next_hop6": "ipNextHopIPv6Address", "version": "ipVersion", "dscp": "ipDiffServCodePoint",
		"flow_label": "flowLabelIPv6", "icmp6": "icmpTypeCodeIPv6", "priority": "dot1qPriority",
		"customer_vlan": "dot1qCustomerVlanId", "customer_priority": "dot1qCustomerPriority",
		"label_depth": "mplsLabelStackDepth",
	}
	nfacctdLabels = map[string]string{
		"label1": "mplsTopLabelStackSection", "label2": "mplsLabelStackSection2", "label3": "mplsLabelStackSection3",
	}
)

func nfacctdFlow(r Flow) Flow {
	f := Flow{}
	for name, ours := range nfacctdNames {
		f[ours] = r[name]
	}
	for name, ours := range nfacctdOptional {
		if !isZero(r[name]) {
			f[ours] = r[name]
		}
	}
	for name, ours := range nfacctdLabels {
		if label := strings.ReplaceAll(r[name], "-", ""); !isZero(label) {
			f[ours] = label
		}
	}
	if label, err := strconv.ParseUint(strings.ReplaceAll(r["flow_label9"], "-", ""), 16, 32); err == nil && r["export_proto_version"] == "9" {
		f["flowLabelIPv6"] = strconv.FormatUint(label, 10)
	}
	version := "IPv4"
	if strings.Contains(r["ip_src"], ":") {
		version = "IPv6"
	}
	if !isZero(r["icmp"]) {
		f["icmpTypeCode"+version] = r["icmp"]
	}
	f["source"+version+"Address"], f["destination"+version+"Address"] = r["ip_src"], r["ip_dst"]
	f["source"+version+"PrefixLength"], f["destination"+version+"PrefixLength"] = r["mask_src"], r["mask_dst"]
	first, last := nfacctdTime(r["timestamp_start"]), nfacctdTime(r["timestamp_end"])
	if r["export_proto_version"] == "10" {
		f["flowStartMilliseconds"], f["flowEndMilliseconds"] = strconv.FormatInt(first, 10), strconv.FormatInt(last, 10)
	} else {
		f["flowStartSeconds"], f["flowEndSeconds"] = strconv.FormatInt(first/1000, 10), strconv.FormatInt(last/1000, 10)
	}
	return f
}

// nfacctdTime reads seconds with six decimals, as milliseconds.
func nfacctdTime(text string) int64 {
	var seconds, micros int64
	if _, err := fmt.Sscanf(text, "%d.%d", &seconds, &micros); err != nil {
		return 0
	}
	return seconds*1000 + micros/1000
}
