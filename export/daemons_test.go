package export

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// daemon runs a collector that listens on address, and has written ready to its
// standard streams, until stop is called, which returns all that it wrote there.
func daemon(t *testing.T, address, ready, name string, args ...string) (stop func() string) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipping: the daemons see the full run, not those of 32 bits and of the race detector")
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	written := func() string {
		b, _ := os.ReadFile(log.Name())
		return string(b)
	}
	stop = func() string {
		if !stopped {
			stopped = true
			cmd.Process.Signal(syscall.SIGINT)
			group := -cmd.Process.Pid // nfacctd's plugins outlive it, and write its output
			timer := time.AfterFunc(10*time.Second, func() { syscall.Kill(group, syscall.SIGKILL) })
			cmd.Wait()
			for syscall.Kill(group, 0) == nil {
				time.Sleep(10 * time.Millisecond)
			}
			timer.Stop()
		}
		return written()
	}
	t.Cleanup(func() { stop() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, listens := unread(address); listens && strings.Contains(written(), ready) {
			return stop
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen: %s", name, stop())
		}
	}
}

// unread returns how much waits in the UDP socket at address, and whether there
// is one, from /proc/net/udp (proc(5)).
func unread(address string) (octets int64, ok bool) {
	at := netip.MustParseAddrPort(address)
	want := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(at.Addr().AsSlice()), at.Port())
	table, _ := os.ReadFile("/proc/net/udp")
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > 4 && f[1] == want {
			_, rx, _ := strings.Cut(f[4], ":")
			octets, _ = strconv.ParseInt(rx, 16, 64)
			return octets, true
		}
	}
	return 0, false
}

// judged are the records that the daemons are given, each this many times.
const times = 200

func judged(p Protocol) []flow.Record {
	icmp, egress := record4(), record4()
	icmp.Protocol, icmp.SrcPort, icmp.DstPort, icmp.TCPFlags = flow.ProtocolICMP, 0, 3<<8|1, 0
	icmp.Direction = flow.Ingress
	egress.SrcPort, egress.Packets, egress.Octets = 50000, 7_000_000_000, 5_000_000_000_000
	if p == NetFlow5 {
		egress.Packets, egress.Octets = 1, 52
		return []flow.Record{icmp, egress}
	}
	return []flow.Record{icmp, egress, record6()}
}

// exportRecords sends each record many times and returns what was sent once the
// collector has read it.
func exportRecords(t *testing.T, cfg Config, rs []flow.Record) Count {
	t.Helper()
	cfg.TemplatePackets, cfg.Rate, cfg.InterfaceTable = 10, 2000, someInterfaces
	cfg.Epoch = func() time.Time { return testEpoch }
	e := startExporter(t, cfg)
	for range times {
		e.Put(rs)
	}
	if err := e.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := checkLedger(t, e)
	if s.Sent != s.Made {
		t.Errorf("not all was sent: %+v", s)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if n, _ := unread(cfg.Address); n == 0 {
			break
		}
	}
	time.Sleep(100 * time.Millisecond) // the last datagram is being read
	return s.Sent
}

// nfcapdReads exports rs to nfcapd and returns what it logs, what nfdump reads, and what
// was sent to it.
func nfcapdReads(t *testing.T, cfg Config, rs []flow.Record) (log string, flows []map[string]string, sent Count) {
	t.Helper()
	dir, address := t.TempDir(), unusedPort(t)
	_, port, _ := net.SplitHostPort(address)
	stop := daemon(t, address, "Startup", "nfcapd", "-b", "127.0.0.1", "-p", port, "-w", dir)
	cfg.Address = address
	if cfg.Protocol == IPFIX { // of which it does not count options data (IR-3)
		cfg.Options = noOptions
	}
	sent = exportRecords(t, cfg, rs)
	log = stop()
	files, _ := filepath.Glob(filepath.Join(dir, "nfcapd.2*"))
	if len(files) != 1 {
		t.Fatalf("nfcapd left %v and says\n%s", files, log)
	}
	return log, nfdump(t, files[0]), sent
}

