//go:build linux

package live_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
	"cacheflow/test/process"
	"cacheflow/test/sender"
	"cacheflow/test/traffic"
)

// datagrams sends UDP datagrams of one flow, which its source port names.
func datagrams(t *testing.T, s *sender.Sender, source uint16, n int) {
	t.Helper()
	p := packet{src: port("192.0.2.1", source), dst: port("192.0.2.2", 9), protocol: layers.IPProtocolUDP}
	send(t, s, inTurn([][]byte{p.frame()}), n, 20_000)
}

// trouble sees that the daemon has told of trouble once, and how.
func trouble(t *testing.T, d *daemon, pattern string) {
	t.Helper()
	lines := d.warnings()
	if len(lines) != 1 || !regexp.MustCompile(pattern).MatchString(lines[0]) {
		t.Errorf("on stderr: %q, want one line like %q", lines, pattern)
	}
}

// The collector's name does not resolve: metering goes on, and the records are
// declared at the end.
func TestUnresolvableCollector(t *testing.T) { inParallel(t, unresolvableCollector) }

func unresolvableCollector(t *testing.T, m binary.Mode) {
	l := newLab(t)
	d := start(t, m, l.meter, "-i", "in", "--active", "1s", "-e", "nosuch.invalid:2055")
	datagrams(t, l.sender, 1000, 500)
	d.metered(500)
	d.closes()
	final := d.stop()
	final.closes(t)
	trouble(t, d, `level=WARN msg="collector not reachable yet.*nosuch\.invalid`)
	if got := term(final.Exporters[0].Dropped, "no collector"); got.Packets != 500 || got.Count != final.Records.Count || final.total().Packets != 500 {
		t.Errorf("dropped %+v of %+v", final.Exporters[0].Dropped, final.Records)
	}
}

// Nobody listens at the collector's port; later a collector does. Metering goes
// on, and what is sent from then on is complete.
func TestCollectorDown(t *testing.T) { inParallel(t, collectorDown) }

func collectorDown(t *testing.T, m binary.Mode) {
	l := newLab(t)
	address := netip.MustParseAddrPort("127.0.0.1:2055")
	d := start(t, m, l.meter, "-i", "in", "--active", "1s", "--inactive", "1s", "-e", address.String())
	exported := func(l *ledger) bool { return l.Cache.Content.Count == 0 && l.Exporters[0].Sent == l.Records }
	datagrams(t, l.sender, 1000, 500)
	d.metered(500)
	d.closes()
	d.await("the first flow is sent", 10*time.Second, exported)
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Address: address})
	datagrams(t, l.sender, 2000, 500)
	d.metered(1000)
	d.await("the second flow is sent", 10*time.Second, exported)
	final := d.stop()
	final.exact(t) // a datagram that was refused after it had left counts as sent
	trouble(t, d, `level=WARN msg="datagrams are lost" exporter=127\.0\.0\.1:2055 reason="connection refused"`)
	collector.Stop()
	if got := judge.Add(collector.Flows("src port 2000")); got.Packets != 500 {
		t.Errorf("the collector has %+v of 500 packets", got)
	}
}

// The socket's buffer stays full, because the link to the collector is slow:
// metering goes on, and what could not be sent is declared.
func TestFullSocketBuffer(t *testing.T) { inParallel(t, fullSocketBuffer) }

func fullSocketBuffer(t *testing.T, m binary.Mode) {
	l := newLab(t)
	away := netns.New(t)
	netns.Veth(t, netns.End{NS: l.meter, Name: "mgmt", Addrs: []string{"10.8.0.1/24"}}, netns.End{NS: away, Name: "mgmt", Addrs: []string{"10.8.0.2/24"}})
	l.meter.MustRun("tc", "qdisc", "add", "dev", "mgmt", "root", "tbf", "rate", "80kbit", "burst", "1600", "limit", "10000000")
	away.Run(func() { judge.StartRecorder(t, netip.MustParseAddrPort("10.8.0.2:2055")) }) // else it would be refused
	d := start(t, m, l.meter, "-i", "in", "--entries", "16", "--workers", "1", "-e", "10.8.0.2:2055")
	const packets = 20_000
	address := uint32(0)
	many := func(b []byte) []byte {
		address++
		p := packet{src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(address >> 16), byte(address >> 8), byte(address)}), 1),
			dst: port("192.0.2.2", 9), protocol: layers.IPProtocolUDP}
		return append(b, p.frame()...)
	}
	send(t, l.sender, many, packets, 0)
	d.metered(packets)
	d.closes()
	d.await("a datagram is dropped", 20*time.Second, func(l *ledger) bool { return term(l.Exporters[0].Dropped, "socket buffer full").Count > 0 })
	datagrams(t, l.sender, 1000, 500) // it still meters
	d.metered(packets + 500)
	l.meter.MustRun("tc", "qdisc", "del", "dev", "mgmt", "root")
	final := d.stop()
	final.closes(t)
	e := final.Exporters[0]
	full := term(e.Dropped, "socket buffer full")
	if full.Count == 0 || e.Made != final.Records || e.Made.Packets != packets+500 || e.Sent.Packets+full.Packets != e.Made.Packets || len(e.Dropped) != 1 {
		t.Errorf("exporter %+v of records %+v", e, final.Records)
	}
	trouble(t, d, `level=WARN msg="datagrams are lost" exporter=10\.8\.0\.2:2055 reason="socket buffer full"`)
	t.Logf("%d records: sent %d, dropped %d", e.Made.Count, e.Sent.Count, full.Count)
}

