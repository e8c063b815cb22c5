package bench

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture/pcapfile"
	"cacheflow/test/binary"
	"cacheflow/test/traffic"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m)) }

const million = 1_000_000

// capture writes a million smallest frames to a file.
func capture(b *testing.B, s traffic.Spec) (file string) {
	b.Helper()
	s.Packets, s.Size, s.Seed, s.Interval = million, 60, 1, time.Microsecond
	file = filepath.Join(b.TempDir(), "traffic.pcap")
	if _, err := traffic.WriteFile(file, s); err != nil {
		b.Fatal(err)
	}
	return file
}

// packets reads and decodes a file.
func packets(b *testing.B, file string) (all []flow.Packet) {
	b.Helper()
	s, err := pcapfile.Open(file, pcapfile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	batch := make([]flow.Packet, 256)
	for {
		n, _, err := s.Read(batch)
		all = append(all, batch[:n]...)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate updates, in batches, a million flows that are in the cache, by
// the distinct frames of a capture file, in another order than they came first.
func BenchmarkUpdate(b *testing.B) {
	all := packets(b, capture(b, traffic.Spec{Flows: million, InTurn: true}))
	table, err := cache.New(cache.Config{
		Entries: 1 << 20, Active: time.Hour, Inactive: time.Hour, Linger: time.Second,
		Seed: [2]uint64{1, 2}, Emit: func(*flow.Record) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	table.Observe(all)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; {
		for at := 0; at < len(all) && left > 0; at += 256 {
			n := min(256, len(all)-at, left)
			table.Observe(all[at : at+n])
			left -= n
		}
	}
	b.StopTimer()
	if s := table.Stats(); s.Active != million || s.Observed.Packets != uint64(million+b.N) {
		b.Fatalf("%d flows of %d packets", s.Active, s.Observed.Packets)
	}
}

// BenchmarkReplay runs the program on a file of a million packets in 50 000
// flows, its start included.
func BenchmarkReplay(b *testing.B) {
	file := capture(b, traffic.Spec{Flows: 50_000, Zipf: 1.1})
	program := binary.Path(b)
	for b.Loop() {
		if out, err := exec.Command(program, "replay", "-o", "none", "--ledger", os.DevNull, file).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	b.ReportMetric(float64(b.N)*million/b.Elapsed().Seconds()/1e6, "Mpackets/s")
}
