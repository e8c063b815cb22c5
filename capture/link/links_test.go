//go:build linux

package link

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"cacheflow/test/netns"
)

// What List tells of each kind of interface: the ends of a veth pair are each
// other's IFLA_LINK and do not lie on each other, and a macvlan whose device is
// in another namespace lies on none here.
func TestList(t *testing.T) {
	a, b := netns.New(t), netns.New(t)
	for _, args := range [][]string{
		{"add", "left", "index", "10", "type", "veth", "peer", "name", "right", "index", "11"},
		{"add", "br0", "index", "12", "type", "bridge"},
		{"set", "left", "master", "br0"},
		{"add", "mac0", "index", "13", "link", "right", "type", "macvlan"},
		{"add", "there", "index", "14", "link", "right", "type", "macvlan"},
		{"set", "there", "netns", b.Path},
		{"set", "right", "up"},
		{"set", "mac0", "up"},
	} {
		a.MustRun("ip", append([]string{"link"}, args...)...)
	}
	a.MustRun("ip", "tuntap", "add", "tun0", "mode", "tun")
	want := map[string]Link{
		"lo":    {Index: Loopback, Up: true, Type: unix.ARPHRD_LOOPBACK},
		"left":  {Index: 10, Type: unix.ARPHRD_ETHER, Master: 12},
		"right": {Index: 11, Type: unix.ARPHRD_ETHER, Up: true},
		"br0":   {Index: 12, Type: unix.ARPHRD_ETHER},
		"mac0":  {Index: 13, Type: unix.ARPHRD_ETHER, Up: true, Lower: 11},
		"tun0":  {Index: uint32(a.Index("tun0")), Type: unix.ARPHRD_NONE},
	}
	check(t, a, want)
	check(t, b, map[string]Link{"lo": want["lo"], "there": {Index: uint32(b.Index("there")), Type: unix.ARPHRD_ETHER}})
}

// check compares the interfaces of a namespace with those wanted, by name.
func check(t *testing.T, ns *netns.NS, want map[string]Link) {
	t.Helper()
	var links []Link
	var err error
	ns.Run(func() { links, err = List() })
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Link{}
	for _, l := range links {
		if l.HasHeader() != (l.Name != "tun0") {
			t.Errorf("%s has an Ethernet header: %v", l.Name, l.HasHeader())
		}
		name := l.Name
		l.Name = ""
		got[name] = l
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
}
