//go:build linux

package live_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
)

// nameServer is a server of names in ns, at 127.0.0.1, that has one address of version 4 for
// every name; the zero Addr does not answer.
func nameServer(t *testing.T, ns *netns.NS) (address *atomic.Pointer[netip.Addr]) {
	t.Helper()
	var conn *net.UDPConn
	var err error
	ns.Run(func() { conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	address = new(atomic.Pointer[netip.Addr])
	address.Store(&netip.Addr{})
	go func() {
		for b := make([]byte, 512); ; {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if out, ok := answer(b[:n], *address.Load()); ok {
				_, _ = conn.WriteToUDPAddrPort(out, from)
			}
		}
	}()
	return address
}

func answer(question []byte, address netip.Addr) ([]byte, bool) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || !address.IsValid() {
		return nil, false
	}
	m.Response, m.Additionals = true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: address.As4()}}}
	}
	out, err := m.Pack()
	return out, err == nil
}

// The collector's name gets another address while the daemon runs: what leaves the cache from
// then on is at the new one. While the server of names is silent, at the start and later,
// metering goes on, and so does exporting to where the collector was last.
func TestCollectorMoves(t *testing.T) { inParallel(t, collectorMoves) }

func collectorMoves(t *testing.T, m binary.Mode) {
	l := newLab(t)
	address := nameServer(t, l.meter)
	old := nfcapd(t, l.meter, judge.NfcapdConfig{Address: netip.MustParseAddrPort("127.0.0.1:2055")})
	fresh := nfcapd(t, l.meter, judge.NfcapdConfig{Address: netip.MustParseAddrPort("127.0.0.2:2055")})
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	command := func(name string, args ...string) *exec.Cmd {
		script := `mount --bind "$0" /etc/resolv.conf && exec "$@"`
		return l.meter.Command("unshare", append([]string{"--mount", "sh", "-c", script, resolv, name}, args...)...)
	}
	file := configure(t, "  - {name: moves, destination: 'flows.example.:2055', resolve-again: 1s}")
	d := &daemon{binary.Run(t, m, command, "-i", "in", "--active", "1s", "--inactive", "1s", "-c", file), t, m}
	metered := uint64(0)
	flow := func(source uint16) {
		datagrams(t, l.sender, source, 500)
		metered += 500
		d.metered(metered)
	}
	sent := func() {
		d.await("all is sent", 20*time.Second, func(l *ledger) bool { return l.Cache.Content.Count == 0 && l.Exporters[0].Sent == l.Records })
	}
	flow(1000)
	was, is := old.Address.Addr(), fresh.Address.Addr()
	address.Store(&was)
	sent()
	address.Store(&netip.Addr{})
	time.Sleep(2 * time.Second)
	flow(2000)
	sent()
	address.Store(&is)
	d.exportsTo("127.0.0.2 (2055)")
	flow(3000)
	sent()
	d.stop().exact(t)
	old.Stop()
	fresh.Stop()
	for source, at := range map[uint16]*judge.Nfcapd{1000: old, 2000: old, 3000: fresh} {
		if got := judge.Add(at.Flows(fmt.Sprintf("src port %d", source))); got.Packets != 500 {
			t.Errorf("of flow %d the collector has %+v", source, got)
		}
	}
	if s := fresh.Statistics(); s.SequenceFailures != 0 || len(fresh.Errors()) > 0 {
		t.Errorf("the new collector complains: %+v, %q", s, fresh.Errors())
	}
}

// exportsTo waits until `show` names a destination.
func (d *daemon) exportsTo(destination string) {
	d.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(d.Show("ip flow export"), destination); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatal(d.Show("ip flow export"))
		}
	}
}
