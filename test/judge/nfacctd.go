package judge

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"cacheflow/test/process"
)

// Nfacctd is a running nfacctd with all its checks on.
type Nfacctd struct {
	// Address is where it listens.
	Address netip.AddrPort

	t       testing.TB
	file    string
	process *process.Process
}

// NfacctdConfig says how nfacctd is run. The zero value listens on a free port
// of 127.0.0.1.
type NfacctdConfig struct {
	Command process.Command // where to run it
	Address netip.AddrPort  // where to listen; what is zero is chosen
	Entries int             // records that it holds until its end, 4 KiB of memory each; 0 is 300 007
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
`

const nfacctdConfiguration = `daemonize: false
nfacctd_ip: %s
nfacctd_port: %d
nfacctd_disable_checks: false
nfacctd_pipe_size: 16777216
plugins: print
plugin_pipe_size: 67108864
plugin_buffer_size: 65536
aggregate: src_host, dst_host, src_port, dst_port, proto, tos, tcpflags, in_iface, out_iface, src_mask, dst_mask, src_mac, dst_mac, vlan, timestamp_start, timestamp_end, next_hop, min_ttl, max_ttl, min_length, max_length, direction, forwarding, end_reason
aggregate_primitives: %s
print_output: json
print_output_file_append: true
print_cache_entries: %d
print_output_file: %s
print_refresh_time: 3600
print_num_protos: true
timestamps_since_epoch: true
`

// StartNfacctd starts nfacctd and waits until it listens.
func StartNfacctd(t testing.TB, c NfacctdConfig) *Nfacctd {
	t.Helper()
	process.Need(t, "nfacctd")
	dir := t.TempDir()
	n := &Nfacctd{Address: endpoint(t, c.Address), t: t, file: filepath.Join(dir, "flows.json")}
	primitives, configuration := filepath.Join(dir, "primitives"), filepath.Join(dir, "nfacctd.conf")
	entries := c.Entries
	if entries == 0 {
		entries = 300_007
	}
	text := fmt.Sprintf(nfacctdConfiguration, n.Address.Addr(), n.Address.Port(), primitives, entries, n.file)
	for name, text := range map[string]string{primitives: nfacctdPrimitives, configuration: text} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.process = process.Start(t, c.Command.Make("nfacctd", "-f", configuration), process.Printed("waiting for NetFlow/IPFIX data"))
	return n
}

// Stop ends nfacctd, which then has written all that it received.
func (n *Nfacctd) Stop() {
	drained(n.process.Pid(), n.Address.Port())
	n.process.Stop(syscall.SIGINT, patience)
}

// Errors returns what nfacctd has complained about: sequence numbers, lengths,
// padding, unknown templates.
func (n *Nfacctd) Errors() (lines []string) {
	for line := range strings.Lines(n.process.Out.String()) {
		for _, word := range []string{"WARN", "ERROR", "expecting flow", "discarded", "unknown template", "malformed"} {
			if strings.Contains(line, word) {
				lines = append(lines, strings.TrimSpace(line))
				break
			}
		}
	}
	return lines
}

// Flows returns what nfacctd wrote at its end. It adds up records that agree in
// all elements; in v5 and v9 it reads times in seconds only, so they are missing.
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
	version := "IPv4"
	if strings.Contains(r["ip_src"], ":") {
		version = "IPv6"
	}
	f["source"+version+"Address"], f["destination"+version+"Address"] = r["ip_src"], r["ip_dst"]
	f["source"+version+"PrefixLength"], f["destination"+version+"PrefixLength"] = r["mask_src"], r["mask_dst"]
	first, last := nfacctdTime(r["timestamp_start"]), nfacctdTime(r["timestamp_end"])
	if first%1000 != 0 || last%1000 != 0 {
		f["flowStartMilliseconds"], f["flowEndMilliseconds"] = strconv.FormatInt(first, 10), strconv.FormatInt(last, 10)
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