// TestNfcapd: nfdump has every packet and octet, no sequence failure, and the
// fields that it knows as they were put in.
func TestNfcapd(t *testing.T) {
	t.Parallel()
	need(t, "nfcapd", "nfdump")
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			rs := judged(p)
			log, got, sent := nfcapdReads(t, Config{Protocol: p}, rs)
			want := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: 0, Bad Packets: 0",
				sent.Records, sent.Packets, sent.Octets)
			if !strings.Contains(log, want) {
				t.Errorf("nfcapd says\n%s\nwant %s", log, want)
			}
			if len(got) != int(sent.Records) {
				t.Fatalf("nfdump prints %d records of %d", len(got), sent.Records)
			}
			for i := range got {
				compareNfdump(t, p, &rs[i%len(rs)], got[i])
				compareNfdumpTimes(t, p == NetFlow9, &rs[i%len(rs)], got[i])
				if t.Failed() {
					return
				}
			}
		})
	}
}

// nfdump returns its raw output: a map for each record.
func nfdump(t *testing.T, file string) (rs []map[string]string) {
	t.Helper()
	cmd := exec.Command("nfdump", "-r", file, "-o", "raw", "-q")
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Flow Record") {
			rs = append(rs, map[string]string{})
		} else if k, v, ok := strings.Cut(lines.Text(), " ="); ok && len(rs) > 0 {
			if fields := strings.Fields(v); len(fields) > 0 {
				rs[len(rs)-1][strings.Join(strings.Fields(k), " ")] = fields[0]
			}
		}
	}
	return rs
}

// compareNfdump leaves out what nfdump 1.7.1 does not read: prefix lengths in
// v5, forwardingStatus in IPFIX, and flowEndReason.
func compareNfdump(t *testing.T, p Protocol, r *flow.Record, got map[string]string) {
	t.Helper()
	want := map[string]any{
		"proto": r.Protocol, "tcp flags": fmt.Sprintf("0x%02x", byte(r.TCPFlags)),
		"in packets": r.Packets, "in bytes": r.Octets, "src addr": r.SrcAddr(), "dst addr": r.DstAddr(),
		"input": r.Input, "ip next hop": r.NextHopAddr(),
	}
	if r.IsICMP() {
		want["ICMP"] = fmt.Sprintf("%d.%d", r.DstPort>>8, r.DstPort&255)
	} else {
		want["src port"], want["dst port"], want["src tos"] = r.SrcPort, r.DstPort, r.ToS
	}
	if p != NetFlow5 {
		want["output"], want["src mask"], want["dst mask"] = r.Egress, r.SrcPrefixLen, r.DstPrefixLen
		want["direction"] = byte(r.Direction)
		want["in src mac"], want["in dst mac"] = mac(r.SrcMAC), mac(r.DstMAC)
		want["MPLS Lbl 1"], want["MPLS Lbl 3"] = "74565-0-0", "214375-0-1"
		in, out := vlans(r)
		want["src vlan"], want["dst vlan"] = in, out
	}
	if p == NetFlow9 {
		want["fwd status"] = byte(r.Status)
	}
	for k, w := range want {
		if got[k] != fmt.Sprint(w) {
			t.Errorf("nfdump: %s = %s, want %v", k, got[k], w)
		}
	}
}

// compareNfdumpTimes takes a time of NetFlow v9's sysUpTime that is up to a second early:
// the header has whole seconds.
func compareNfdumpTimes(t *testing.T, early9 bool, r *flow.Record, got map[string]string) {
	t.Helper()
	var first, last int64
	fmt.Sscan(got["first"], &first)
	fmt.Sscan(got["last"], &last)
	early := wall(r.First) - first
	if last-first != wall(r.Last)-wall(r.First) || early < 0 || early > 999 || early > 0 && !early9 {
		t.Errorf("nfdump: from %d to %d, want %d to %d", first, last, wall(r.First), wall(r.Last))
	}
}

