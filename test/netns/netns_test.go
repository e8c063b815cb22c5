//go:build linux

package netns

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTwoNamespaces(t *testing.T) {
	a, b := New(t), New(t)
	indexA, indexB := Veth(t,
		End{NS: a, Name: "left", Addrs: []string{"10.9.0.1/24", "fd00:9::1/64"}},
		End{NS: b, Name: "right", Addrs: []string{"10.9.0.2/24", "fd00:9::2/64"}})
	if indexA <= 1 || indexB <= 1 {
		t.Fatalf("indexes %d and %d", indexA, indexB)
	}
	for _, network := range []string{"10.9.0.2:0", "[fd00:9::2]:0"} {
		var server net.PacketConn
		var err error
		b.Run(func() { server, err = net.ListenPacket("udp", network) })
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		a.Run(func() {
			var c net.Conn
			if c, err = net.Dial("udp", server.LocalAddr().String()); err == nil {
				_, err = c.Write([]byte("hello"))
				c.Close()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 16)
		server.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, _, err := server.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" {
			t.Fatalf("%s: got %q, %v", network, buf[:n], err)
		}
	}
	if out := a.MustRun("ip", "-br", "link"); !strings.Contains(out, "left") || strings.Contains(out, "eth0") {
		t.Fatalf("a command does not run inside: %s", out)
	}
	if out := a.MustRun("ethtool", "-k", "left"); !strings.Contains(out, "tcp-segmentation-offload: off") {
		t.Errorf("offloads are on: %s", out)
	}
	a.DelLink("left")
	if out := b.MustRun("ip", "-br", "link"); strings.Contains(out, "right") {
		t.Errorf("the peer outlives its pair: %s", out)
	}
}

func TestNamespaceIsRemoved(t *testing.T) {
	var path string
	t.Run("inside", func(t *testing.T) { path = New(t).Path })
	if path == "" {
		t.Skip("no namespace was made")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", path, err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), path) {
		t.Errorf("%s is still mounted", path)
	}
}
