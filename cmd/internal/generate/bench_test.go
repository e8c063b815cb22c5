package generate

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture/synth"
)

// BenchmarkMeter is what a packet costs from its making to the flow cache: of a router with
// 65 536 entries and about 50 000 flows that live, one Observe a packet. Packets come each on its
// own, or four back to back, as a window of TCP does. The inactive timeout is 1 s, so that the
// flows in the cache are those that live.
func BenchmarkMeter(b *testing.B) {
	for _, train := range []int{1, 4} {
		b.Run(fmt.Sprintf("train=%d", train), func(b *testing.B) {
			source, err := synth.New(synth.Config{Profile: steady(train), End: flow.Time(1000 * time.Hour)})
			if err != nil {
				b.Fatal(err)
			}
			table, err := cache.New(cache.Config{
				Entries: 65536, Active: 30 * time.Minute, Inactive: time.Second, Linger: time.Second,
				Router: source, Alloc: tableMemory, Emit: func(*flow.Record) {},
			})
			if err != nil {
				b.Fatal(err)
			}
			batch := make([]flow.Packet, readBatch)
			read := func() int {
				n, horizon, _ := source.Read(batch)
				table.Observe(batch[:n])
				table.Expire(horizon, 1024)
				return n
			}
			for n := 0; n < 8_000_000; {
				n += read()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; {
				n += read()
			}
			b.ReportMetric(float64(table.Stats().Active), "flows")
		})
	}
}

// steady has 3 200 conversations a second of two flows each, of 8 s on average.
func steady(train int) *synth.Profile {
	network := func(name, prefix string, index uint32) synth.Network {
		return synth.Network{Name: name, Prefix: netip.MustParsePrefix(prefix), Interface: index, Weight: 1, Hosts: 200}
	}
	return &synth.Profile{
		Conversations: 3200,
		Day:           synth.Day{Trough: 1},
		Networks:      []synth.Network{network("inside", "10.0.0.0/24", 1), network("outside", "198.51.100.0/24", 2)},
		Applications: []synth.Application{{
			Name: "web", Weight: 1, From: "inside", To: "outside", Protocol: flow.ProtocolTCP,
			Ports: synth.PortRange{First: 443, Last: 443}, Packets: synth.Distribution{Least: 60, Most: 100}, Answer: 1,
			Length: synth.LengthRange{Least: 40, Most: 400}, AnswerLength: synth.LengthRange{Least: 100, Most: 1500},
			Train: train, Interval: time.Second / 10 * time.Duration(train),
		}},
	}
}
