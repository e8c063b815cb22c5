//go:build linux

package live_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
)

// reloading is a daemon whose configuration file a test writes anew. Its exporter
// "stays" never changes.
type reloading struct {
	*daemon
	lab          *lab
	file         string
	stays, other netip.AddrPort // collectors
}

// configuration is one that reloads alternate between.
type configuration struct {
	interfaces string // of the list, but for "in"
	active     string
	other      string // keys of the exporter "other"; empty: there is none
	wrong      string // further lines
}

func (r *reloading) write(c configuration) {
	r.t.Helper()
	text := fmt.Sprintf("flow-monitor:\n  ring-memory: 8MiB\n  interfaces: [in%s]\n  cache: {entries: 4096, timeout: {active: %s, inactive: 2s}}\n"+
		"flow-exporter:\n  - {name: stays, destination: '%s', queue: 4096}\n", c.interfaces, c.active, r.stays)
	if c.other != "" {
		text += fmt.Sprintf("  - {name: other, destination: '%s', protocol: ipfix, queue: 2048%s}\n", r.other, c.other)
	}
	if err := os.WriteFile(r.file, []byte(text+c.wrong), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// reload writes a configuration and has it taken over, or refused with this reason.
func (r *reloading) reload(c configuration, refusal string) {
	r.t.Helper()
	r.write(c)
	said, ok := r.Reload()
	want := ""
	if refusal != "" {
		want = "cacheflow: " + r.file + refusal + "\n"
	}
	if ok != (refusal == "") || want != "" && said != want {
		r.t.Errorf("%+v: %t, %q; want %q", c, ok, said, want)
	}
}

// first is what the daemon starts with.
var first = configuration{active: "2s", other: ", dscp: 1"}

// startReloading starts a daemon at the end "in", and "in2", of two pairs.
func startReloading(t *testing.T, m binary.Mode, stays, other func(*lab) netip.AddrPort) *reloading {
	l := newLab(t)
	netns.Veth(t, netns.End{NS: l.host, Name: "out2"}, netns.End{NS: l.meter, Name: "in2"})
	r := &reloading{lab: l, daemon: &daemon{t: t}, file: filepath.Join(t.TempDir(), "c.yaml"), stays: stays(l), other: other(l)}
	r.write(first)
	r.daemon = start(t, m, l.meter, "-c", r.file)
	return r
}

// files counts the open file descriptors.
func (d *daemon) files() int {
	d.t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	if err != nil {
		d.t.Fatal(err)
	}
	return len(all)
}

// settled waits until nothing is left of exporters that were removed but their sum.
func (r *reloading) settled() {
	r.t.Helper()
	r.await("removed exporters have ended", 30*time.Second, func(l *ledger) bool {
		for _, e := range l.Exporters {
			if strings.Contains(e.Name, "(removed)") {
				return false
			}
		}
		return true
	})
}

// A thousand reloads under traffic, every ninth of them wrong: each packet of the
// interface that stays is at the collector that stays, once and without a gap in the
// sequence numbers, the account closes, and no file descriptor or memory leaks.
func TestThousandReloads(t *testing.T) { atOnce(t, thousandReloads) }

func thousandReloads(t *testing.T, m binary.Mode) {
	var collector *judge.Nfcapd
	var other *judge.Recorder
	r := startReloading(t, m, func(l *lab) netip.AddrPort {
		collector = nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
		return collector.Address
	}, func(l *lab) netip.AddrPort {
		l.meter.Run(func() { other = judge.StartRecorder(t, netip.AddrPort{}) })
		return other.Address
	})
	stop, sent := make(chan struct{}), make(chan uint64)
	go sendUntil(t, r.lab, stop, sent)
	second := openSender(t, r.lab.host, "out2")
	const reloads, warm = 1000, 200
	var files, memory int
	for i := range reloads {
		if i == warm {
			r.reload(first, "")
			r.settled()
			time.Sleep(100 * time.Millisecond) // the connection of who asked is closed
			files, memory = r.files(), r.memory("VmRSS")
		}
		r.reloadOnce(i)
		if i%50 == 0 {
			datagrams(t, second, 4000, 20)
			if err := syscall.Kill(r.Pid(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.reload(first, "")
	r.settled()
	for deadline := time.Now().Add(10 * time.Second); r.files() != files; time.Sleep(20 * time.Millisecond) { // of who asks
		if time.Now().After(deadline) {
			t.Errorf("%d file descriptors, %d before", r.files(), files)
			break
		}
	}
	if n := r.memory("VmRSS"); n > memory+5<<10 { // the heap's ups and downs
		t.Errorf("%d KiB of memory, %d before", n, memory)
	}
	close(stop)
	want := <-sent
	final := r.stop()
	collector.Stop()
	other.Stop()
	r.judged(final, collector, want)
	if _, err := judge.Goflow2(other.Datagrams()); err != nil {
		t.Errorf("the collector of the exporter that comes and goes: %v", err)
	}
}

// reloadOnce is reload number i.
func (r *reloading) reloadOnce(i int) {
	r.t.Helper()
	c := configuration{active: []string{"2s", "3s", "1s"}[i%3], interfaces: []string{"", ", in2"}[i/2%2]}
	if i%4 != 3 {
		c.other = fmt.Sprintf(", dscp: %d", i/4%8)
	}
	lines := 7
	if c.other != "" {
		lines++
	}
	switch i % 27 {
	case 8:
		c.wrong = "log: {level: loud}\n"
		r.reload(c, fmt.Sprintf(`:%d: log: level: "loud": must be debug, info, warn, error`, lines))
	case 17:
		c.wrong = "control: {mode: 0660}\n"
		r.reload(c, fmt.Sprintf(`:%d: control: mode: 0600 -> 0660: cannot change while it runs: restart`, lines))
	case 26:
		c.wrong = "  - {name: third, destination: nowhere}\n"
		r.reload(c, fmt.Sprintf(`:%d: flow-exporter "third": destination: missing port`, lines))
	default:
		r.reload(c, "")
	}
}

// sendUntil sends some 5000 packets/s of 1000 flows, and says how many they were.
func sendUntil(t *testing.T, l *lab, stop <-chan struct{}, sent chan<- uint64) {
	var frames [][]byte
	for i := range uint16(1000) {
		frames = append(frames, packet{src: port("192.0.2.1", 1000+i), dst: port("192.0.2.2", 9), protocol: layers.IPProtocolUDP}.frame())
	}
	next := inTurn(frames)
	for n := uint64(0); ; n += 500 {
		select {
		case <-stop:
			sent <- n
			return
		default:
		}
		if err := l.sender.Send(next, 500, 5000); err != nil {
			t.Error(err)
		}
	}
}

// judged sees that all packets of "in" are at the collector that stayed.
func (r *reloading) judged(final *ledger, collector *judge.Nfcapd, want uint64) {
	r.t.Helper()
	final.closes(r.t)
	if total := final.total(); total.Lost != 0 || len(total.Undecodable) != 0 {
		r.t.Errorf("lost %d frames, undecodable %v", total.Lost, total.Undecodable)
	}
	stays := final.Exporters[0]
	if stays.Name != "stays" || stays.Sent != final.Records || len(stays.Dropped) != 0 {
		r.t.Errorf("of %+v the exporter that stays sent %+v", final.Records, stays)
	}
	delivered(r.t, collector, final)
	if got := judge.Add(collector.Flows("dst port 9 and src port < 3000")); got.Packets != want {
		r.t.Errorf("the collector has %d packets of %d", got.Packets, want)
	}
	r.t.Logf("%d packets in %d records", want, final.Records.Count)
}

// An exporter that writes files changes at each of some reloads under traffic: one
// ends its file as the next begins one, and together they have each record once.
func TestReloadsOfFiles(t *testing.T) { inParallel(t, reloadsOfFiles) }

func reloadsOfFiles(t *testing.T, m binary.Mode) {
	l, dir := newLab(t), t.TempDir()
	file := filepath.Join(t.TempDir(), "c.yaml")
	write := func(mtu int) {
		text := fmt.Sprintf("flow-monitor: {interfaces: [in], cache: {timeout: {active: 1s}}}\n"+
			"flow-exporter: [{name: archive, mtu: %d, file: {path: '%s/flows.json'}}]\n", mtu, dir)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(4000)
	d := start(t, m, l.meter, "-c", file)
	stop, sent := make(chan struct{}), make(chan uint64)
	go sendUntil(t, l, stop, sent)
	for i := range 50 {
		write(4001 + i)
		if said, ok := d.Reload(); !ok {
			t.Error(said)
		}
		time.Sleep(80 * time.Millisecond)
	}
	close(stop)
	want := <-sent
	final := d.stop()
	final.closes(t)
	names, err := filepath.Glob(dir + "/*")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d files (%v)", len(names), err)
	}
	var all judge.Sum
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		flows, err := judge.ReadJSON(f)
		f.Close()
		if err != nil || filepath.Ext(name) != ".json" {
			t.Errorf("%s: %v", name, err)
		}
		sum := judge.Add(flows)
		all.Records, all.Packets, all.Octets = all.Records+sum.Records, all.Packets+sum.Packets, all.Octets+sum.Octets
	}
	if r := final.Records; r.Packets != want || all != (judge.Sum{Records: r.Count, Packets: r.Packets, Octets: r.Octets}) {
		t.Errorf("%d packets sent, %+v in records, %+v in the files", want, r, all)
	}
}

// After reloads the daemon runs as many goroutines as one that never reloaded.
func TestReloadsLeaveNoGoroutine(t *testing.T) { inParallel(t, reloadsLeaveNoGoroutine) }

func reloadsLeaveNoGoroutine(t *testing.T, m binary.Mode) {
	count := func(reloads int) int {
		nobody := func(*lab) netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:9") }
		r := startReloading(t, m, nobody, func(*lab) netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:99") })
		for i := range reloads {
			r.reloadOnce(i)
		}
		r.reload(first, "")
		r.settled()
		r.Process.Stop(syscall.SIGQUIT, time.Minute)
		return strings.Count(r.Out.String(), "\ngoroutine ")
	}
	if before, after := count(1), count(60); before < 10 || after > before+2 {
		t.Errorf("%d goroutines, %d without reloads", after, before)
	}
}

// What was changed is printed, a second time there is nothing; a direction changes
// where the capture can change it.
func TestReloadSays(t *testing.T) { inParallel(t, reloadSays) }

func reloadSays(t *testing.T, m binary.Mode) {
	nobody := func(*lab) netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:9") }
	r := startReloading(t, m, nobody, func(*lab) netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:99") })
	r.write(configuration{active: "3s", interfaces: ", in2"})
	const want = "flow-monitor: interfaces: in -> in in2\n" +
		"flow-monitor: cache timeout active: 2s -> 3s\n" +
		"flow-exporter \"other\": removed\n"
	for _, want := range []string{want, "nothing changed\n"} {
		if said, ok := r.Reload(); !ok || said != want {
			t.Errorf("%t, %q; want %q", ok, said, want)
		}
	}
	ingress := configuration{active: "3s", interfaces: "]\n  direction: ingress\n  interface-direction: {in2: both}\n  #"}
	refusal := ""
	if m == binary.AFPacket {
		refusal = ":4: flow-monitor: direction: cannot change while it runs by AF_PACKET: restart"
	}
	r.reload(ingress, refusal)
	r.Process.Stop(syscall.SIGTERM, time.Minute) // after which the whole log has been read
	if log := r.Out.String(); strings.Count(log, "msg=reloaded") < 3 || strings.Contains(log, "level=ERROR") != (refusal != "") {
		t.Errorf("the log has\n%s", log)
	}
}

// Without a configuration file there is nothing to reload: the command fails, a
// hangup is told, and both change nothing.
func TestReloadWithoutFile(t *testing.T) { inParallel(t, reloadWithoutFile) }

func reloadWithoutFile(t *testing.T, m binary.Mode) {
	l := newLab(t)
	d := start(t, m, l.meter, "-i", "in", "-e", "127.0.0.1:9")
	const reason = "there is no configuration file to reload: start with -c FILE"
	if said, ok := d.Reload(); ok || said != "cacheflow: "+reason+"\n" {
		t.Errorf("%t, %q", ok, said)
	}
	if err := syscall.Kill(d.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(d.warnings()) < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a hangup says %q", d.warnings())
		}
	}
	if line := d.warnings()[1]; !strings.Contains(line, reason) {
		t.Errorf("a hangup says %q", line)
	}
	datagrams(t, l.sender, 1000, 100)
	d.metered(100)
	d.stop().closes(t)
}

// Hangups from the first instant to the last do not end the daemon early.
func TestHangupAtAnyTime(t *testing.T) { inParallel(t, hangupAtAnyTime) }

func hangupAtAnyTime(t *testing.T, m binary.Mode) {
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("flow-monitor: {interfaces: [in]}\nflow-exporter: [{destination: '127.0.0.1:9'}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := start(t, m, l.meter, "-c", file)
	datagrams(t, l.sender, 1000, 100)
	d.metered(100)
	hanging := make(chan struct{})
	go func() {
		defer close(hanging)
		for syscall.Kill(d.Pid(), syscall.SIGHUP) == nil {
			time.Sleep(time.Millisecond)
		}
	}()
	time.Sleep(200 * time.Millisecond)
	final := d.stop()
	<-hanging
	final.closes(t)
	if final.Records.Packets != 100 {
		t.Errorf("%d packets in records, sent 100", final.Records.Packets)
	}
}

// Without a collector and a file the flows are shown on a terminal: a hangup, which
// tells that it has gone, ends the daemon in order.
func TestHangupEndsTheView(t *testing.T) { inParallel(t, hangupEndsTheView) }

func hangupEndsTheView(t *testing.T, m binary.Mode) {
	l := newLab(t)
	d := start(t, m, l.meter, "-i", "in")
	datagrams(t, l.sender, 1000, 100)
	d.metered(100)
	if err := syscall.Kill(d.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if status := d.Wait(time.Minute); status != 0 {
		t.Errorf("status %d: %s", status, &d.Out)
	}
}
