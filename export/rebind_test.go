package export

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cacheflow/cache/flow"
)

// TestRebind: when the source address is removed, the socket is replaced by one
// with the new address and the same port; until there is one, the loss has its
// reason.
func TestRebind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := &fakeSocket{write: func(n int) error {
			if n > 1 {
				return opError(syscall.ENETUNREACH)
			}
			return nil
		}}
		e := withSocket(t, old, Config{Protocol: NetFlow5, Now: func() flow.Time { return 1e15 }})
		source := netip.MustParseAddrPort("127.0.0.9:1")
		fresh := &fakeSocket{local: *net.UDPAddrFromAddrPort(source)}
		var asked []netip.AddrPort
		e.dial = func(_ context.Context, address string, source netip.AddrPort) (socket, error) {
			switch asked = append(asked, source); len(asked) {
			case 1, 3: // at start; then a probe while the address is still there
				return old, nil
			case 2: // a probe while there is no route
				return nil, opError(syscall.ENETUNREACH)
			}
			if address != "127.0.0.1:2" {
				t.Errorf("dialled %s", address)
			}
			return fresh, nil
		}
		go e.Run(t.Context())
		for range 4 {
			e.Put(records(30))
			time.Sleep(2 * time.Second)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		s := checkLedger(t, e)
		if s.Sent.Records != 60 || s.Dropped[Unreachable].Records != 60 || len(fresh.sent) != 1 {
			t.Errorf("sent %d, dropped %d, %d datagrams by the new socket",
				s.Sent.Records, s.Dropped[Unreachable].Records, len(fresh.sent))
		}
		local, _ := e.LocalAddr()
		if len(asked) != 5 || asked[3].IsValid() || asked[4] != source || local != source {
			t.Errorf("dialled from %v, now from %v", asked, local)
		}
	})
}
