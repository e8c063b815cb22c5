//go:build linux

package live_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/process"
)

// The collector is told in band what was lost on the way to it: as tshark reads them, the
// reliability statistics are the figures of the ledger, at a quiet instant under way and
// after the end.
func TestReliabilityInBand(t *testing.T) { inParallel(t, reliabilityInBand) }

func reliabilityInBand(t *testing.T, m binary.Mode) {
	l := newLab(t)
	var r *judge.Recorder
	l.meter.Run(func() { r = judge.StartRecorder(t, netip.AddrPort{}) })
	file := filepath.Join(t.TempDir(), "cacheflow.yaml")
	config := fmt.Sprintf("flow-monitor: {cache: {timeout: {active: 1s}}}\n"+
		"flow-exporter: [{destination: '%s', protocol: ipfix, option: {reliability: 1s}}]\n", r.Address)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	d := start(t, m, l.meter, "-c", file, "-i", "in")
	datagrams(t, l.sender, 1000, 100)
	d.metered(100)

	// What arrives now cannot be read, and what is exported now may not leave.
	l.meter.MustRun("nft", "add table ip t; add chain ip t out { type filter hook output priority 0; }; "+
		"add rule ip t out udp dport "+strconv.Itoa(int(r.Address.Port()))+" drop")
	undecodable := packet{src: port("10.0.0.1", 1), dst: port("192.0.2.2", 9), protocol: 17}.frame()
	undecodable[14] = 0x41 // IHL 1
	send(t, l.sender, inTurn([][]byte{undecodable}), 7, 1000)
	datagrams(t, l.sender, 2000, 100)
	d.metered(200)
	d.await("a record is dropped", 10*time.Second, func(l *ledger) bool { return term(l.Exporters[0].Dropped, "not permitted").Packets >= 100 })
	l.meter.MustRun("nft", "flush ruleset")
	quiet := d.closes()
	time.Sleep(2500 * time.Millisecond)
	if again := d.closes(); again.notMetered() != quiet.notMetered() || again.notSent() != quiet.notSent() {
		t.Fatalf("it was no quiet instant: %+v, then %+v", quiet, again)
	}
	quiet.isTold(t, "under way", r)

	datagrams(t, l.sender, 3000, 100)
	d.metered(300)
	final := d.stop()
	final.closes(t)
	r.Stop()
	final.isTold(t, "at the end", r)
}

func (l *ledger) notMetered() (n uint64) {
	i := l.total()
	n = i.Lost
	for _, f := range i.Undecodable {
		n += f.Frames
	}
	return n
}

func (l *ledger) notSent() (s ledgerSum) {
	for _, d := range l.Exporters[0].Dropped {
		s.Count += d.Count
		s.Packets += d.Packets
		s.Octets += d.Octets
	}
	return s
}

// isTold sees that the last reliability statistics that r has are those of the ledger.
func (l *ledger) isTold(t *testing.T, when string, r *judge.Recorder) {
	t.Helper()
	last := func(field string) string {
		out := process.Run(t, exec.Command("tshark", "-r", r.WritePcap(), "-d", "udp.port==2055,cflow", "-Y", field, "-T", "fields", "-e", field))
		lines := strings.Fields(string(out))
		if len(lines) == 0 {
			t.Fatalf("%s: tshark reads no %s", when, field)
		}
		return lines[len(lines)-1]
	}
	n := l.notSent()
	want := fmt.Sprintf("ignored packets %d, not sent %d records %d packets %d octets", l.notMetered(), n.Count, n.Packets, n.Octets)
	got := fmt.Sprintf("ignored packets %s, not sent %s records %s packets %s octets", last("cflow.ignore_packets"),
		last("cflow.notsent_flows"), last("cflow.notsent_packets"), last("cflow.notsent_octets"))
	t.Logf("%s: in band %s; in the ledger %s", when, got, want)
	if got != want || l.notMetered() != 7 || n.Packets == 0 {
		t.Errorf("%s: the collector is told %s; the ledger has %s", when, got, want)
	}
}
