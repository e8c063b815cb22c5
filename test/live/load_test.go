//go:build linux

package live_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
	"cacheflow/test/traffic"

	"github.com/google/gopacket/layers"
)

// withstands is a test that has a load run until it went through without a loss,
// three times at most: whoever shares the machine may starve the ring's reader, the
// exporter or the collector. The load returns the losses that are declared; one that
// is not fails the test at once.
func withstands(load func(t *testing.T, m binary.Mode) (lost []string)) func(*testing.T, binary.Mode) {
	return func(t *testing.T, m binary.Mode) {
		var lost []string
		for try := range 3 {
			if lost = load(t, m); len(lost) == 0 {
				return
			}
			t.Logf("try %d: %q", try+1, lost)
		}
		t.Errorf("%q", lost)
	}
}

// losses are what the ledger and the collector declare as lost.
func losses(l *ledger, n *judge.Nfcapd) (lines []string) {
	for _, d := range l.Exporters[0].Dropped {
		lines = append(lines, fmt.Sprintf("dropped %+v", d))
	}
	return append(lines, outside(l, n)...)
}

// outside are the losses that are not the exporter's: in the rings, which are
// read too seldom, and in the collector's socket buffer.
func outside(l *ledger, n *judge.Nfcapd) (lines []string) {
	if n := l.total().Lost; n > 0 {
		lines = append(lines, fmt.Sprintf("%d frames lost in the rings", n))
	}
	if got, sent := n.Statistics(), l.Exporters[0].Sent; got.SequenceFailures > 0 && got.Packets < sent.Packets {
		lines = append(lines, fmt.Sprintf("the collector lacks %d packets", sent.Packets-got.Packets))
	}
	return lines
}

// Two million packets at the sender's full speed: the collector has every one of
// them, by each protocol, and the ledger closes without a loss.
func TestFullSpeed(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			binary.InBothModes(t, withstands(func(t *testing.T, m binary.Mode) []string { return fullSpeed(t, m, protocol) }))
		})
	}
}

func fullSpeed(t *testing.T, m binary.Mode, protocol string) (lost []string) {
	const packets = 2_000_000
	l := newLab(t)
	spec := traffic.Spec{Flows: 20_000, Zipf: 1.1, Lifelike: true, IPv6: 20, Seed: 3}
	if protocol == "netflow5" {
		spec.IPv6 = 0 // it cannot carry them
	}
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
	d := start(t, m, l.meter, "-i", "in", "-e", collector.Address.String(), "--protocol", protocol)
	want, took := generate(t, l, spec, packets, 0)
	d.arrived(packets)
	d.closes()
	final := d.stop()
	collector.Stop()
	final.closes(t)
	if lost := losses(final, collector); len(lost) > 0 {
		return lost
	}
	final.exact(t)
	delivered(t, collector, final)
	if got := final.total(); got.Packets != want.Packets || got.Octets != want.Octets {
		t.Errorf("metered %+v, generated %+v", got, want)
	}
	t.Logf("%.0f packets/s; %d records of %d packets", packets/took.Seconds(), final.Records.Count, final.Records.Packets)
	return nil
}

// generate sends generated frames and returns what they were, and in what time.
func generate(t *testing.T, l *lab, spec traffic.Spec, packets, rate int) (traffic.Sum, time.Duration) {
	t.Helper()
	g, err := traffic.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	send(t, l.sender, g.Next, packets, rate)
	return g.Truth().Total(), time.Since(begun)
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
// observation pushes a flow out, and still the collector has them all.
func TestSmallCache(t *testing.T) { binary.InBothModes(t, withstands(smallCache)) }

func smallCache(t *testing.T, m binary.Mode) (lost []string) {
	const packets, rate = 1_000_000, 200_000
	l := newLab(t)
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
	d := start(t, m, l.meter, "-i", "in", "--entries", "1024", "-e", collector.Address.String(), "--protocol", "ipfix")
	_, took := generate(t, l, traffic.Spec{Flows: 50_000, IPv6: 20, Lifelike: true, Seed: 4}, packets, rate)
	d.arrived(packets)
	final := d.stop()
	collector.Stop()
	final.closes(t)
	if lost := losses(final, collector); len(lost) > 0 {
		return lost
	}
	final.exact(t)
	delivered(t, collector, final)
	if full := term(final.Cache.Ended, "lack of resources"); full.Count < final.total().Observations/2 {
		t.Errorf("%d records for lack of resources: the cache was not full", full.Count)
	}
	t.Logf("%.0f packets/s; %+v", packets/took.Seconds(), final.Cache.Ended)
	return nil
}

// endReasons are those of flowEndReason, IANA information element 136.
var endReasons = map[string]string{
	"1": "idle timeout", "2": "active timeout", "3": "end of flow detected", "4": "forced end", "5": "lack of resources",
}

// Each record says why its flow left: by reason, what goflow2 decodes is what the
// cache says, and every reason occurs.
func TestEndReasons(t *testing.T) { binary.InBothModes(t, everyEndReason) }

func everyEndReason(t *testing.T, m binary.Mode) {
	l := newLab(t)
	var recorder *judge.Recorder
	l.meter.Run(func() { recorder = judge.StartRecorder(t, netip.AddrPort{}) })
	d := start(t, m, l.meter, "-i", "in", "--entries", "1024", "--workers", "2", "--active", "2s", "--inactive", "1s",
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

// A daemon that is stopped with a million flows in its cache delivers them all.
func TestMillionAtTheEnd(t *testing.T) { binary.InBothModes(t, withstands(million)) }

func million(t *testing.T, m binary.Mode) (lost []string) {
	const flows = 1_000_000
	l := newLab(t)
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{})
	d := start(t, m, l.meter, "-i", "in", "--entries", "1100000", "--inactive", "10m", "-e", collector.Address.String())
	want, _ := generate(t, l, traffic.Spec{Flows: flows, InTurn: true, IPv6: 20, Seed: 8}, flows, 0)
	d.arrived(flows)
	begun := time.Now()
	final := d.stop()
	took := time.Since(begun)
	collector.Stop()
	final.closes(t)
	if lost := losses(final, collector); len(lost) > 0 {
		return lost
	}
	final.exact(t)
	delivered(t, collector, final)
	if forced := term(final.Cache.Ended, "forced end"); (forced != ledgerSum{want.Flows, want.Packets, want.Octets}) {
		t.Errorf("forced end of %+v, sent %+v", forced, want)
	}
	if took > 60*time.Second {
		t.Errorf("it took %v", took)
	}
	t.Logf("%d flows sent within %v of SIGTERM", final.Records.Count, took)
	return nil
}

// A single ping is in the collector's file within the inactive timeout and three
// seconds.
func TestPing(t *testing.T) { inParallel(t, onePing) }

func onePing(t *testing.T, m binary.Mode) {
	host, meter := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: host, Name: "out", Addrs: []string{"10.9.0.1/24"}}, netns.End{NS: meter, Name: "in", Addrs: []string{"10.9.0.2/24"}})
	collector := nfcapd(t, meter, judge.NfcapdConfig{})
	d := start(t, m, meter, "-i", "in", "--inactive", "2s", "-e", collector.Address.String())
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
