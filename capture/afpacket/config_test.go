//go:build linux

package afpacket

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/test/netns"
)

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"pattern": {Interfaces: []string{"eth["}},
		"empty":   {Interfaces: []string{""}},
		"workers": {Workers: MaxWorkers + 1},
		"ring":    {RingMemory: minRing() - 1},
		"snap":    {Snap: MinSnap - 1},
		"sampler": {Sampling: capture.Sampling{Interval: capture.MaxSamplingInterval + 1}},
	} {
		c.Decoder = newDecoder
		if _, err := Open(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("a capture without a decoder was opened")
	}
}

// Where no interface is named and there is no default route, the interface of
// one that comes later is captured on.
func TestDefaultRouteComesLater(t *testing.T) {
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "up0", Addrs: []string{"10.0.0.1/24"}}, netns.End{NS: b, Name: "in0", Addrs: []string{"10.0.0.2/24"}})
	log := &logBuffer{}
	r := capturing(t, b, Config{Workers: 1, Log: log.logger()})
	if !strings.Contains(log.String(), "no interface to capture on yet") {
		t.Errorf("log: %s", log)
	}
	b.Route("default", "10.0.0.1")
	r.awaitInterfaces("in0")
}

// Selecting an interface and one that lies on it is warned of, once.
func TestStackedWarning(t *testing.T) {
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "out"}, netns.End{NS: b, Name: "in"})
	netns.Veth(t, netns.End{NS: b, Name: "left"}, netns.End{NS: b, Name: "right"}) // each other's IFLA_LINK
	b.MustRun("ip", "link", "add", "br0", "type", "bridge")
	b.MustRun("ip", "link", "set", "in", "master", "br0")
	b.MustRun("ip", "link", "set", "br0", "up")
	b.MustRun("ip", "link", "add", "mac0", "link", "left", "type", "macvlan")
	b.MustRun("ip", "link", "set", "mac0", "up")
	log := &logBuffer{}
	r := capturing(t, b, Config{Interfaces: []string{"*"}, Workers: 1, Log: log.logger()})
	b.MustRun("ip", "link", "set", "mac0", "down") // looked at again
	b.MustRun("ip", "link", "set", "mac0", "up")
	r.awaitInterfaces("lo", "in", "br0", "mac0", "left", "right")
	var got []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "level=WARN") {
			got = append(got, strings.TrimSpace(line[strings.Index(line, "lower="):]))
		}
	}
	slices.Sort(got)
	if want := []string{"lower=in upper=br0", "lower=left upper=mac0"}; !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}

// withCapabilities runs f inside ns on a thread that has these capabilities and
// no others (capabilities(7): each thread has its own).
func withCapabilities(t *testing.T, ns *netns.NS, set uint32, f func()) {
	t.Helper()
	var err error
	ns.Run(func() {
		runtime.LockOSThread() // the thread ends with the goroutine, and what it lost
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		data := [2]unix.CapUserData{{Effective: set, Permitted: set}}
		if err = unix.Capset(&hdr, &data[0]); err == nil {
			f()
		}
	})
	if err != nil {
		t.Fatalf("drop capabilities: %v", err)
	}
}

// Without CAP_NET_RAW Open says what helps, also when no interface is there;
// with it, it needs nothing else.
func TestPrivileges(t *testing.T) {
	a, b := pair(t)
	for _, name := range []string{"in", "absent"} {
		var c *Capture
		var err error
		withCapabilities(t, b, 0, func() { c, err = Open(Config{Interfaces: []string{name}, Decoder: newDecoder}) })
		if c != nil || !errors.Is(err, os.ErrPermission) {
			t.Fatalf("%s: %v, %v", name, c, err)
		}
		if self, _ := os.Executable(); !strings.Contains(err.Error(), "sudo setcap cap_net_raw+ep "+self) {
			t.Errorf("%s: the error does not help: %v", name, err)
		}
	}
	var c *Capture
	var err error
	withCapabilities(t, b, 1<<unix.CAP_NET_RAW, func() {
		c, err = Open(Config{Interfaces: []string{"in"}, Decoder: newDecoder, Workers: 2, RingMemory: 1 << 20})
	})
	if err != nil {
		t.Fatal(err)
	}
	newSender(t, a, "out").send(times(10, probe)...)
	n := 0
	batch := make([]flow.Packet, 16)
	for range 20 {
		for _, s := range c.Sources() {
			got, _, err := s.Read(batch)
			if err != nil {
				t.Fatal(err)
			}
			n += got
		}
	}
	if n != 10 {
		t.Errorf("%d packets with CAP_NET_RAW alone, want 10", n)
	}
	for _, s := range c.Sources() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
