//go:build linux

package live_test

import (
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"cacheflow/test/binary"
	"cacheflow/test/netns"
)

// openTap makes a tap device with a vnet header that takes and gives TCP
// super-packets (linux/if_tun.h, linux/virtio_net.h), with the address a.
func openTap(t *testing.T, ns *netns.NS, name, address string) *os.File {
	t.Helper()
	f := openTun(t, ns, name, unix.IFF_TAP|unix.IFF_VNET_HDR)
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) {
		err = unix.IoctlSetInt(int(fd), unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
	}); e != nil || err != nil {
		t.Fatalf("offloads of %s: %v, %v", name, e, err)
	}
	ns.MustRun("ip", "addr", "add", address, "dev", name)
	ns.MustRun("ip", "link", "set", name, "up")
	return f
}

// openTun makes a tun or tap device, without IPv6 and down.
func openTun(t *testing.T, ns *netns.NS, name string, flags uint16) *os.File {
	t.Helper()
	var fd int
	var err error
	ns.Run(func() {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			return
		}
		var req *unix.Ifreq
		if req, err = unix.NewIfreq(name); err == nil {
			req.SetUint16(flags | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
	})
	if err != nil {
		t.Fatalf("make %s: %v", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { f.Close() })
	ns.Sysctl("net/ipv6/conf/"+name+"/disable_ipv6", "1")
	return f
}

// relay carries what leaves by one device to the other until they are closed, and
// shows it to see.
func relay(from, to *os.File, see func(b []byte)) {
	b := make([]byte, 1<<17)
	for {
		n, err := from.Read(b)
		if err == nil {
			see(b[:n])
			_, err = to.Write(b[:n])
		}
		if err != nil {
			return
		}
	}
}

// unseen is for a relay that nobody looks at.
func unseen([]byte) {}

// Bulk TCP through tap devices with a vnet header, as a virtual machine has
// them: the header tells the size of a segment, and nobody tells how many there
// are. They are still as many as TCP sent.
func TestTapSuperPackets(t *testing.T) { binary.InBothModes(t, tapSuperPackets) }

func tapSuperPackets(t *testing.T, m binary.Mode) {
	a, b := netns.New(t), netns.New(t)
	left, right := openTap(t, a, "left", "10.9.0.1/24"), openTap(t, b, "right", "10.9.0.2/24")
	var supers atomic.Int64 // by their vnet headers
	go relay(right, left, unseen)
	go relay(left, right, func(b []byte) {
		if b[1] != unix.VIRTIO_NET_HDR_GSO_NONE {
			supers.Add(1)
		}
	})
	plainACKs(t, a, b)
	ends := []*end{newEnd(t, m, a, "left"), newEnd(t, m, b, "right")}
	c := transfer(t, a, b, "10.9.0.2:0", 64<<20)
	for _, e := range ends {
		_, _, i := e.delta()
		e.daemon.stop().exact(t)
		e.collector.Stop()
		c.agrees(t, e.collector)
		t.Logf("%s: %d packets in %d frames", e.name, i.Packets, i.Metered)
	}
	if supers.Load() < 100 {
		t.Errorf("%d super-packets only", supers.Load())
	}
}
