//go:build linux

package afpacket

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A program is a classic BPF program with labels (bpf(4),
// Documentation/networking/filter.rst). Conditions jump over one far jump, so
// that a label may be farther away than the 255 instructions of a condition.
type program struct {
	code   []bpf.Instruction
	labels map[string]int
	jumps  map[int]string // where a far jump stands, and its label
}

func newProgram() *program {
	return &program{labels: map[string]int{}, jumps: map[int]string{}}
}

func (p *program) emit(code ...bpf.Instruction) { p.code = append(p.code, code...) }

// label names the place of the next instruction.
func (p *program) label(name string) { p.labels[name] = len(p.code) }

// jump goes to a label further on.
func (p *program) jump(label string) {
	p.jumps[len(p.code)] = label
	p.emit(bpf.Jump{})
}

// jumpIf goes to a label further on if the accumulator compares so to value.
func (p *program) jumpIf(cond bpf.JumpTest, value uint32, label string) {
	p.emit(bpf.JumpIf{Cond: cond, Val: value, SkipFalse: 1})
	p.jump(label)
}

// assemble resolves the labels.
func (p *program) assemble() ([]unix.SockFilter, error) {
	for at, label := range p.jumps {
		to, ok := p.labels[label]
		if !ok || to <= at {
			return nil, fmt.Errorf("filter jumps to %q, which does not follow", label)
		}
		p.code[at] = bpf.Jump{Skip: uint32(to - at - 1)}
	}
	raw, err := bpf.Assemble(p.code)
	if err != nil {
		return nil, err
	}
	out := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		out[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return out, nil
}
