package export

import (
	"context"
	"net"
	"net/netip"
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

// BenchmarkExport measures a record from Put to a collector on loopback: encoding, sending
// and the kernel's work up to the collector's socket, which somebody reads on another CPU.
func BenchmarkExport(b *testing.B) {
	b.Run("bursts", func(b *testing.B) { benchmarkExport(b, Config.dial) })
	b.Run("singly", func(b *testing.B) { benchmarkExport(b, dialSingly) })
}

// dialSingly returns a socket as that to another host is: it sends no bursts.
func dialSingly(c Config, ctx context.Context, address string, source netip.AddrPort) (socket, error) {
	sock, err := c.dial(ctx, address, source)
	return struct{ socket }{sock}, err
}

func benchmarkExport(b *testing.B, dial func(Config, context.Context, string, netip.AddrPort) (socket, error)) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	received := make(chan uint64)
	go func() { received <- countDatagrams(conn) }()
	e, err := New(Config{Address: conn.LocalAddr().String(), Rate: -1, Now: liveNow})
	if err != nil {
		b.Fatal(err)
	}
	e.dial = func(ctx context.Context, address string, source netip.AddrPort) (socket, error) {
		return dial(e.cfg, ctx, address, source)
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
	b.ReportMetric(float64(b.N)*float64(len(rs))/b.Elapsed().Seconds()/1e6, "Mrecords/s")
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	b.ReportMetric(100*float64(<-received)/float64(e.Stats().Datagrams.Count), "%received")
}

// countDatagrams reads until conn's deadline.
func countDatagrams(conn net.PacketConn) (n uint64) {
	defer conn.Close()
	for buf := make([]byte, MaxMTU); ; n++ {
		if _, _, err := conn.ReadFrom(buf); err != nil {
			return n
		}
	}
}
