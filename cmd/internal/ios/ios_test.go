package ios

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/control"

	"github.com/google/go-cmp/cmp"
)

// golden compares what render writes with a file, octet for octet.
func golden(t *testing.T, name string, render func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := render(&b); err != nil {
		t.Fatal(err)
	}
	path := "testdata/" + name + ".golden"
	if os.Getenv("UPDATE_GOLDEN") == name {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Error(d)
	}
}

// v4 returns a flow; nameless interfaces are Null or Local by status.
func v4(in, src, out, dst string, protocol uint8, sport, dport uint16, packets uint64) control.Flow {
	f := control.Flow{
		IngressInterface: 1, IngressInterfaceName: in, EgressInterface: 2, EgressInterfaceName: out,
		SourceIPv4Address: netip.MustParseAddr(src), DestinationIPv4Address: netip.MustParseAddr(dst),
		ProtocolIdentifier: protocol, SourceTransportPort: sport, DestinationTransportPort: dport,
		PacketDeltaCount: packets, OctetDeltaCount: 100 * packets, ForwardingStatus: flow.Forwarded,
	}
	switch out {
	case "Local":
		f.ForwardingStatus, f.EgressInterface, f.EgressInterfaceName = flow.TerminatedHere, 0, ""
	case "Null":
		f.ForwardingStatus, f.EgressInterface, f.EgressInterfaceName = flow.Unroutable, 0, ""
	}
	return f
}

// sampleRouter returns the state that the router of the sample output must have
// been in: counters whose truncated figures are those that it printed.
func sampleRouter() *control.Cache {
	s := cache.Stats{Entries: 4096, Active: 181, Polls: 27986}
	f := &s.Families[0]
	f.Active, f.Added = 181, 899
	const packets = 198733
	f.Sizes = distribution(packets, []uint64{
		0, 6, 79, 11, 6, 6, 10, 7, 4, 6, 5, 6, 5, 7, 4,
		4, 4, 101, 61, 661, 0, 0, 0, 0, 0, 0,
	})
	row := func(c cache.Class, flows, packets, octets, activeMs, idleMs uint64) {
		f.Ended[c] = cache.ClassStats{Sum: cache.Sum{Flows: flows, Packets: packets, Octets: octets}, ActiveMs: activeMs, IdleMs: idleMs}
	}
	row(cache.TCPWWW, 184, 12800, 12800*1214+6400, 184*2950, 184*7750)
	row(cache.TCPOther, 50, 180, 180*125+90, 50*650, 50*9850)
	row(cache.UDPOther, 422, 55500, 55500*1073+27750, 422*14750, 422*15450)
	row(cache.ICMP, 62, 200, 200*83+100, 62*15650, 62*15450)
	c := &control.Cache{Flows: control.Flows([]control.Flow{
		v4("FastEthernet0/0/0", "14.107.17.191", "GigabitEthernet0/1", "192.168.1.254", 0x11, 0x405a, 0x2868, 1),
		v4("FastEthernet0/0/0", "192.168.1.216", "Null", "192.168.1.255", 0x11, 0x0715, 0x0089, 1),
		v4("FastEthernet0/0/0", "117.63.26.75", "Local", "192.168.1.254", 1, 0, 0x0303, 1),
		v4("FastEthernet0/0/0", "115.238.255.189", "GigabitEthernet0/1", "192.168.1.254", 6, 0x50, 0x0ac3, 7435),
	})}
	c.SetTable(&s, 5850*time.Second)
	c.ActiveTimeoutMilliseconds, c.InactiveTimeoutMilliseconds = 1_800_000, 15_000
	return c
}

// distribution returns counts that add up to total and have these truncated
// thousandths.
func distribution(total uint64, thousandths []uint64) (counts [len(cache.SizeLimits)]uint64) {
	left, used := total, uint64(0)
	for i, th := range thousandths {
		counts[i] = (th*total + 999) / 1000
		left -= counts[i]
		if th > 0 {
			used++
		}
	}
	for i, th := range thousandths {
		if th > 0 {
			counts[i] += left / used
		}
	}
	for i := range counts { // what the division leaves
		if thousandths[i] > 0 {
			counts[i] += left % used
			break
		}
	}
	return counts
}

