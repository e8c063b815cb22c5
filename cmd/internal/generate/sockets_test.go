package generate_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// Each router sends from its own address, and what arrives is what the hook saw.
func TestSockets(t *testing.T) {
	r := judge.StartRecorder(t, netip.AddrPort{})
	c := config(t, "dns", export.IPFIX)
	c.Duration = time.Second / 2
	var err error
	if c.Sources, err = generate.ParseSources("127.0.1.0/24", c.Routers); err != nil {
		t.Fatal(err)
	}
	sockets, err := generate.Dial(r.Address, c.Sources, c.Routers)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	c.Pace.Datagrams = 2000
	c.Send = sockets.Send
	s := run(t, t.Context(), c)
	r.Settle(50 * time.Millisecond)
	got := r.Datagrams()
	if len(got) != len(s.datagrams) || sockets.Refused != 0 {
		t.Fatalf("%d datagrams of %d arrived, %d were refused", len(got), len(s.datagrams), sockets.Refused)
	}
	for i, d := range got {
		if d.From.Addr() != s.datagrams[i].From.Addr() || string(d.Data) != string(s.datagrams[i].Data) {
			t.Fatalf("datagram %d is another, from %s instead of %s", i, d.From, s.datagrams[i].From)
		}
	}
}

// A collector that does not listen is told, and stops nobody.
func TestRefused(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	conn.Close()
	sockets, err := generate.Dial(nobody, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	for range 10 {
		if err := sockets.Send(0, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if sockets.Refused == 0 {
		t.Error("nobody refused")
	}
}

// An address of another host cannot be sent from, and the error says so.
func TestForeignSource(t *testing.T) {
	foreign := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	if _, err := generate.Dial(netip.MustParseAddrPort("127.0.0.1:9"), foreign, 1); err == nil || !strings.Contains(err.Error(), "192.0.2.1 is no address of this host") {
		t.Errorf("error %v", err)
	}
}

func TestParseSources(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string // the first and the last, or an error
	}{
		{"127.0.0.5", 3, "127.0.0.5 127.0.0.5"},
		{"127.1.0.0/16", 300, "127.1.0.1 127.1.1.44"},
		{"127.1.0.7/16", 2, "127.1.0.7 127.1.0.8"},
		{"2001:db8::/64", 2, "2001:db8::1 2001:db8::2"},
		{"127.0.0.9/32", 1, "127.0.0.9 127.0.0.9"},
		{"127.0.0.0/30", 4, "has 3 addresses for 4 routers"},
		{"lo", 1, "lo"},
		{"127.0.0.0/33", 1, "33"},
	} {
		all, err := generate.ParseSources(c.text, c.n)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.text, err)
			}
		} else if got := all[0].String() + " " + all[c.n-1].String(); got != c.want || len(all) != c.n {
			t.Errorf("%s: %d addresses, %s instead of %s", c.text, len(all), got, c.want)
		}
	}
}

func TestIsThisHost(t *testing.T) {
	for text, want := range map[string]bool{"127.1.2.3": true, "::1": true, "192.0.2.1": false, "2001:db8::1": false} {
		if got := generate.IsThisHost(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
