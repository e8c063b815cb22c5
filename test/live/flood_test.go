//go:build linux

package live_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/traffic"

	"github.com/google/gopacket/layers"
)

// A flood of one-packet flows from random sources: memory stays as it is, a
// flow of 1 Mb/s beside it is exact, and what the collector could not be sent is
// declared.
func TestFlood(t *testing.T) { binary.InBothModes(t, withstands(flood)) }

func flood(t *testing.T, m binary.Mode) (lost []string) {
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
	d := start(t, m, l.meter, "-i", "in", "-c", slowExport(t, collector))
	beside := besideFlow(t, l, last)
	warm, begun := 0, time.Now()
	for time.Since(begun) < last {
		send(t, l.sender, g.Next, rate/4, rate)
		if warm == 0 && time.Since(begun) > last/3 {
			warm = d.memory("VmRSS")
		}
	}
	packets := <-beside
	took, end := time.Since(begun), d.memory("VmRSS")
	flooded := g.Truth().Total().Packets
	d.arrived(flooded + packets)
	final := d.stop()
	final.closes(t)
	collector.Stop()
	if lost := outside(final, collector); len(lost) > 0 {
		return lost
	}
	delivered(t, collector, final)
	dropped := final.Exporters[0].Dropped
	if queue := term(dropped, "queue full"); queue.Count == 0 || len(dropped) != 1 {
		t.Errorf("dropped %+v: the queue must have been full, and nothing else", dropped)
	}
	if end > warm+1024 {
		t.Errorf("memory grew from %d to %d KiB", warm, end)
	}
	got := judge.Add(collector.Flows("src ip 192.0.2.1"))
	if got.Packets != packets || got.Octets != 1250*packets {
		t.Errorf("the flow beside has %+v, sent %d packets", got, packets)
	}
	t.Logf("%.0f packets/s for %v; memory %d KiB, then %d; dropped %+v of %+v; beside %+v",
		float64(flooded)/took.Seconds(), took, warm, end, dropped, final.Records, got)
	return nil
}

// slowExport is a configuration for which a flood is too much.
func slowExport(t *testing.T, collector *judge.Nfcapd) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "slow.yaml")
	text := fmt.Sprintf("flow-exporter:\n- destination: %s\n  export-rate: 4000\n", collector.Address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// besideFlow sends a flow of 1 Mb/s for a time, and then says how many packets
// these were.
func besideFlow(t *testing.T, l *lab, last time.Duration) <-chan uint64 {
	t.Helper()
	const rate = 100 // of 1250 octets each
	p := packet{src: port("192.0.2.1", 1000), dst: port("192.0.2.2", 2000), protocol: layers.IPProtocolUDP, payload: make([]byte, 1250-20-8)}
	s := openSender(t, l.host, "out")
	sent := make(chan uint64, 1)
	go func() {
		n := int(last.Seconds() * rate)
		if err := s.Send(inTurn([][]byte{p.frame()}), n, rate); err != nil {
			t.Errorf("the flow beside: %v", err)
		}
		sent <- uint64(n)
	}()
	return sent
}
