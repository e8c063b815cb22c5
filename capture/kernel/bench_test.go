//go:build linux

package kernel

import (
	"testing"

	"github.com/cilium/ebpf"

	"cacheflow/bpf"
)

// BenchmarkRun is the program on a hot flow, by BPF_PROG_RUN, beside one that only
// returns.
func BenchmarkRun(b *testing.B) {
	nothing, err := ebpf.NewProgram(nothing)
	if err != nil {
		b.Fatal(err)
	}
	defer nothing.Close()
	l := newLab(b, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	for _, c := range []struct {
		name    string
		program *ebpf.Program
	}{{"nothing", nothing}, {"hot", l.program.ingress}} {
		b.Run(c.name, func(b *testing.B) {
			b.ResetTimer()
			_, err := c.program.Run(&ebpf.RunOptions{Data: octets(b, tcp4), Context: skBuff{Ifindex: loopback}, Repeat: uint32(b.N)})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
