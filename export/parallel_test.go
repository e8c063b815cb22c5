package export

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// TestSeveralCollectors is RFC 5471 §3.5.6: one exporting process serves several collectors
// at once, with simple and with complex templates. Each gets every record, in its own form.
func TestSeveralCollectors(t *testing.T) {
	t.Parallel()
	const batches = 200
	collectors := []struct {
		cfg    Config
		fields int // of the template for IPv4
	}{
		{Config{Protocol: NetFlow5}, 0},
		{Config{Protocol: NetFlow9, Fields: Fields{Layout: LayoutNetFlowOriginal}}, 18},
		{Config{Protocol: NetFlow9, Fields: Fields{FlowID: true}, MTU: 512}, 39},
		{Config{Protocol: IPFIX, Fields: Fields{Layout: LayoutASR1000}}, 15},
		{Config{Protocol: IPFIX, Fields: Fields{Timestamps: TimestampsNanoseconds, FlowID: true}, WideTCPFlags: true}, 39},
	}
	batch := make([]flow.Record, 20)
	for i := range batch {
		if batch[i] = record4(); i%4 == 3 {
			batch[i] = record6()
		}
	}
	var exporters []*Exporter
	var receiving sync.WaitGroup
	for i, k := range collectors {
		conn := listen(t, fmt.Sprintf("127.31.5.%d:2055", i+1))
		k.cfg.Address, k.cfg.Rate = conn.LocalAddr().String(), 2000
		exporters = append(exporters, startExporter(t, k.cfg))
		want := uint64(batches * len(batch))
		if k.cfg.Protocol == NetFlow5 {
			want = want * 3 / 4
		}
		receiving.Go(func() {
			c := newCollector(t)
			for _, b := range readAhead(conn) {
				c.receive(b)
			}
			got := 0
			for _, fields := range c.firstTemplates() {
				got = max(got, len(fields))
			}
			if got < k.fields || c.sums().Records != want {
				t.Errorf("collector %d: %d records of %d, templates of %d fields at most", i, c.sums().Records, want, got)
			}
		})
	}
	for range batches {
		for _, e := range exporters {
			e.Put(batch)
		}
		time.Sleep(time.Millisecond)
	}
	for _, e := range exporters {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	receiving.Wait()
}

// readAhead returns what comes until nothing has come for two seconds; to decode meanwhile
// would take too long for the socket's buffer.
func readAhead(conn net.PacketConn) (datagrams [][]byte) {
	for b := make([]byte, MaxMTU); ; {
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return datagrams
		}
		datagrams = append(datagrams, bytes.Clone(b[:n]))
	}
}
