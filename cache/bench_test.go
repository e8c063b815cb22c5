package cache

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// frames returns n packets of flows distinct flows, uniformly chosen, a
// microsecond apart.
func frames(n, flows int) []flow.Packet {
	r := rand.New(rand.NewPCG(1, 2))
	ps := make([]flow.Packet, n)
	for i := range ps {
		who := i
		if n > flows {
			who = r.IntN(flows)
		}
		p := testPacket(443, flow.Time(time.Hour)+flow.Time(i)*1000)
		binary.BigEndian.PutUint32(p.Src[:], 10<<24|uint32(who))
		p.TCPFlags = flow.ACK
		ps[i] = p
	}
	return shuffled(ps, 3)
}

// shuffled gives the packets' times to their keys in another order.
func shuffled(ps []flow.Packet, seed uint64) []flow.Packet {
	rand.New(rand.NewPCG(seed, 4)).Shuffle(len(ps), func(i, j int) { ps[i].Key, ps[j].Key = ps[j].Key, ps[i].Key })
	return ps
}

func benchTable(b *testing.B, entries int) *Table {
	t, _ := newTable(b, Config{Entries: entries, Active: time.Hour, Inactive: time.Hour, Linger: time.Second, Seed: [2]uint64{1, 2}, Emit: func(*flow.Record) {}})
	return t
}

// BenchmarkObserveHot updates one flow.
func BenchmarkObserveHot(b *testing.B) {
	table := benchTable(b, 65536)
	ps := frames(256, 1)
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(ps) {
		table.Observe(ps)
	}
}

// BenchmarkObserve updates flows that are all in the cache, in another order than
// they were made in, so that no processor cache foresees where they lie.
func BenchmarkObserve(b *testing.B) {
	for _, flows := range []int{1000, 50_000, 1_000_000} {
		b.Run(fmt.Sprint(flows), func(b *testing.B) {
			table := benchTable(b, max(flows*5/4, 65536))
			ps := frames(flows, flows)
			table.Observe(ps)
			shuffled(ps, 5)
			b.ReportAllocs()
			b.ResetTimer()
			for i, at := 0, 0; i < b.N; i += 256 {
				table.Observe(ps[at:min(at+256, len(ps))])
				if at += 256; at >= len(ps) {
					at = 0
				}
			}
		})
	}
}

// BenchmarkChurn makes a new flow with each packet and ends the oldest.
func BenchmarkChurn(b *testing.B) {
	table := benchTable(b, 65536)
	ps := frames(1_000_000, 1_000_000)
	table.Observe(ps)
	b.ReportAllocs()
	b.ResetTimer()
	for i, at := 0, 0; i < b.N; i += 256 {
		table.Observe(ps[at:min(at+256, len(ps))])
		if at += 256; at >= len(ps) {
			at = 0
		}
	}
}

// BenchmarkFlush ends all flows of a large cache, a flow an operation.
func BenchmarkFlush(b *testing.B) {
	const flows = 1_000_000
	table := benchTable(b, flows)
	ps := frames(flows, flows)
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= flows {
		b.StopTimer()
		table.Observe(ps)
		table.Observe(shuffled(ps, uint64(left)))
		b.StartTimer()
		table.Flush(min(left, flows))
		b.StopTimer()
		table.Flush(flows)
		b.StartTimer()
	}
}
