package verify_test

import (
	"context"
	"net"
	"testing"
	"time"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/verify"
)

// Datagrams end the wait also where no record can be decoded, and nothing at all does not.
func TestListenEnds(t *testing.T) {
	for _, datagram := range [][]byte{nil, []byte("no export"), {0, 10, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}} {
		conn, err := collector.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if datagram != nil {
			sender, err := net.Dial("udp", conn.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = sender.Write(datagram)
			sender.Close()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		r, err := verify.Listen(ctx, conn, 50*time.Millisecond)
		if waited := ctx.Err() != nil; err != nil || waited != (datagram == nil) || r.Collector.Datagrams != uint64(min(len(datagram), 1)) {
			t.Errorf("%q: it waited for the end of the context: %v, %d datagrams, %v", datagram, waited, r.Collector.Datagrams, err)
		}
		cancel()
		conn.Close()
	}
}
