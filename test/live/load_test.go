//go:build linux

package live_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/test/judge"
	"cacheflow/test/netns"
	"cacheflow/test/traffic"

	"github.com/google/gopacket/layers"
)

// Two million packets at the sender's full speed: the collector has every one of
// them, by each protocol, and the ledger closes without a loss.
func TestFullSpeed(t *testing.T) {
	const packets = 2_000_000
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			l := newLab(t)
			spec := traffic.Spec{Flows: 20_000, Zipf: 1.1, Lifelike: true, IPv6: 20, Seed: 3}
			if protocol == "netflow5" {
				spec.IPv6 = 0 // it cannot carry them
			}
			g, err := traffic.New(spec)
			if err != nil {
				t.Fatal(err)
			}
			collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
			d := start(t, l.meter, "-i", "in", "-e", collector.Address.String(), "--protocol", protocol)
			begun := time.Now()
			send(t, l.sender, g.Next, packets, 0)
			took := time.Since(begun)
			d.metered(packets).closes(t)
			final := d.stop()
			final.exact(t)
			collector.Stop()
			delivered(t, collector, final)
			if got, want := total(final), g.Truth().Total(); got.Packets != want.Packets || got.Octets != want.Octets || want.Packets != packets {
				t.Errorf("metered %+v, sent %+v", got, want)
			}
			t.Logf("%.0f packets/s; %d records, all %d packets at the collector", packets/took.Seconds(), final.Records.Count, final.Records.Packets)
		})
	}
}

// total is what the interfaces of a ledger metered.
func total(l *ledger) ledgerSum {
	i := l.total()
	return ledgerSum{i.Metered, i.Packets, i.Octets}
}

// delivered sees that a collector that has been stopped holds what the exporter
// says that it sent, and saw no error.
func delivered(t testing.TB, n *judge.Nfcapd, l *ledger) {
	t.Helper()
	got := n.Statistics()
	want := l.Exporters[0].Sent
	if got.Records != want.Count || got.Packets != want.Packets || got.Octets != want.Octets || got.SequenceFailures != 0 {
		t.Errorf("the collector has %+v, the exporter sent %+v", got, want)
	}
	if errs := n.Errors(); len(errs) > 0 {
		t.Errorf("the collector complains: %q", errs)
	}
}

// A cache of 1024 entries under 50 000 flows at 200 000 packets/s: nearly every
// packet pushes a flow out, and still the collector has them all.
func TestSmallCache(t *testing.T) {
	const packets, rate = 1_000_000, 200_000
	l := newLab(t)
	g, err := traffic.New(traffic.Spec{Flows: 50_000, IPv6: 20, Lifelike: true, Seed: 4})
	if err != nil {
		t.Fatal(err)
	}
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
	d := start(t, l.meter, "-i", "in", "--entries", "1024", "-e", collector.Address.String(), "--protocol", "ipfix")
	begun := time.Now()
	send(t, l.sender, g.Next, packets, rate)
	took := time.Since(begun)
	d.metered(packets)
	final := d.stop()
	final.exact(t)
	collector.Stop()
	delivered(t, collector, final)
	if full := term(final.Cache.Ended, "lack of resources"); full.Count < packets/2 {
		t.Errorf("%d records for lack of resources: the cache was not full", full.Count)
	}
	t.Logf("%.0f packets/s; %+v", packets/took.Seconds(), final.Cache.Ended)
}

// endReasons are those of flowEndReason, IANA information element 136.
var endReasons = map[string]string{
	"1": "idle timeout", "2": "active timeout", "3": "end of flow detected", "4": "forced end", "5": "lack of resources",
}