// The device's queue drops datagrams, which the kernel hides from a socket by
// default (ip(7), IP_RECVERR): what the ledger calls sent is what the collector has.
func TestFullDeviceQueue(t *testing.T) { inParallel(t, fullDeviceQueue) }

func fullDeviceQueue(t *testing.T, m binary.Mode) {
	l := newLab(t)
	away := netns.New(t)
	netns.Veth(t, netns.End{NS: l.meter, Name: "mgmt", Addrs: []string{"10.8.0.1/24"}}, netns.End{NS: away, Name: "mgmt", Addrs: []string{"10.8.0.2/24"}})
	collector := nfcapd(t, away, judge.NfcapdConfig{Address: netip.MustParseAddrPort("10.8.0.2:2055")})
	l.meter.MustRun("tc", "qdisc", "add", "dev", "mgmt", "root", "tbf", "rate", "1mbit", "burst", "1600", "limit", "3000")
	d := start(t, m, l.meter, "-i", "in", "--entries", "16", "--workers", "1", "-e", collector.Address.String())
	const packets = 5000
	generate(t, l, traffic.Spec{Flows: traffic.MaxFlows, Seed: 9}, packets, 0)
	d.metered(packets)
	final := d.stop()
	final.closes(t)
	time.Sleep(200 * time.Millisecond) // for what waits in the queue
	collector.Stop()
	e := final.Exporters[0]
	if got := collector.Statistics(); got.Packets != e.Sent.Packets || got.Records != e.Sent.Count {
		t.Errorf("the collector has %+v, the exporter says %+v", got, e)
	}
	t.Logf("%+v", e)
}

// Without the right to capture, the one line on stderr says what helps.
func TestNoPrivileges(t *testing.T) {
	t.Parallel()
	ns := netns.New(t)
	drop := []string{"--inh-caps=-all", "--bounding-set=-all"}
	nobody := append([]string{"--reuid=65534", "--regid=65534", "--clear-groups"}, drop...)
	for name, rights := range map[string][]string{"root without capabilities": drop, "nobody": nobody} {
		for capture, want := range map[string]string{"auto": "sudo.*setcap cap_net_raw[+]ep /", "ebpf": "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or root"} {
			status, stderr := fails(t, ns.Command("setpriv", append(rights, readable(t), "run", "--capture", capture, "-i", "lo", "--socket", openDir(t)+"/s", "--for", "5s")...))
			if status != 1 || strings.Count(stderr, "\n") != 1 || !regexp.MustCompile(want).MatchString(stderr) {
				t.Errorf("%s, %s: exit status %d: %s", name, capture, status, stderr)
			}
		}
	}
}

// These capabilities are all that capturing needs; who does not say how to capture
// gets what the capabilities allow.
func TestLeastPrivilege(t *testing.T) { inParallel(t, leastPrivilege) }

func leastPrivilege(t *testing.T, m binary.Mode) {
	rights := map[binary.Mode]string{binary.AFPacket: "-all,+net_raw", binary.EBPF: "-all,+bpf,+net_admin,+perfmon"}[m]
	l := newLab(t)
	dir := openDir(t)
	file := filepath.Join(dir, "ledger")
	cmd := l.meter.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps="+rights, "--ambient-caps="+rights,
		"--bounding-set="+rights, readable(t), "run", "-i", "in", "--socket", dir+"/s", "--ledger", file, "-e", "127.0.0.1:2055", "--for", "3s")
	p := process.Start(t, cmd, process.Printed("msg=capturing"))
	datagrams(t, l.sender, 1000, 500)
	if status := p.Wait(20 * time.Second); status != 0 {
		t.Fatalf("exit status %d: %s", status, &p.Out)
	}
	final := parseLedger(t, process.ReadFile(t, file))
	final.ended(t, m)
	final.exact(t)
	if got := final.total().Packets; got != 500 {
		t.Errorf("%d packets of 500", got)
	}
}

// readable returns a copy of the binary that every user may run.
func readable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(openDir(t), "cacheflow")
	if err := os.WriteFile(path, process.ReadFile(t, binary.Path(t)), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// openDir returns a new directory that every user may enter and write to. (The
// directories of t.TempDir are for one user.)
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cacheflow-test-")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A second daemon finds the control socket busy and ends; the first one goes on.
func TestBusyControlSocket(t *testing.T) { inParallel(t, busyControlSocket) }

func busyControlSocket(t *testing.T, m binary.Mode) {
	l := newLab(t)
	d := start(t, m, l.meter, "-i", "in", "-e", "127.0.0.1:2055")
	status, stderr := fails(t, l.meter.Command(binary.Path(t), "run", "-i", "in", "-e", "127.0.0.1:2055", "--socket", d.Socket, "--for", "5s"))
	if status != 1 || stderr != fmt.Sprintf("cacheflow: another cacheflow answers at %s\n", d.Socket) {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	datagrams(t, l.sender, 1000, 500)
	d.metered(500)
	d.stop().exact(t)
}

// fails runs a program that must fail, and returns its exit status and what it
// wrote to stderr.
func fails(t *testing.T, cmd *exec.Cmd) (status int, stderr string) {
	t.Helper()
	var b strings.Builder
	cmd.Stderr = &b
	if err := cmd.Run(); err == nil {
		t.Errorf("%s succeeded", cmd)
	}
	return cmd.ProcessState.ExitCode(), b.String()
}
