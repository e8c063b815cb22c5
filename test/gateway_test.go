//go:build linux

package test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/netns"
)

// destination is where the client sends to through the gateway.
type destination struct {
	name   string
	to     string
	prefix string // of the route that matches
	status flow.ForwardingStatus
	many   bool // the flows go to addresses that follow on to
}

var destinations = []destination{
	{"connected", "10.2.0.2", "10.2.0.0/24", flow.Forwarded, false},
	{"static", "10.50.1.1", "10.50.0.0/16", flow.Forwarded, true},
	{"default", "203.0.113.7", "0.0.0.0/0", flow.Forwarded, true},
	{"multipath", "10.70.1.1", "10.70.0.0/16", flow.Forwarded, true},
	{"unreachable", "10.60.1.1", "10.60.0.0/16", flow.Unroutable, true},
	{"gateway itself", "10.1.0.1", "10.1.0.1/32", flow.TerminatedHere, false},
	{"connected, IPv6", "fd00:2::2", "fd00:2::/64", flow.Forwarded, false},
	{"static, IPv6", "fd00:50::1", "fd00:50::/32", flow.Forwarded, true},
	{"default, IPv6", "2001:db8::7", "::/0", flow.Forwarded, true},
	{"multipath, IPv6", "fd00:70::1", "fd00:70::/32", flow.Forwarded, true},
	{"unreachable, IPv6", "fd00:60::1", "fd00:60::/32", flow.Unroutable, true},
	{"gateway itself, IPv6", "fd00:1::1", "fd00:1::1/128", flow.TerminatedHere, false},
}

// flowsEach is how many flows go to each destination and packetsEach how many
// packets each has. Flows differ in their source ports and, where the route
// covers more than one address, in their destinations.
const (
	flowsEach   = 16
	packetsEach = 3
	firstPort   = 20000
	serverPort  = 7
)

// TestGateway compares what a collector is told of forwarded flows with what
// the gateway's kernel says of them and with where their packets went, for both
// ways in which the kernel chooses among several paths.
func TestGateway(t *testing.T) {
	binary.InBothModes(t, func(t *testing.T, m binary.Mode) {
		t.Run("paths by addresses", func(t *testing.T) { testGateway(t, m, "0") })
		t.Run("paths by ports", func(t *testing.T) { testGateway(t, m, "1") })
	})
}

func testGateway(t *testing.T, m binary.Mode, policy string) {
	l := newLab(t, policy)
	nfcapd := judge.StartNfcapd(t, judge.NfcapdConfig{Command: l.gateway.Command, Address: netip.MustParseAddrPort("127.0.0.1:2055")})
	// Without -i a gateway meters every interface that is up and has an address.
	daemon := binary.Run(t, m, l.gateway.Command, "-e", nfcapd.Address.String())
	for _, d := range destinations {
		l.send(t, &d)
	}
	time.Sleep(300 * time.Millisecond) // for the last packets to arrive
	showsLocalAndNull(t, daemon)
	daemon.Stop(20 * time.Second)
	nfcapd.Stop()
	records := map[string]judge.Flow{}
	for _, f := range nfcapd.Flows() {
		key := keyOf(f)
		if _, twice := records[key]; twice {
			t.Errorf("two records of %s", key)
		}
		records[key] = f
	}
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			used := map[string]bool{}
			for i := range flowsEach {
				l.compare(t, &d, i, records)
				used[l.left.interfaceOf(d.address(i), firstPort+i)] = true
			}
			if d.isMultipath() && len(used) != 2 {
				t.Errorf("the kernel did not use both paths: %v", used)
			}
		})
	}
}

func (d *destination) isMultipath() bool { return strings.HasPrefix(d.name, "multipath") }

func (d *destination) is6() bool { return strings.Contains(d.to, ":") }

// address returns where the i-th flow goes.
func (d *destination) address(i int) string {
	a := netip.MustParseAddr(d.to)
	for ; d.many && i > 0; i-- {
		a = a.Next()
	}
	return a.String()
}

