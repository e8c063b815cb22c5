//go:build linux

package live_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
	"cacheflow/test/traffic"
)

// configure writes a configuration file of exporters and what else they need.
func configure(t *testing.T, lines ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "c.yaml")
	text := strings.Join(append([]string{"flow-exporter:"}, lines...), "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// exporter returns what the ledger says of one.
func (l *ledger) exporter(t *testing.T, name string) *ledgerExporter {
	t.Helper()
	for i := range l.Exporters {
		if l.Exporters[i].Name == name {
			return &l.Exporters[i]
		}
	}
	t.Fatalf("no exporter %s in %+v", name, l.Exporters)
	return nil
}

// reluctant starts a collector by TCP that reads so many octets a second, until it is told to
// hang up.
func reluctant(t *testing.T, ns *netns.NS, rate int) (address netip.AddrPort, hangUp func()) {
	t.Helper()
	const period = 50 * time.Millisecond
	var listener net.Listener
	var err error
	ns.Run(func() { listener, err = net.Listen("tcp", "127.0.0.1:0") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		context.AfterFunc(ctx, func() { listener.Close(); conn.Close() })
		_ = conn.(*net.TCPConn).SetReadBuffer(16 << 10)
		for b := make([]byte, rate/int(time.Second/period)); err == nil; time.Sleep(period) {
			_, err = conn.Read(b)
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort(), hangUp
}

// One collector is dead, one has no address, one reads by TCP at 1 % of the rate, also
// while the cache is emptied at the end: the fourth has every packet, and the others' accounts
// say what they lack.
func TestCollectorsAreApart(t *testing.T) { atOnce(t, withstands(collectorsApart)) }

func collectorsApart(t *testing.T, m binary.Mode) (lost []string) {
	const packets, flows, rate = 300_000, 150_000, 100_000
	l := newLab(t)
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
	slow, hangUp := reluctant(t, l.meter, rate/100*140) // octets of an IPFIX record, about
	file := configure(t,
		"  - {name: dead, destination: '127.0.0.1:9'}",
		"  - {name: nowhere, destination: 'nosuch.invalid:2055'}",
		fmt.Sprintf("  - {name: slow, destination: '%s', protocol: ipfix, transport: tcp}", slow),
		fmt.Sprintf("  - {name: good, destination: '%s'}", collector.Address))
	d := start(t, m, l.meter, "-i", "in", "--entries", "100000", "--inactive", "10m", "-c", file)
	_, took := generate(t, l, traffic.Spec{Flows: flows, InTurn: true, IPv6: 20, Seed: 21}, packets, rate)
	d.arrived(packets)
	d.closes()
	begun := time.Now()
	time.AfterFunc(10*time.Second, hangUp) // or the end would wait a minute for it
	final := d.stop()
	collector.Stop()
	final.closes(t)
	good := final.exporter(t, "good")
	if lost := losses(&ledger{Interfaces: final.Interfaces, Exporters: []ledgerExporter{*good}}, collector); len(lost) > 0 {
		return lost
	}
	got := collector.Statistics()
	if final.total().Packets != packets || good.Sent != final.Records || got.Packets != packets || got.Records != good.Sent.Count {
		t.Errorf("%d packets metered, %+v sent, the collector has %+v", final.total().Packets, good.Sent, got)
	}
	s := final.exporter(t, "slow")
	if full := term(s.Dropped, "queue full"); full.Count < final.Records.Count/4 {
		t.Errorf("slow has dropped %+v of %+v: it was not slow", s.Dropped, final.Records)
	}
	if n := final.exporter(t, "nowhere"); term(n.Dropped, "no collector").Count+term(n.Dropped, "queue full").Count != final.Records.Count {
		t.Errorf("nowhere: %+v of %+v", n, final.Records)
	}
	t.Logf("%.0f packets/s; of %d records slow got %d; the end took %v", packets/took.Seconds(), final.Records.Count, s.Sent.Count, time.Since(begun))
	return nil
}

// getsFlows waits until `show` says that an exporter of a group gets the flows.
func (d *daemon) getsFlows(name string) {
	d.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		said := d.Show("ip flow export")
		if regexp.MustCompile(`Member\(\d\) +` + name + ` \(\w+, gets flows\)`).MatchString(said) {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s gets no flows: %s", name, said)
		}
	}
}

// The first of two real collectors by UDP is stopped, and starts again: from when it is
// noticed the second one has every flow, and the first one again, when it has been back for
// long enough. What it was asked in between (by NetFlow v5's header alone, or by templates)
// bothers it not. (The name of the test has no word that nfcapd's complaints have.)
func TestReserveCollector(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			inParallel(t, func(t *testing.T, m binary.Mode) { reserveCollector(t, m, protocol) })
		})
	}
}

func reserveCollector(t *testing.T, m binary.Mode, protocol string) {
	l := newLab(t)
	at := judge.NfcapdConfig{Address: netip.MustParseAddrPort("127.0.0.1:2055")}
	first, second := nfcapd(t, l.meter, at), nfcapd(t, l.meter, judge.NfcapdConfig{})
	file := configure(t,
		fmt.Sprintf("  - {name: first, destination: '%s', protocol: %s}", first.Address, protocol),
		fmt.Sprintf("  - {name: second, destination: '%s', protocol: %s}", second.Address, protocol),
		"flow-exporter-group:",
		"  - {name: pair, mode: failover, exporters: [first, second], return: 1s}")
	d := start(t, m, l.meter, "-i", "in", "--active", "1s", "--inactive", "1s", "-c", file)
	metered := uint64(0)
	flow := func(source uint16) {
		datagrams(t, l.sender, source, 500)
		metered += 500
		d.metered(metered)
		d.await("the flow is sent", 10*time.Second, func(l *ledger) bool {
			var out uint64
			for i := range l.Exporters {
				e := &l.Exporters[i]
				out += e.Sent.Count + term(e.Dropped, "connection refused").Count
			}
			return l.Cache.Content.Count == 0 && out == l.Records.Count
		})
	}
	d.getsFlows("first")
	flow(1000)
	first.Stop()
	for range 2 { // the first one is not there to hear of it
		flow(2000)
	}
	d.getsFlows("second")
	flow(3000)
	again := nfcapd(t, l.meter, at)
	d.getsFlows("first")
	flow(4000)
	final := d.stop()
	final.closes(t)
	again.Stop()
	second.Stop()
	for source, at := range map[uint16]*judge.Nfcapd{1000: first, 3000: second, 4000: again} {
		if got := judge.Add(at.Flows(fmt.Sprintf("src port %d", source))); got.Packets != 500 {
			t.Errorf("of flow %d the collector has %+v", source, got)
		}
	}
	for _, n := range []*judge.Nfcapd{first, second, again} {
		if errs := n.Errors(); len(errs) > 0 {
			t.Errorf("the collector complains: %q", errs)
		}
	}
}
