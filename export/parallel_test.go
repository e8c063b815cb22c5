package export

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/test/judge"
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
	var recorders []*judge.Recorder
	for i, k := range collectors {
		r := judge.StartRecorder(t, netip.MustParseAddrPort(fmt.Sprintf("127.31.5.%d:2055", i+1)))
		k.cfg.Address, k.cfg.Rate = r.Address.String(), 2000
		recorders, exporters = append(recorders, r), append(exporters, startExporter(t, k.cfg))
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
	for i, k := range collectors {
		recorders[i].Settle(200 * time.Millisecond)
		c := newCollector(t)
		for _, d := range recorders[i].Datagrams() {
			c.receive(d.Data)
		}
		want := uint64(batches * len(batch))
		if k.cfg.Protocol == NetFlow5 {
			want = want * 3 / 4
		}
		got := 0
		for _, fields := range c.firstTemplates() {
			got = max(got, len(fields))
		}
		if got < k.fields || c.sums().Records != want {
			t.Errorf("collector %d: %d records of %d, templates of %d fields at most", i, c.sums().Records, want, got)
		}
	}
}
