package collector

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"cacheflow/export"
)

// Serve hands over what the socket still holds when it is told to stop.
func TestServeDrainsTheSocket(t *testing.T) {
	const n = 500
	c := New(Config{})
	conn, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sender, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	for i := range n {
		sender.Write(message5(uint32(30*i), 30))
	}
	sender.Write([]byte{0, 8}) // refused, and no reason to stop
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	records := 0
	start := time.Now()
	if err := c.Serve(ctx, conn, func(*Record) { records++ }); err != nil {
		t.Fatal(err)
	}
	if records != 30*n || c.Stats().Found[UnknownVersion] != 1 {
		t.Errorf("%d records, want %d; %+v", records, 30*n, c.Stats())
	}
	if took := time.Since(start); took > drainTotal+time.Second {
		t.Errorf("took %v to stop", took)
	}
}

// Stats and Exporters are asked while datagrams come in; the race detector
// listens.
func TestStatsWhileServing(t *testing.T) {
	c := New(Config{})
	var records atomic.Int64
	port, stop := start(t, c, func(*Record) { records.Add(1) })
	sender, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	for i := range 200 {
		sender.Write(message5(uint32(i), 1))
		c.Stats()
		c.Exporters()
	}
	stop()
	if s := c.Stats(); s.Records != 200 || records.Load() != 200 || s.LostRecords != 0 {
		t.Errorf("%d records, %+v", records.Load(), s)
	}
}

func TestServeReturnsTheErrorOfAClosedSocket(t *testing.T) {
	conn, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := New(Config{}).Serve(t.Context(), conn, nil); err == nil {
		t.Error("no error")
	}
	if _, err := Listen("127.0.0.1:none"); err == nil {
		t.Error("listens on port none")
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, p := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		b.Run(p.String(), func(b *testing.B) {
			var datagrams [][]byte
			s, _ := export.NewSession(export.Config{Protocol: p}, func(m *export.Message) {
				datagrams = append(datagrams, append([]byte(nil), m.Data...))
			})
			for _, r := range someRecords(1000) {
				s.Append(r, headerTime)
			}
			s.Flush(headerTime)
			c, records := New(Config{}), 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.Decode(datagrams[i%len(datagrams)], exporterA, received, func(*Record) { records++ })
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
		})
	}
}
