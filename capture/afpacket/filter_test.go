//go:build linux

package afpacket

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

// interpreter returns what runs a program on a packet, in x/net/bpf. It has none
// of the kernel's extensions but the length: ext says what each loads.
func (p *program) interpreter(t *testing.T, ext map[bpf.Extension]uint32) func(packet []byte) int {
	t.Helper()
	if _, err := p.assemble(); err != nil {
		t.Fatal(err)
	}
	code := slices.Clone(p.code)
	for i, in := range code {
		if e, ok := in.(bpf.LoadExtension); ok && e.Num != bpf.ExtLen {
			code[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: ext[e.Num]}
		}
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	return func(packet []byte) int {
		n, err := vm.Run(packet)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

func (p *program) run(t *testing.T, ext map[bpf.Extension]uint32, packet []byte) int {
	t.Helper()
	return p.interpreter(t, ext)(packet)
}

// A filter on any set of interface indexes accepts exactly those of the
// existing interfaces that are wanted.
func TestFilterOnIndexes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + r.IntN(300)
		var wanted, existing []uint32
		for range n {
			i := 1 + r.Uint32N(uint32(4*n))
			if r.IntN(100) == 0 {
				i += 1 << 30
			}
			if slices.Contains(existing, i) {
				continue
			}
			existing = append(existing, i)
			if r.IntN(3) > 0 {
				wanted = append(wanted, i)
			}
		}
		set := runs(wanted, existing)
		if len(wanted) == 0 {
			if len(set) != 0 {
				t.Fatalf("runs of nothing: %v", set)
			}
			continue
		}
		p := newProgram()
		p.emit(bpf.LoadAbsolute{Off: 0, Size: 4})
		p.search(set, "found")
		p.label("found")
		p.emit(bpf.RetConstant{Val: 256})
		run := p.interpreter(t, nil)
		for _, i := range append(existing, 0, 1<<31, 1<<32-1) {
			want := 0
			if slices.Contains(wanted, i) {
				want = 256
			}
			if got := run(binary.BigEndian.AppendUint32(nil, i)); got != want {
				t.Fatalf("index %d of %v: %d, want %d", i, set, got, want)
			}
		}
	}
}

// Contiguous interfaces are one run, whatever their number; the filter is small
// enough for the kernel at its limit, and refused beyond.
func TestFilterSize(t *testing.T) {
	var contiguous, odd, all []uint32
	for i := range uint32(5000) {
		contiguous = append(contiguous, 10+i)
		all = append(all, i)
		if i%2 == 1 {
			odd = append(odd, i)
		}
	}
	if got := runs(contiguous, nil); len(got) != 1 || got[0] != (run{10, 5009}) {
		t.Errorf("contiguous indexes are %d runs", len(got))
	}
	if got := runs(odd, odd); len(got) != 1 {
		t.Errorf("indexes without others between are %d runs", len(got))
	}
	spec := filterSpec{snap: 256, indexes: runs(odd, all)[:maxRuns]}
	code, err := spec.filter()
	if err != nil || len(code) > 4096 { // BPF_MAXINSNS
		t.Errorf("%d runs: %d instructions, %v", maxRuns, len(code), err)
	}
	spec.indexes = runs(odd, all)
	if _, err := spec.filter(); err == nil {
		t.Errorf("%d runs were accepted", len(spec.indexes))
	}
}
