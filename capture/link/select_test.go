//go:build linux

package link

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cacheflow/test/netns"
)

func TestChoose(t *testing.T) {
	links := []Link{
		{Index: 1, Name: "lo", Up: true}, {Index: 2, Name: "eth0", Up: true}, {Index: 3, Name: "eth1"},
		{Index: 4, Name: "ppp0", Up: true}, {Index: 5, Name: "ppp1", Up: true},
	}
	for _, c := range []struct {
		patterns string
		want     string
		several  bool
	}{
		{"eth0", "eth0", false},
		{"eth0 eth0", "eth0", false},
		{"eth0 wan0", "eth0", true}, // wan0 may come
		{"eth*", "eth0 eth1", false},
		{"ppp*", "ppp0 ppp1", true},
		{"ppp? eth0", "eth0 ppp0 ppp1", true},
		{"ppp[2-9]", "", false},
		{"lo", "lo", false},
		{"*", "lo eth0 eth1 ppp0 ppp1", true},
	} {
		got, err := Choose(links, strings.Fields(c.patterns))
		if err != nil {
			t.Fatal(err)
		}
		if names := strings.Join(namesOf(got.Links), " "); names != c.want || got.Several != c.several {
			t.Errorf("%q chooses %v, several %v", c.patterns, names, got.Several)
		}
	}
}

func namesOf(links []Link) []string {
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	return names
}

func TestCheckPatterns(t *testing.T) {
	for _, good := range []string{"eth0", "eth*", "ppp?", "ppp[0-9]", `a\*`} {
		if err := CheckPatterns([]string{"lo", good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
		if IsPattern(good) != (good != "eth0") {
			t.Errorf("%q is a pattern: %v", good, IsPattern(good))
		}
	}
	for _, bad := range []string{"", "eth[", `eth\`} {
		if CheckPatterns([]string{"lo", bad}) == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// A defaults is the default choice of a namespace, followed.
type defaults struct {
	t     *testing.T
	mu    sync.Mutex
	names []string
}

func followDefaults(t *testing.T, ns *netns.NS) *defaults {
	t.Helper()
	d := &defaults{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go ns.Run(func() {
		defer close(ended)
		if err := Follow(ctx, true, func() bool { return false }, discard, d.look); err != nil {
			t.Errorf("Follow: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); <-ended })
	return d
}

func (d *defaults) look() error {
	links, err := List()
	if err != nil {
		return err
	}
	chosen, err := Choose(links, nil)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = namesOf(chosen.Links)
	slices.Sort(d.names)
	return nil
}

// await waits until exactly these are chosen; want is sorted.
func (d *defaults) await(want ...string) {
	d.t.Helper()
	var names []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		d.mu.Lock()
		names = d.names
		d.mu.Unlock()
		if slices.Equal(names, want) {
			return
		}
	}
	d.t.Fatalf("%v are chosen, want %v", names, want)
}

// A host that does not forward captures on the interfaces of its default
// routes, also when those come later.
func TestDefaultOfHost(t *testing.T) {
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "up0", Addrs: []string{"10.0.0.1/24"}}, netns.End{NS: b, Name: "in0", Addrs: []string{"10.0.0.2/24"}})
	netns.Veth(t, netns.End{NS: a, Name: "up1", Addrs: []string{"fd00::1/64"}}, netns.End{NS: b, Name: "in1", Addrs: []string{"fd00::2/64"}})
	netns.Veth(t, netns.End{NS: a, Name: "up2", Addrs: []string{"10.0.2.1/24"}}, netns.End{NS: b, Name: "in2", Addrs: []string{"10.0.2.2/24"}})
	d := followDefaults(t, b)
	b.Route("default", "10.0.0.1")
	d.await("in0")
	b.Route("::/0", "fd00::1")
	d.await("in0", "in1")
	b.MustRun("ip", "route", "replace", "default", "nexthop", "via", "10.0.0.1", "nexthop", "via", "10.0.2.1")
	d.await("in0", "in1", "in2")
	b.MustRun("ip", "route", "del", "default")
	d.await("in1")
}

// A host that forwards captures on what is up and has an address, without lo
// and without what lies below another.
func TestDefaultOfRouter(t *testing.T) {
	a, b := netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "up0", Addrs: []string{"10.0.0.1/24"}}, netns.End{NS: b, Name: "in0", Addrs: []string{"10.0.0.2/24"}})
	netns.Veth(t, netns.End{NS: a, Name: "up1"}, netns.End{NS: b, Name: "in1", Addrs: []string{"10.0.1.2/24"}})
	netns.Veth(t, netns.End{NS: a, Name: "up2"}, netns.End{NS: b, Name: "in2"})
	netns.Veth(t, netns.End{NS: a, Name: "up3"}, netns.End{NS: b, Name: "in3", Addrs: []string{"10.0.3.2/24"}})
	b.MustRun("ip", "link", "add", "br0", "type", "bridge")
	b.MustRun("ip", "link", "set", "in1", "master", "br0")
	b.MustRun("ip", "addr", "add", "10.0.4.2/24", "dev", "br0")
	b.MustRun("ip", "link", "set", "br0", "up")
	b.MustRun("ip", "link", "set", "in3", "down")
	b.Sysctl("net/ipv4/ip_forward", "1")
	d := followDefaults(t, b)
	d.await("br0", "in0")
	b.MustRun("ip", "link", "set", "in3", "up")
	d.await("br0", "in0", "in3")
}