// gatewayLab is a client and a server with a gateway between them, which has two
// links to the server.
type gatewayLab struct {
	client, gateway, server *netns.NS
	policy                  string // fib_multipath_hash_policy
	left                    *watcher
}

func newLab(t *testing.T, policy string) *gatewayLab {
	l := &gatewayLab{client: netns.New(t), gateway: netns.New(t), server: netns.New(t), policy: policy}
	for _, family := range []string{"ipv4", "ipv6"} {
		l.gateway.Sysctl("net/"+family+"/conf/all/forwarding", "1")
		l.gateway.Sysctl("net/"+family+"/fib_multipath_hash_policy", policy)
	}
	if policy == "1" {
		// Else the hash of the client's socket, which travels with a packet over
		// veth, chooses the path instead of the packet's fields.
		l.client.Sysctl("net/ipv6/auto_flowlabels", "0")
	}
	end := func(ns *netns.NS, name string, addrs ...string) netns.End {
		return netns.End{NS: ns, Name: name, Addrs: addrs}
	}
	netns.Veth(t, end(l.client, "c0", "10.1.0.2/24", "fd00:1::2/64"), end(l.gateway, "lan", "10.1.0.1/24", "fd00:1::1/64"))
	netns.Veth(t, end(l.server, "s0", "10.2.0.2/24", "fd00:2::2/64"), end(l.gateway, "wan0", "10.2.0.1/24", "fd00:2::1/64"))
	netns.Veth(t, end(l.server, "s1", "10.3.0.2/24", "fd00:3::2/64"), end(l.gateway, "wan1", "10.3.0.1/24", "fd00:3::1/64"))
	for _, ns := range []*netns.NS{l.gateway, l.server} {
		ns.Sysctl("net/ipv4/conf/all/rp_filter", "0")
	}
	routes(t, l.client, "default via 10.1.0.1", "default via fd00:1::1")
	routes(t, l.gateway,
		"10.50.0.0/16 via 10.2.0.2", "fd00:50::/32 via fd00:2::2",
		"default via 10.3.0.2", "default via fd00:3::2",
		"unreachable 10.60.0.0/16", "unreachable fd00:60::/32",
		"10.70.0.0/16 nexthop via 10.2.0.2 nexthop via 10.3.0.2",
		"fd00:70::/32 nexthop via fd00:2::2 nexthop via fd00:3::2")
	routes(t, l.server, "default via 10.2.0.1", "default via fd00:2::1",
		"local 10.50.0.0/16 dev lo", "local 10.70.0.0/16 dev lo", "local 203.0.113.0/24 dev lo",
		"local fd00:50::/32 dev lo", "local fd00:70::/32 dev lo", "local 2001:db8::/32 dev lo")
	l.left = watch(t, l.server, "s0", "s1")
	return l
}

func routes(t *testing.T, ns *netns.NS, specs ...string) {
	t.Helper()
	for _, s := range specs {
		args := []string{"route", "add"}
		if strings.Contains(s, "::") {
			args = []string{"-6", "route", "add"}
		}
		ns.MustRun("ip", append(args, strings.Fields(s)...)...)
	}
}

