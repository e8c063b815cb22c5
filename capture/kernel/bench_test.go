//go:build linux

package kernel

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
)

// BenchmarkRun is the program as shipped on a hot flow, by BPF_PROG_RUN, beside one
// that only returns, and beside the simple flavour with the kernel's hash maps: the
// same walk, the same clock.
func BenchmarkRun(b *testing.B) {
	nothing, err := ebpf.NewProgram(nothing)
	if err != nil {
		b.Fatal(err)
	}
	defer nothing.Close()
	b.Run("nothing", func(b *testing.B) { hot(b, nothing) })
	b.Run("sets", func(b *testing.B) {
		hot(b, newLab(b, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS).program.ingress)
	})
	for _, t := range []ebpf.MapType{ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash} {
		b.Run(t.String(), func(b *testing.B) {
			l := loadLab(b, Config{Simple: true}, t)
			l.device(bpf.ProgramDeviceFlagDEVICE_INGRESS)
			hot(b, l.program.ingress)
		})
	}
}

// BenchmarkCPUs is the program on one CPU, and on two at once: they share nothing that is
// written to, so that two count twice as much. It tells the frames of all in a second.
func BenchmarkCPUs(b *testing.B) {
	needTwoCPUs(b)
	for _, cpus := range []int{1, 2} {
		b.Run(fmt.Sprint(cpus), func(b *testing.B) {
			l := newLab(b, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
			var running sync.WaitGroup
			b.ResetTimer()
			for cpu := range cpus {
				running.Go(func() {
					defer pin(b, cpu)()
					repeat(b, l.program.ingress)
				})
			}
			running.Wait()
			b.ReportMetric(float64(b.N*cpus)/b.Elapsed().Seconds()/1e6, "Mframes/s")
		})
	}
}

func hot(b *testing.B, p *ebpf.Program) {
	b.ResetTimer()
	repeat(b, p)
}

// repeat has a program see one frame b.N times, by one system call.
func repeat(b *testing.B, p *ebpf.Program) {
	if _, err := p.Run(&ebpf.RunOptions{Data: octets(b, tcp4), Context: skBuff{Ifindex: loopback}, Repeat: uint32(b.N)}); err != nil {
		b.Error(err)
	}
}

// BenchmarkNote is the egress hook on a forwarded packet, whose egress interface it
// notes: what forwarding costs besides BenchmarkRun/sets.
func BenchmarkNote(b *testing.B) {
	l := newLab(b, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	l.ingress(b, octets(b, tcp4), skBuff{})
	b.ResetTimer()
	_, err := l.program.egress.Run(&ebpf.RunOptions{
		Data: octets(b, tcp4), Context: skBuff{Ifindex: loopback, IngressIfindex: loopback}, Repeat: uint32(b.N),
	})
	if err != nil {
		b.Fatal(err)
	}
}

// fill writes n flows into the half that is closed next, as the program would.
func (l *lab) fill(n int) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		p := &l.parts[l.source.generation][i%l.cpus]
		at := r.IntN(len(p.sets))
		if w := entries(p.tags[at]); w < bpf.Ways {
			p.sets[at].Way[w] = bpf.ProgramEntry{Src: uint64(i), Packets: 1, Octets: 40}
			p.tags[at] |= 1 << (16 * w)
		}
	}
}

// BenchmarkDrain is what a flow costs to hand over, without the table's own update:
// 200 000 flows in a closed half, again and again. What a flip waits for the kernel,
// which is no work, is told apart.
func BenchmarkDrain(b *testing.B) {
	const flows = 200_000
	l := newLab(b, Config{Entries: 1 << 18}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	batch := make([]flow.Packet, 256)
	l.source.length = 0
	drained, flips := 0, 0
	var waited time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for drained < b.N {
		b.StopTimer()
		l.fill(flows)
		begun := time.Now()
		if err := l.source.begin(); err != nil {
			b.Fatal(err)
		}
		waited += time.Since(begun)
		flips++
		b.StartTimer()
		for l.source.round.underWay {
			n, err := l.source.fill(batch)
			if err != nil {
				b.Fatal(err)
			}
			drained += n
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(drained), "ns/flow")
	b.ReportMetric(float64(waited.Milliseconds())/float64(flips), "ms-wait/flip")
}
