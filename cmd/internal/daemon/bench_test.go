package daemon

import (
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture/pcapfile"
	"cacheflow/test/traffic"
)

const million = 1_000_000

// packetsOf returns generated packets, read from a capture file and decoded.
func packetsOf(b *testing.B, spec traffic.Spec) (all []flow.Packet) {
	b.Helper()
	file := filepath.Join(b.TempDir(), "traffic.pcap")
	if _, err := traffic.WriteFile(file, spec); err != nil {
		b.Fatal(err)
	}
	s, err := pcapfile.Open(file, pcapfile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	batch := make([]flow.Packet, readBatch)
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

// BenchmarkUpdate updates, in batches, a million flows that are in a cache as the
// daemon makes it, by the distinct frames of a capture file, in another order
// than they came first.
func BenchmarkUpdate(b *testing.B) {
	all := packetsOf(b, traffic.Spec{Packets: million, Flows: million, InTurn: true, Size: 60, Seed: 1, Interval: time.Microsecond})
	table, err := cache.New(cache.Config{
		Entries: 1 << 20, Active: time.Hour, Inactive: time.Hour, Linger: time.Second,
		Seed: [2]uint64{1, 2}, Alloc: tableMemory, Emit: func(*flow.Record) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	table.Observe(all)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	b.ReportAllocs()
	at := 0
	for b.Loop() {
		table.Observe(all[at : at+readBatch])
		if at += readBatch; at+readBatch > len(all) {
			at = 0
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*readBatch), "ns/update")
	if s := table.Stats(); s.Active != million || s.Observed.Packets < million+uint64(b.N*readBatch) {
		b.Fatalf("%d flows of %d packets", s.Active, s.Observed.Packets)
	}
}
