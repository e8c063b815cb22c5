package export

import (
	"context"
	"net"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

func BenchmarkEncodeV5(b *testing.B)    { benchmarkEncode(b, NetFlow5, record4()) }
func BenchmarkEncodeV9(b *testing.B)    { benchmarkEncode(b, NetFlow9, record4()) }
func BenchmarkEncodeIPFIX(b *testing.B) { benchmarkEncode(b, IPFIX, record4()) }

func BenchmarkEncodeV9IPv6(b *testing.B)    { benchmarkEncode(b, NetFlow9, record6()) }
func BenchmarkEncodeIPFIXIPv6(b *testing.B) { benchmarkEncode(b, IPFIX, record6()) }

// benchmarkEncode measures a record from Append to finished messages, headers
// and template refreshes in the bill.
func benchmarkEncode(b *testing.B, p Protocol, r flow.Record) {
	messages := 0
	epoch := time.Unix(1_700_000_000, 0)
	s, err := NewSession(Config{Protocol: p, Epoch: func() time.Time { return epoch }}, func(*Message) { messages++ })
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Append(&r, r.Expired)
	}
	if messages == 0 && b.N > 30 {
		b.Fatal("no message was finished")
	}
}

// BenchmarkBiflow measures a conversation: two records that are paired and encoded.
func BenchmarkBiflow(b *testing.B) {
	s, err := NewSession(Config{Protocol: IPFIX, Fields: Fields{Biflow: true}}, func(*Message) {})
	if err != nil {
		b.Fatal(err)
	}
	r := record4()
	o := reverseOf(r)
	b.ReportAllocs()
	for b.Loop() {
		s.Append(&r, r.Expired)
		s.Append(&o, r.Expired)
	}
}

// BenchmarkExport measures a record from Put to a loopback socket that nobody
// reads.
func BenchmarkExport(b *testing.B) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	e, err := New(Config{Address: conn.LocalAddr().String(), Rate: -1, Now: liveNow})
	if err != nil {
		b.Fatal(err)
	}
	go e.Run(context.Background())
	rs := records(100)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.PutWait(context.Background(), rs); err != nil {
			b.Fatal(err)
		}
	}
	if err := e.Shutdown(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rs)), "ns/record")
}
