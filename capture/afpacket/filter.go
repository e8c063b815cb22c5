//go:build linux

package afpacket

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"cacheflow/capture/link"
)

// maxRuns bounds the runs of interface indexes in a filter: six instructions
// each, of BPF_MAXINSNS = 4096 (linux/bpf_common.h).
const maxRuns = 650

// filterSpec says which frames a socket's filter lets into the ring, and how
// much of them.
type filterSpec struct {
	snap    int
	nothing bool // reject all: before all is set up, and to stop
	// ingressOnly rejects leaving frames; those of lo always are, because they
	// come in again.
	ingressOnly bool
	// indexes, where not nil, are the runs of interface indexes to accept.
	indexes []run
}

// run is a run of interface indexes, both ends included.
type run struct{ first, last uint32 }

// filter returns the socket's filter; its value is the snap length.
func (s *filterSpec) filter() ([]unix.SockFilter, error) {
	p := newProgram()
	if s.nothing || s.indexes != nil && len(s.indexes) == 0 {
		p.emit(bpf.RetConstant{})
		return p.assemble()
	}
	if len(s.indexes) > maxRuns {
		return nil, fmt.Errorf("filter on %d runs of interface indexes: at most %d", len(s.indexes), maxRuns)
	}
	p.emit(bpf.LoadExtension{Num: bpf.ExtType})
	p.jumpIf(bpf.JumpNotEqual, unix.PACKET_OUTGOING, "accept")
	if !s.ingressOnly {
		p.emit(bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
		p.jumpIf(bpf.JumpNotEqual, link.Loopback, "accept")
	}
	p.emit(bpf.RetConstant{})
	p.label("accept")
	if s.indexes != nil {
		p.emit(bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
		p.search(s.indexes, "snap")
		p.label("snap")
	}
	p.snap(s.snap)
	return p.assemble()
}

// search goes to a label if the accumulator is in one of the runs, by halves;
// else it rejects the frame.
func (p *program) search(runs []run, found string) {
	if len(runs) == 1 {
		p.emit(
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: runs[0].first, SkipFalse: 2},
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: runs[0].last, SkipTrue: 1},
		)
		p.jump(found)
		p.emit(bpf.RetConstant{})
		return
	}
	half := len(runs) / 2
	upper := fmt.Sprint("from ", runs[half].first)
	p.jumpIf(bpf.JumpGreaterOrEqual, runs[half].first, upper)
	p.search(runs[:half], found)
	p.label(upper)
	p.search(runs[half:], found)
}

// runs puts wanted indexes together into runs with no other existing index
// inside. New interfaces get indexes above all existing ones, so that a run
// does not come to hold one unseen.
func runs(wanted, existing []uint32) []run {
	want := map[uint32]bool{}
	for _, i := range wanted {
		want[i] = true
	}
	all := slices.Concat(wanted, existing)
	slices.Sort(all)
	out := []run{}
	grow := false
	for _, i := range slices.Compact(all) {
		switch {
		case !want[i]:
			grow = false
		case grow:
			out[len(out)-1].last = i
		default:
			out = append(out, run{i, i})
			grow = true
		}
	}
	return out
}