// TestNfacctd: pmacct with its checks on complains of nothing, and has every
// packet and octet of every flow.
func TestNfacctd(t *testing.T) {
	t.Parallel()
	need(t, "nfacctd")
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			log, got, total, sent := nfacctdReads(t, Config{Protocol: p}, judged(p))
			if strings.Contains(log, "WARN") || strings.Contains(log, "ERR") || strings.Contains(log, "expecting") {
				t.Errorf("nfacctd complains:\n%s", log)
			}
			var want []string
			for _, r := range judged(p) {
				want = append(want, fmt.Sprint(nfacctdWant(p, &r)))
			}
			slices.Sort(want)
			if !slices.Equal(got, want) || total.Packets != sent.Packets || total.Octets != sent.Octets {
				t.Errorf("nfacctd has %+v\n%s\nwant %+v\n%s", total, strings.Join(got, "\n"), sent, strings.Join(want, "\n"))
			}
		})
	}
}

// nfacctdReads has nfacctd read records.
func nfacctdReads(t *testing.T, cfg Config, rs []flow.Record) (log string, flows []string, total, sent Count) {
	dir, address := t.TempDir(), unusedPort(t)
	_, port, _ := net.SplitHostPort(address)
	file, conf := filepath.Join(dir, "out.json"), filepath.Join(dir, "conf")
	os.WriteFile(conf, fmt.Appendf(nil, nfacctdConf, port, file), 0o644)
	stop := daemon(t, address, "object handlers", "nfacctd", "-f", conf)
	cfg.Address = address
	sent = exportRecords(t, cfg, rs)
	log = stop()
	flows, total = readNfacctd(t, file)
	return log, flows, total, sent
}

// readNfacctd returns the flows in nfacctd's output, sorted and without their
// counters, and the sum of these.
func readNfacctd(t *testing.T, file string) (flows []string, total Count) {
	out, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(out) {
		r := map[string]any{}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		packets, _ := r["packets"].(json.Number).Int64()
		octets, _ := r["bytes"].(json.Number).Int64()
		total.add(Count{1, uint64(packets), uint64(octets)})
		for _, k := range []string{"event_type", "packets", "bytes", "stamp_inserted", "stamp_updated"} {
			delete(r, k)
		}
		flows = append(flows, fmt.Sprint(r))
	}
	slices.Sort(flows)
	return slices.Compact(flows), total
}

const nfacctdConf = `daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: %s
nfacctd_disable_checks: false
plugins: print[a]
aggregate[a]: src_host,dst_host,src_port,dst_port,proto,tos,tcpflags,in_iface,out_iface,src_mask,dst_mask,src_mac,dst_mac,vlan,cos,mpls_label_top,timestamp_start,timestamp_end
print_output[a]: json
print_output_file[a]: %s
print_refresh_time[a]: 3600
print_history[a]: 1h
timestamps_since_epoch: true
plugin_pipe_size: 10000000
plugin_buffer_size: 10000
`

func nfacctdWant(p Protocol, r *flow.Record) map[string]any {
	stamp := func(t flow.Time) string {
		ms := wall(t)
		if p != IPFIX { // pmacct keeps whole seconds of the others
			ms -= ms % 1000
		}
		return fmt.Sprintf("%d.%03d000", ms/1000, ms%1000)
	}
	names := map[uint8]string{flow.ProtocolTCP: "tcp", flow.ProtocolICMP: "icmp", flow.ProtocolICMPv6: "ipv6-icmp"}
	w := map[string]any{
		"ip_src": r.SrcAddr(), "ip_dst": r.DstAddr(), "port_src": r.SrcPort, "port_dst": r.DstPort,
		"ip_proto": names[r.Protocol], "tos": r.ToS, "tcp_flags": byte(r.TCPFlags),
		"iface_in": r.Input, "iface_out": r.Egress, "mask_src": r.SrcPrefixLen, "mask_dst": r.DstPrefixLen,
		"mac_src": mac(r.SrcMAC), "mac_dst": mac(r.DstMAC), "vlan": r.VLAN & 4095, "cos": r.VLAN >> 13,
		"mpls_label_top": 74565, "timestamp_start": stamp(r.First), "timestamp_end": stamp(r.Last),
	}
	if p == NetFlow5 {
		w["iface_out"], w["vlan"], w["cos"], w["mpls_label_top"] = 0, 0, 0, 0
		w["mac_src"], w["mac_dst"] = mac([6]byte{}), mac([6]byte{})
	}
	return w
}
