package dtls_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"cacheflow/export"
	"cacheflow/test/authority"
)

// TestSilentCollector: a collector that answers nothing gets the same ClientHello once more
// after a second (RFC 6347 §4.2.4.1), holds nobody up who puts records, nor the end.
func TestSilentCollector(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	a := authority.New(t, "")
	e := start(t, export.Config{
		Address: silent.LocalAddr().String(), Identity: files(a, a.Pair("exporter.example", time.Time{})),
		Reconnect: time.Millisecond, QueueRecords: 100,
	})
	begun := time.Now()
	for range 100 {
		e.Put(records(10))
	}
	if d := time.Since(begun); d > time.Second {
		t.Errorf("Put waited: %v", d)
	}
	silent.SetReadDeadline(begun.Add(2500 * time.Millisecond))
	hellos := 0
	for b := make([]byte, 1<<16); ; hellos++ {
		if _, _, err := silent.ReadFrom(b); err != nil {
			break
		} else if b[0] != handshake {
			t.Errorf("a record of type %d", b[0])
		}
	}
	if hellos != 2 {
		t.Errorf("%d datagrams in 2.5 s", hellos)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun = time.Now()
	if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > time.Second {
		t.Errorf("Shutdown: %v after %v", err, time.Since(begun))
	}
	if s := shutdown(t, e); s.Dropped[export.NoCollector].Records != 100 || s.Dropped[export.QueueFull].Records != 900 {
		t.Errorf("%+v", s.Dropped)
	}
}