// Each record says why its flow left: by reason, what goflow2 decodes is what the
// cache says, and every reason occurs.
func TestEndReasons(t *testing.T) {
	l := newLab(t)
	var recorder *judge.Recorder
	l.meter.Run(func() { recorder = judge.StartRecorder(t, netip.AddrPort{}) })
	d := start(t, l.meter, "-i", "in", "--entries", "1024", "--workers", "2", "--active", "2s", "--inactive", "1s",
		"-e", recorder.Address.String(), "--protocol", "ipfix")
	many, err := traffic.New(traffic.Spec{Flows: 50_000, IPv6: 20, Lifelike: true, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	few, err := traffic.New(traffic.Spec{Flows: 100, Lifelike: true, Seed: 6})
	if err != nil {
		t.Fatal(err)
	}
	lasting := packet{src: port("192.0.2.1", 1), dst: port("192.0.2.2", 2), protocol: layers.IPProtocolUDP}
	send(t, l.sender, many.Next, 100_000, 200_000)
	send(t, l.sender, few.Next, 500, 500)
	send(t, l.sender, inTurn([][]byte{lasting.frame()}), 30, 10)
	d.metered(100_530)
	final := d.stop()
	final.exact(t)
	recorder.Settle(100 * time.Millisecond)
	flows, err := judge.Goflow2(recorder.Datagrams())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]ledgerSum{}
	for _, f := range flows {
		if f["packetDeltaCount"] == "" {
			continue // an options record
		}
		s := got[endReasons[f["flowEndReason"]]]
		s.Count++
		s.Packets += f.Uint("packetDeltaCount")
		s.Octets += f.Uint("octetDeltaCount")
		got[endReasons[f["flowEndReason"]]] = s
	}
	for _, reason := range endReasons {
		if want := term(final.Cache.Ended, reason); got[reason] != want || want.Count == 0 {
			t.Errorf("%s: the records have %+v, the cache says %+v", reason, got[reason], want)
		}
	}
	if got[""].Count > 0 {
		t.Errorf("records without a reason: %+v", got[""])
	}
}

// A flood of one-packet flows from random sources: memory stays as it is, a
// flow of 1 Mb/s beside it is exact, and what the collector could not be sent is
// declared.
func TestFlood(t *testing.T) {
	const rate = 200_000
	last := 6 * time.Second
	if long {
		last = 60 * time.Second
	}
	l := newLab(t)
	g, err := traffic.New(traffic.Spec{Flows: traffic.MaxFlows, Size: 60, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
	file := filepath.Join(t.TempDir(), "slow.yaml")
	slow := fmt.Sprintf("flow-exporter:\n- destination: %s\n  export-rate: 4000\n", collector.Address)
	if err := os.WriteFile(file, []byte(slow), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, l.meter, "-i", "in", "-c", file)

	beside := packet{src: port("192.0.2.1", 1000), dst: port("192.0.2.2", 2000), protocol: layers.IPProtocolUDP, payload: make([]byte, 1222)}
	second := openSender(t, l.host, "out")
	const besideRate = 100 // of 1250 octets each, makes 1 Mb/s
	besidePackets := int(last.Seconds() * besideRate)
	sent := make(chan error)
	go func() { sent <- second.Send(inTurn([][]byte{beside.frame()}), besidePackets, besideRate) }()
	warm, begun := 0, time.Now()
	for time.Since(begun) < last {
		send(t, l.sender, g.Next, rate/4, rate)
		if warm == 0 && time.Since(begun) > last/3 {
			warm = d.memory("VmRSS")
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	took, end := time.Since(begun), d.memory("VmRSS")
	want := g.Truth().Total()
	d.await("all frames metered or lost", 30*time.Second, func(n *ledger) bool {
		i := n.total()
		return i.Observed >= want.Packets+uint64(besidePackets) && i.InRing == 0
	})
	final := d.stop()
	final.closes(t)
	collector.Stop()
	delivered(t, collector, final)
	if lost := final.total().Lost; lost > 0 {
		t.Errorf("%d frames lost", lost)
	}
	if dropped := term(final.Exporters[0].Dropped, "queue full"); dropped.Count == 0 {
		t.Error("the collector got everything: the flood was none")
	}
	if end > warm+1024 {
		t.Errorf("memory grew from %d to %d KiB", warm, end)
	}
	var got ledgerSum
	for _, f := range collector.Flows("src ip 192.0.2.1") {
		got.Count++
		got.Packets += f.Uint("packetDeltaCount")
		got.Octets += f.Uint("octetDeltaCount")
	}
	if got.Packets != uint64(besidePackets) || got.Octets != 1250*uint64(besidePackets) {
		t.Errorf("the flow beside has %+v, sent %d packets", got, besidePackets)
	}
	t.Logf("%.0f packets/s for %v; %d of %d KiB; %+v of %+v; beside %+v", float64(want.Packets)/took.Seconds(), took, end, warm,
		final.Exporters[0].Dropped, final.Records, got)
}

// A daemon that is stopped with a million flows in its cache delivers them all.
func TestMillionAtTheEnd(t *testing.T) {
	const flows = 1_000_000
	l := newLab(t)
	g, err := traffic.New(traffic.Spec{Flows: flows, InTurn: true, IPv6: 20, Seed: 8})
	if err != nil {
		t.Fatal(err)
	}
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
	d := start(t, l.meter, "-i", "in", "--entries", "1100000", "--inactive", "10m", "-e", collector.Address.String())
	send(t, l.sender, g.Next, flows, 0)
	d.metered(flows)
	begun := time.Now()
	final := d.stop()
	took := time.Since(begun)
	final.exact(t)
	collector.Stop()
	delivered(t, collector, final)
	if forced := term(final.Cache.Ended, "forced end"); forced.Count != g.Truth().Total().Flows || forced.Packets != flows {
		t.Errorf("forced end of %+v, sent %+v", forced, g.Truth().Total())
	}
	if took > 60*time.Second {
		t.Errorf("it took %v", took)
	}
	t.Logf("%d flows at the collector in %v", final.Records.Count, took)
}

// A single ping is in the collector's file within the inactive timeout and three
// seconds.
func TestPing(t *testing.T) {
	t.Parallel()
	host, meter := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: host, Name: "out", Addrs: []string{"10.9.0.1/24"}}, netns.End{NS: meter, Name: "in", Addrs: []string{"10.9.0.2/24"}})
	collector := nfcapd(t, meter, judge.NfcapdConfig{})
	d := start(t, meter, "-i", "in", "--inactive", "2s", "-e", collector.Address.String())
	host.MustRun("ping", "-c", "1", "10.9.0.2")
	time.Sleep(2*time.Second + 3*time.Second)
	collector.Stop() // its file ends here, while the daemon runs
	for _, way := range []string{"src ip 10.9.0.1 and icmp-type 8", "src ip 10.9.0.2 and icmp-type 0"} {
		flows := collector.Flows("proto icmp and " + way)
		if s := judge.Add(flows); s != (judge.Sum{Records: 1, Packets: 1, Octets: 84}) {
			t.Errorf("%s: %v", way, flows)
		}
	}
	d.stop().closes(t)
}
