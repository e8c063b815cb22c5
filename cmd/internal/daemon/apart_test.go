//go:build linux

package daemon

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/export"
	"cacheflow/test/judge"
	"cacheflow/test/traffic"
)

// repeated is a source that hands over the same packets again and again, with time going on,
// for as many batches as it is told.
type repeated struct {
	packets []flow.Packet
	batches int
	at      int
	now     flow.Time
}

func (r *repeated) Read(batch []flow.Packet) (int, flow.Time, error) {
	if r.batches == 0 {
		return 0, r.now, io.EOF
	}
	r.batches--
	n := copy(batch, r.packets[r.at:])
	r.at = (r.at + n) % len(r.packets)
	for i := range batch[:n] {
		r.now += flow.Time(time.Microsecond) // a million packets a second
		batch[i].First, batch[i].Last = r.now, r.now
	}
	return n, r.now, nil
}

func (r *repeated) AppendCounters(c []capture.Counters) []capture.Counters { return c }
func (r *repeated) Close() error                                           { return nil }

// threadTime is the CPU time of the thread that calls it.
func threadTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// meteringTime meters packets on a thread of its own, with exporters that run on others, and
// returns what that thread took, a packet, until the source ends.
func meteringTime(t testing.TB, packets []flow.Packet, exporters ...export.Config) time.Duration {
	t.Helper()
	const batches = 16_000
	s := &session{Live: &Live{Cache: cache.Config{}, Drain: time.Second}, own: &ownExports{}, clock: NewClock()}
	s.now, s.epoch = s.clock.Now, (&epoch{clock: s.clock}).time
	for _, c := range exporters {
		c.Now, c.Epoch, c.Options = s.now, s.epoch, export.OptionIntervals{InterfaceTable: -1, Reliability: -1}
		e, err := export.New(c)
		if err != nil {
			t.Fatal(err)
		}
		s.exporters = append(s.exporters, &exporter{Exporter: e})
	}
	c := cache.Config{Entries: 1 << 16, Active: time.Minute, Inactive: 100 * time.Millisecond, Linger: time.Second}
	source := &repeated{packets: packets, batches: batches}
	sh, err := newShard(source, c, s.own, s.deliver)
	if err != nil {
		t.Fatal(err)
	}
	sh.swap(newOutlets(s.exporters, nil))
	s.exporters.start(&s.running)
	time.Sleep(100 * time.Millisecond) // they connect
	took := make(chan time.Duration)
	go func() {
		runtime.LockOSThread() // and ends with the goroutine
		begun := threadTime()
		batch := make([]flow.Packet, readBatch)
		for n, horizon, err := source.Read(batch); err == nil; n, horizon, err = source.Read(batch) {
			sh.step(batch[:n], horizon)
		}
		took <- threadTime() - begun
	}()
	per := <-took / (batches * readBatch)
	if sh.delivered.Flows < batches*readBatch/10 {
		t.Fatalf("only %d records of %d packets", sh.delivered.Flows, batches*readBatch)
	}
	drain, stop := context.WithTimeout(context.Background(), time.Millisecond)
	defer stop()
	s.exporters.shutdown(drain)
	s.running.Wait()
	return per
}

// slowStream is a collector by TCP that reads 1.5 MB a second: 1 % of the records that there
// would be without a bound.
func slowStream(b *testing.B) string {
	l, err := net.Listen("tcp", "127.33.5.2:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	read := func(conn net.Conn) {
		defer conn.Close()
		for buffer := make([]byte, 15_000); ; time.Sleep(10 * time.Millisecond) {
			if _, err := io.ReadFull(conn, buffer); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go read(conn)
		}
	}()
	return l.Addr().String()
}

func median(xs []float64) float64 {
	sorted := slices.Sorted(slices.Values(xs))
	return sorted[len(sorted)/2]
}

// BenchmarkMeteringBesideSlowCollectors compares what metering costs with one collector, and
// with two more of which one is dead and one reads by TCP 1 % of what it should: the median
// of nine rounds, interleaved. There is a record for each nine packets. CACHEFLOW_JUDGE_TIMES
// has it fail where the ratio is above 1.10.
func BenchmarkMeteringBesideSlowCollectors(b *testing.B) {
	packets := packetsOf(b, traffic.Spec{Packets: million, Flows: 50_000, Zipf: 1.1, Size: 60, Seed: 1, Interval: time.Microsecond})
	good := judge.StartRecorder(b, netip.AddrPort{})
	one := []export.Config{{Name: "good", Address: good.Address.String()}}
	three := append(slices.Clone(one), export.Config{Name: "dead", Address: "127.33.5.1:9"},
		export.Config{Name: "slow", Protocol: export.IPFIX, Transport: export.TCP, Address: slowStream(b)})
	for b.Loop() {
		var ratios, alone, beside []float64
		for range 9 {
			x, y := meteringTime(b, packets, one...), meteringTime(b, packets, three...)
			alone, beside = append(alone, float64(x)), append(beside, float64(y))
			ratios = append(ratios, float64(y)/float64(x))
		}
		b.ReportMetric(median(alone), "ns/packet-with-one")
		b.ReportMetric(median(beside), "ns/packet-with-three")
		b.ReportMetric(median(ratios), "ratio")
		if os.Getenv("CACHEFLOW_JUDGE_TIMES") != "" && median(ratios) > 1.10 {
			b.Errorf("a ratio of %.3f: %.3f", median(ratios), ratios)
		}
	}
}
