//go:build linux

package netns

import (
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

// End is one end of a veth pair.
type End struct {
	NS *NS
	// Name is the interface's name in NS.
	Name string
	// Addrs are its addresses with their prefix lengths, e.g. "10.0.0.1/24".
	// IPv6 addresses are usable at once: duplicate address detection is off.
	Addrs []string
	// Offloads leaves segmentation, receive and checksum offloads as the kernel
	// sets them; otherwise they are off, so that one skb is one wire packet.
	Offloads bool
}

// Veth makes a veth pair with its ends in one or two namespaces, both up, and
// returns their indexes. No router solicitation or multicast listener report is
// sent by an end without IPv6 addresses: IPv6 is disabled on it.
func Veth(t testing.TB, a, b End) (indexA, indexB int) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a.Name
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: b.Name, PeerNamespace: netlink.NsFd(b.NS.handle)}
	if err := a.NS.links.LinkAdd(pair); err != nil {
		t.Fatalf("make the veth pair %s, %s: %v", a.Name, b.Name, err)
	}
	a.configure(t)
	b.configure(t)
	a.up(t)
	b.up(t)
	return a.NS.Index(a.Name), b.NS.Index(b.Name)
}

// configure prepares the interface while it is down.
func (e *End) configure(t testing.TB) {
	t.Helper()
	v6 := false
	for _, a := range e.Addrs {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			t.Fatal(err)
		}
		v6 = v6 || p.Addr().Is6()
	}
	if v6 {
		e.NS.Sysctl("net/ipv6/conf/"+e.Name+"/accept_dad", "0")
		e.NS.Sysctl("net/ipv6/conf/"+e.Name+"/router_solicitations", "0")
	} else {
		e.NS.Sysctl("net/ipv6/conf/"+e.Name+"/disable_ipv6", "1")
	}
	if !e.Offloads {
		e.NS.MustRun("ethtool", "-K", e.Name, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off", "sg", "off")
	}
}

func (e *End) up(t testing.TB) {
	t.Helper()
	link, err := e.NS.links.LinkByName(e.Name)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range e.Addrs {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.NS.links.AddrAdd(link, addr); err != nil {
			t.Fatalf("add %s to %s: %v", a, e.Name, err)
		}
	}
	if err := e.NS.links.LinkSetUp(link); err != nil {
		t.Fatalf("set %s up: %v", e.Name, err)
	}
}

// Index returns the ifIndex of the interface of that name.
func (ns *NS) Index(name string) int {
	ns.t.Helper()
	link, err := ns.links.LinkByName(name)
	if err != nil {
		ns.t.Fatalf("%s: %v", name, err)
	}
	return link.Attrs().Index
}

// DelLink removes an interface; of a veth pair both ends go.
func (ns *NS) DelLink(name string) {
	ns.t.Helper()
	link, err := ns.links.LinkByName(name)
	if err == nil {
		err = ns.links.LinkDel(link)
	}
	if err != nil {
		ns.t.Fatalf("remove %s: %v", name, err)
	}
}

// Route adds a route, e.g. Route("0.0.0.0/0", "10.0.0.254").
func (ns *NS) Route(dst, via string) {
	ns.t.Helper()
	ns.MustRun("ip", "route", "add", dst, "via", via)
}
