package dtls_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"cacheflow/export"
	"cacheflow/test/authority"
)

// BenchmarkExport measures a record from PutWait to a loopback socket that nobody reads, as
// export's benchmark of UDP does.
func BenchmarkExport(b *testing.B) {
	a := authority.New(b, "")
	c := startCollector(b, a)
	e := start(b, export.Config{
		Address: c.address.String(), Identity: files(a, a.Pair("exporter.example", time.Time{})), Rate: -1,
		Logger: slog.New(slog.DiscardHandler),
	})
	await(b, "an association", func() bool { return c.associations() > 0 && e.Up() })
	c.udp.SetReadDeadline(time.Unix(1, 0))
	rs := records(100)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.PutWait(context.Background(), rs); err != nil {
			b.Fatal(err)
		}
	}
	shutdown(b, e)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rs)), "ns/record")
}
