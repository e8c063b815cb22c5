//go:build linux

package kernel

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"cacheflow/bpf"
)

// BenchmarkRun is the program on a hot flow, by BPF_PROG_RUN, beside one that only
// returns.
func BenchmarkRun(b *testing.B) {
	nothing, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
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
