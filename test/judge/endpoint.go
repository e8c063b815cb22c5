package judge

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// patience is how long a judge may take to write what it has when it is stopped.
const patience = time.Minute

// loopback is where judges listen unless told otherwise.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// endpoint fills in what is left open of a listener's address.
func endpoint(t testing.TB, address netip.AddrPort) netip.AddrPort {
	t.Helper()
	if !address.Addr().IsValid() {
		address = netip.AddrPortFrom(loopback, address.Port())
	}
	if address.Port() == 0 {
		address = netip.AddrPortFrom(address.Addr(), freePort(t))
	}
	return address
}

// given are the ports that freePort has returned.
var given sync.Map

// freePort returns a UDP port of 127.0.0.1 that nothing listens on.
func freePort(t testing.TB) uint16 {
	t.Helper()
	for {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
		c.Close()
		if _, twice := given.LoadOrStore(port, true); !twice {
			return port
		}
	}
}
