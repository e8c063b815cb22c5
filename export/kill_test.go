package export

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"cacheflow/test/authority"
)

// TestForeignCollectorKilled: openssl is stopped in the middle of a stream, so that its
// receive buffer fills up, and killed. What is missing is what was declared and what it
// had not read, and its successor gets the rest.
func TestForeignCollectorKilled(t *testing.T) {
	t.Parallel()
	need(t, "openssl")
	a := authority.New(t, "ca")
	client := a.Pair("exporter.example", time.Time{})
	s := authority.StartTLS(t, a, a.Pair("collector.example", time.Time{}))
	e := startExporter(t, Config{
		Protocol: IPFIX, Transport: TLS, Address: s.Address, Reconnect: 200 * time.Millisecond, QueueRecords: 1 << 20,
		Identity: identity(func() (*tls.Config, error) {
			return &tls.Config{RootCAs: a.Pool(), Certificates: []tls.Certificate{client}, ServerName: "collector.example"}, nil
		}),
	})
	for range 150 {
		e.Put(records(1000))
	}
	await(t, "received", func() bool { return s.Received() > 1<<20 })
	s.Signal(syscall.SIGSTOP)
	unread := 0
	await(t, "all that was on its way is acknowledged", func() bool {
		before := unread
		time.Sleep(time.Second)
		unread = receiveQueue(t, s.Address)
		return unread > 0 && unread == before
	})
	first := decode(t, s.Kill())
	s.Start()
	await(t, "found again", func() bool { return s.Received() > 0 })
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := decode(t, s.Stop())

	stats := checkLedger(t, e)
	declared := stats.Dropped[Hangup].Records
	missing := stats.Made.Records - first.Records - second.Records
	// openssl may have had one record of TLS in hand.
	size := newTemplates(&e.cfg).all[0].size
	held := uint64((unread + DefaultStreamMTU) / size)
	t.Logf("made %d, received %d and %d, missing %d, declared %d, in the receive buffer %d octets: at most %d records",
		stats.Made.Records, first.Records, second.Records, missing, declared, unread, held)
	if unread == 0 || declared == 0 || missing < declared || missing > declared+held {
		t.Errorf("ledger %+v", stats)
	}
}

// receiveQueue returns how many octets the connection to a local IPv4 address waits to
// have read: rx_queue of proc_net_tcp, see Documentation/networking/proc_net_tcp.rst.
func receiveQueue(t *testing.T, address string) int {
	t.Helper()
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	local := netip.MustParseAddrPort(address)
	ip := local.Addr().As4()
	const established = "01"
	want := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), local.Port())
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && fields[1] == want && fields[3] == established {
			var tx, rx int
			if _, err := fmt.Sscanf(fields[4], "%x:%x", &tx, &rx); err != nil {
				t.Fatal(err)
			}
			return rx
		}
	}
	t.Fatalf("no connection to %s", address)
	return 0
}