// send sends the flows of a destination.
func (l *gatewayLab) send(t *testing.T, d *destination) {
	t.Helper()
	var err error
	l.client.Run(func() {
		for i := 0; i < flowsEach && err == nil; i++ {
			err = sendFlow(d.address(i), firstPort+i)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sendFlow(to string, port int) error {
	c, err := net.ListenUDP("udp", &net.UDPAddr{Port: port}) // not connected: an ICMP error is not its concern
	if err != nil {
		return err
	}
	defer c.Close()
	for range packetsEach {
		if _, err := c.WriteToUDP([]byte("cacheflow"), &net.UDPAddr{IP: net.ParseIP(to), Port: serverPort}); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(f judge.Flow) string {
	return f["sourceIPv4Address"] + f["sourceIPv6Address"] + " " + f["destinationIPv4Address"] + f["destinationIPv6Address"] + " " +
		f["sourceTransportPort"] + " " + f["destinationTransportPort"] + " " + f["protocolIdentifier"] + " " + f["ingressInterface"]
}

// compare holds the record of one flow against the kernel's word.
func (l *gatewayLab) compare(t *testing.T, d *destination, i int, records map[string]judge.Flow) {
	t.Helper()
	from, source, version := "10.1.0.2", "24", "IPv4"
	if d.is6() {
		from, source, version = "fd00:1::2", "64", "IPv6"
	}
	to, port, lan := d.address(i), firstPort+i, l.gateway.Index("lan")
	f, ok := records[fmt.Sprintf("%s %s %d %d %d %d", from, to, port, serverPort, flow.ProtocolUDP, lan)]
	if !ok {
		t.Errorf("no record of the flow to %s from port %d", to, port)
		return
	}
	want := judge.Flow{
		"packetDeltaCount": strconv.Itoa(packetsEach), "ingressInterface": strconv.Itoa(lan), "egressInterface": "0",
		"forwardingStatus":                  strconv.Itoa(int(d.status)),
		"source" + version + "PrefixLength": source, "destination" + version + "PrefixLength": strconv.Itoa(netip.MustParsePrefix(d.prefix).Bits()),
	}
	if d.status == flow.Forwarded {
		path := l.path(t, d, from, to, port)
		want["egressInterface"] = strconv.Itoa(l.gateway.Index(path.Dev))
		want["ipNextHop"+version+"Address"] = path.Gateway
	}
	for name, value := range want {
		if got := f[name]; got != value && !(isNothing(got) && isNothing(value)) {
			t.Errorf("%s from port %d: %s is %q instead of %q", to, port, name, got, value)
		}
	}
}

func isNothing(value string) bool {
	return value == "" || value == "0" || value == "0.0.0.0" || value == "::"
}

// path is the way that a flow's packets took, and the kernel's word for it.
func (l *gatewayLab) path(t *testing.T, d *destination, from, to string, port int) route {
	t.Helper()
	really := l.left.interfaceOf(to, port)
	ask := []string{to, "from", from, "iif", "lan"}
	matched := routeGet(t, l.gateway, append([]string{"fibmatch"}, ask...)...)
	if p := strings.Replace(matched.Dst, "default", d.prefix, 1); p != d.prefix {
		t.Fatalf("the lab is wrong: %s matches %s", to, p)
	}
	if d.isMultipath() && d.is6() && l.policy == "0" {
		// The choice depends on the flow label, which ip(8) cannot ask with.
		return route{Dev: really, Gateway: map[string]string{"wan0": "fd00:2::2", "wan1": "fd00:3::2"}[really]}
	}
	chosen := routeGet(t, l.gateway, append(ask, "ipproto", "udp", "sport", strconv.Itoa(port), "dport", strconv.Itoa(serverPort))...)
	if chosen.Dev != really {
		t.Errorf("%s from port %d left by %q, but ip route get says %s", to, port, really, chosen.Dev)
	}
	return chosen
}

// route is what `ip -j route get` says.
type route struct{ Dst, Dev, Gateway string }

func routeGet(t *testing.T, ns *netns.NS, args ...string) route {
	t.Helper()
	out := ns.MustRun("ip", append([]string{"-j", "route", "get"}, args...)...)
	var rs []route
	if err := json.Unmarshal([]byte(out), &rs); err != nil || len(rs) != 1 {
		t.Fatalf("ip route get %v: %v\n%s", args, err, out)
	}
	return rs[0]
}

// showsLocalAndNull waits until the router's own output has both: what the kernel
// has counted is in the cache within a second.
func showsLocalAndNull(t *testing.T, d *binary.Daemon) {
	t.Helper()
	for _, row := range []string{`(?m)^lan +10\.1\.0\.2 +Local +10\.1\.0\.1 `, `(?m)^lan +10\.1\.0\.2 +Null +10\.60\.1\.1 `,
		`(?m)^lan +10\.1\.0\.2 +wan0 +10\.50\.1\.1 `, `(?m)^lan +10\.1\.0\.2 +wan1 +203\.0\.113\.7 `} {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			out := d.Show("ip cache flow")
			if regexp.MustCompile(row).MatchString(out) {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("show ip cache flow has no row %s:\n%s", row, out)
				break
			}
		}
	}
}