func TestCacheFlowOfARouter(t *testing.T) {
	golden(t, "cacheflow", func(w io.Writer) error { return cacheFlow(w, sampleRouter(), subFlows{145, 496}) })
}

func TestExportOfARouter(t *testing.T) {
	golden(t, "export", func(w io.Writer) error {
		return FlowExport(w, &control.Export{Exporters: []control.Exporter{{
			Name: "nfcapd", Protocol: "netflow9", Version: 9, Destination: "172.16.29.17:9999",
			Source: "192.168.1.254", SourceInterface: "FastEthernet0/0/0", Records: 46, Datagrams: 22}}})
	})
}

func TestTopTalkersOfARouter(t *testing.T) {
	talker := func(port uint16, octets uint64) control.Flow {
		f := v4("GigabitEthernet0/1", "172.16.29.17", "Local", "172.16.29.16", 17, port, 161, 1)
		f.OctetDeltaCount = octets
		return f
	}
	golden(t, "toptalkers", func(w io.Writer) error {
		c := &control.Cache{Flows: control.Flows([]control.Flow{talker(0xe414, 74), talker(0xce0d, 73)})}
		c.Matched = 2
		return TopTalkers(w, c, 10, control.ByBytes)
	})
}

// linux returns the state of a busy Linux gateway, with everything that a
// router's sample does not show.
func linux() *control.Cache {
	s := cache.Stats{Entries: 65536, Active: 6, Polls: 4_000_000_000, Cleared: flow.Time(time.Hour)}
	for i := range s.Families {
		f := &s.Families[i]
		f.Active, f.Added = 5-4*i, 1_000_005
		f.Sizes[len(f.Sizes)-1] = 20_000_000 // all in one bucket
		f.Ended[cache.TCPWWW] = cache.ClassStats{Sum: cache.Sum{Flows: 999_999, Packets: 1e9, Octets: 1.5e12}, ActiveMs: 1e10, IdleMs: 1e9}
		f.Ended[cache.IPv6inIP] = cache.ClassStats{Sum: cache.Sum{Flows: 1, Packets: 1, Octets: 60}, IdleMs: 999}
	}
	egress := v4("", "198.51.100.1", "Serial0/0:0.101", "203.0.113.200", 47, 0, 0, 1_234_567)
	egress.FlowDirection, egress.IngressInterface = flow.Egress, 0
	long := v4("averylonglinuxname", "198.51.100.1", "alsoaverylongone", "203.0.113.200", 255, 65535, 443, 99_999)
	long.FlowDirection, long.IPClassOfService, long.TCPControlBits = flow.Egress, 0xb8, 0x11b
	long.FlowStartMilliseconds, long.FlowEndMilliseconds = 1_000, 1_801_990
	src, dst := uint8(24), uint8(32)
	long.SourceIPv4PrefixLength, long.DestinationIPv4PrefixLength = &src, &dst
	long.IPNextHopIPv4Address = netip.MustParseAddr("203.0.113.254")
	gone := v4("eth0", "10.0.0.1", "", "10.0.0.2", 6, 1, 2, 100_000)
	unknown := v4("ppp0", "10.0.0.1", "Null", "10.0.0.2", 6, 1, 2, 99_999_999_999)
	unknown.ForwardingStatus = flow.StatusUnknown
	v6 := control.Flow{IngressInterface: 1, IngressInterfaceName: "wg0", SourceIPv6Address: netip.MustParseAddr("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
		DestinationIPv6Address: netip.MustParseAddr("fe80::1"), ProtocolIdentifier: 58, DestinationTransportPort: 0x8000,
		PacketDeltaCount: 3, ForwardingStatus: flow.TerminatedHere}
	c := &control.Cache{Flows: control.Flows([]control.Flow{egress, long, v6, gone, unknown})}
	c.SetTable(&s, 3*time.Hour+6*time.Minute+13*time.Second)
	c.ActiveTimeoutMilliseconds, c.InactiveTimeoutMilliseconds = 90_000, 1500
	c.Matched = 5
	return c
}

func TestLinux(t *testing.T) {
	golden(t, "linux", func(w io.Writer) error { return CacheFlow(w, linux()) })
	golden(t, "verbose", func(w io.Writer) error { return VerboseFlow(w, linux()) })
	golden(t, "ipv6", func(w io.Writer) error { return CacheFlow6(w, linux()) })
	golden(t, "toppackets", func(w io.Writer) error { return TopTalkers(w, linux(), 3, control.ByPackets) })
}

func TestExports(t *testing.T) {
	golden(t, "exportdisabled", func(w io.Writer) error { return FlowExport(w, &control.Export{}) })
	golden(t, "exportgroup", func(w io.Writer) error {
		return FlowExport(w, &control.Export{
			Exporters: []control.Exporter{{Version: 9, Destination: "192.0.2.1:2055"}, {Version: 9, Destination: "192.0.2.2:2055"}},
			Groups: []control.Group{{Name: "analysers", Mode: "failover", Members: []control.Member{
				{Exporter: "first", Gets: false, Up: false}, {Exporter: "second", Up: true, Gets: true}}}},
		})
	})
	golden(t, "exports", func(w io.Writer) error {
		drops := []control.Drop{{Reason: control.DropQueueFull, Records: 7}, {Reason: control.DropTooLong, Records: 30, Datagrams: 1}}
		return FlowExport(w, &control.Export{Exporters: []control.Exporter{
			{Version: 5, Destination: "192.0.2.1:2055", Source: "192.0.2.254", Records: 30, Datagrams: 1,
				Dropped: append(drops, control.Drop{Reason: "not IPv4", Records: 12})},
			{Version: 10, Destination: "[2001:db8::1]:4739", Records: 1, Datagrams: 1},
			{Version: 5, Destination: "192.0.2.2:2055", Source: "192.0.2.254", Records: 10, Datagrams: 1,
				Dropped: append(drops, control.Drop{Reason: control.DropUnreachable, Records: 3, Datagrams: 2},
					control.Drop{Reason: "connection refused", Records: 3, Datagrams: 3}, control.Drop{Reason: "operation not permitted", Records: 9, Datagrams: 4})},
		}})
	})
}

// TestIdentitiesOfARouter checks on the sample what must hold for any output.
func TestIdentitiesOfARouter(t *testing.T) {
	c := sampleRouter()
	var flows uint64
	for _, class := range c.IPv4.Ended {
		flows += class.Flows
	}
	if c.IPv4.Added != flows+uint64(c.IPv4.Active) {
		t.Errorf("%d added, %d expired, %d active", c.IPv4.Added, flows, c.IPv4.Active)
	}
}

// closed is a pipe whose reader has gone.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestErrors(t *testing.T) {
	lost := errors.New("the daemon has gone")
	endless := func(yield func(*control.Flow, error) bool) {
		f := v4("a", "10.0.0.1", "b", "10.0.0.2", 6, 1, 2, 3)
		for range 1 << 30 {
			if !yield(&f, nil) {
				return
			}
		}
	}
	for name, render := range map[string]func(io.Writer, *control.Cache) error{
		"cache flow": CacheFlow, "verbose": VerboseFlow, "ipv6": CacheFlow6,
		"top": func(w io.Writer, c *control.Cache) error { return TopTalkers(w, c, 9, control.ByBytes) },
	} {
		var b strings.Builder
		c := linux()
		c.Flows = func(yield func(*control.Flow, error) bool) { yield(nil, lost) }
		if err := render(&b, c); !errors.Is(err, lost) || b.Len() == 0 {
			t.Errorf("%s: a stream that breaks: %v after %d octets", name, err, b.Len())
		}
		if name == "ipv6" || name == "top" {
			continue // writes no row for each of these flows
		}
		c.Flows = endless
		if err := render(closed{}, c); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: a closed pipe: %v", name, err)
		}
	}
	if err := FlowExport(closed{}, &control.Export{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("export: %v", err)
	}
}
