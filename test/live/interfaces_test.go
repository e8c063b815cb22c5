//go:build linux

package live_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
	"cacheflow/test/sender"
)

// An interface goes and comes again, with another index, while another one is
// metered: what each carried is accounted for.
func TestInterfaceComesAgain(t *testing.T) { inParallel(t, interfaceComesAgain) }

func interfaceComesAgain(t *testing.T, m binary.Mode) {
	const again = 3
	l := newLab(t)
	pair := func() *sender.Sender {
		netns.Veth(t, netns.End{NS: l.host, Name: "far"}, netns.End{NS: l.meter, Name: "ppp0"})
		return openSender(t, l.host, "far")
	}
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{})
	far := pair()
	d := start(t, m, l.meter, "-i", "in", "-i", "ppp*", "-e", collector.Address.String())
	datagrams(t, far, 1000, 500)
	datagrams(t, l.sender, 2000, 500)
	for i := range again {
		l.meter.DelLink("ppp0") // what waits in its ring is not lost
		datagrams(t, l.sender, 2000, 500)
		far = pair()
		d.await("ppp0 is captured again", 10*time.Second, func(l *ledger) bool {
			datagrams(t, far, 3000, 1) // until one is seen, under the new index
			return seen(l, "ppp0") == i+2
		})
		datagrams(t, far, 1000, 500)
	}
	final := d.stop()
	final.exact(t)
	collector.Stop()
	delivered(t, collector, final)
	indexes := 0
	for _, i := range final.Interfaces {
		if i.Name == "ppp0" && i.Metered >= 500 {
			indexes++
		}
	}
	if indexes != 1+again {
		t.Errorf("ppp0 came %d times, the ledger has %+v", 1+again, final.Interfaces)
	}
	for _, filter := range []string{"src port 1000", "src port 2000"} {
		if got := judge.Add(collector.Flows(filter)); got.Packets != 500*(1+again) {
			t.Errorf("%s: %+v, want %d packets", filter, got, 500*(1+again))
		}
	}
	if lines := d.warnings(); len(lines) > 0 {
		t.Errorf("on stderr: %q", lines)
	}
}

// seen returns how many interfaces of a name had a frame metered.
func seen(l *ledger, name string) (interfaces int) {
	for _, i := range l.Interfaces {
		if i.Name == name && i.Metered > 0 {
			interfaces++
		}
	}
	return interfaces
}

// Two hundred interfaces by one pattern, in the memory that two workers have for
// their rings.
func TestManyInterfaces(t *testing.T) { binary.InBothModes(t, manyInterfaces) }

func manyInterfaces(t *testing.T, m binary.Mode) {
	const interfaces, each = 200, 20
	host, meter := netns.New(t), netns.New(t)
	for _, ns := range []*netns.NS{host, meter} {
		ns.Sysctl("net/ipv6/conf/default/disable_ipv6", "1")
	}
	links(t, host, interfaces, "link add name p%[1]d type veth peer name d%[1]d netns "+meter.Path)
	links(t, host, interfaces, "link set p%d up")
	links(t, meter, interfaces, "link set d%d up")
	collector := nfcapd(t, meter, judge.NfcapdConfig{})
	d := start(t, m, meter, "-i", "d*", "--workers", "2", "-e", collector.Address.String())
	for i := range interfaces {
		datagrams(t, openSender(t, host, fmt.Sprintf("p%d", i)), uint16(1000+i), each)
	}
	d.metered(interfaces * each)
	if octets := rings(t, d.Pid()); (octets == 0) != (m == binary.EBPF) || octets > 2*64<<20 {
		t.Errorf("%d octets of rings", octets)
	}
	final := d.stop()
	final.exact(t)
	collector.Stop()
	delivered(t, collector, final)
	flows := collector.Flows()
	complete := map[string]bool{}
	for _, f := range flows {
		complete[f["ingressInterface"]] = f.Uint("packetDeltaCount") == each
	}
	for i := range interfaces {
		name := fmt.Sprintf("d%d", i)
		if !complete[fmt.Sprint(meter.Index(name))] {
			t.Errorf("no record of %d packets that came in by %s", each, name)
		}
	}
	if len(flows) != interfaces {
		t.Errorf("%d records of %d flows", len(flows), interfaces)
	}
}

// links has ip do one command for each of n links, whose number it contains.
func links(t *testing.T, ns *netns.NS, n int, command string) {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, command+"\n", i)
	}
	cmd := ns.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// rings returns the octets that a process maps of packet sockets.
func rings(t *testing.T, pid int) (octets uint64) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uint64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err == nil && strings.Contains(lines.Text(), "socket:") {
			octets += to - from
		}
	}
	return octets
}
