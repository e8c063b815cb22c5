//go:build linux

package guest_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"cacheflow/test/netns"
	"cacheflow/test/sender"
)

// link is an interface that is to be metered.
type link struct {
	ns   *netns.NS
	name string
	// send has packets arrive at the interface.
	send func([]packet) error
}

// newVeth makes an Ethernet link.
func newVeth(t *testing.T) link {
	t.Helper()
	ns := netns.New(t)
	// The program that sets offloads is not here, and none is used.
	netns.Veth(t, netns.End{NS: ns, Name: "a", Offloads: true}, netns.End{NS: ns, Name: "b", Offloads: true})
	var s *sender.Sender
	var err error
	ns.Run(func() { s, err = sender.Open("a") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return link{ns, "b", func(ps []packet) error {
		at := -1
		return s.Send(func(b []byte) []byte {
			at++
			return ps[at].append(b)
		}, len(ps), 0)
	}}
}

// newTun makes a link without link header.
func newTun(t *testing.T) link {
	t.Helper()
	ns := netns.New(t)
	var f *os.File
	var err error
	ns.Run(func() { f, err = openTun("tun0") })
	if err != nil {
		t.Fatalf("make a tun device: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	ns.Sysctl("net/ipv6/conf/tun0/disable_ipv6", "1")
	device, err := ns.Links().LinkByName("tun0")
	if err == nil {
		err = ns.Links().LinkSetUp(device)
	}
	if err != nil {
		t.Fatalf("set tun0 up: %v", err)
	}
	return link{ns, "tun0", func(ps []packet) error {
		for _, p := range ps {
			if _, err := f.Write(p.ip()); err != nil {
				return err
			}
		}
		return nil
	}}
}

// openTun makes a tun device in the calling thread's namespace (linux/if_tun.h).
func openTun(name string) (*os.File, error) {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	return f, unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, req)
}
