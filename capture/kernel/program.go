//go:build linux

package kernel

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"cacheflow/bpf"
)

// maxInterfaces is how many interfaces have counters of their own at once.
const maxInterfaces = 256

// program is the loaded program with its maps and their mappings.
type program struct {
	size
	wakeAt      uint32 // entries made in a generation on one CPU at which it is closed early
	objects     bpf.ProgramObjects
	generations [2]*ebpf.Map // the inner maps of current
	ringMaps    []*ebpf.Map

	sets    []bpf.ProgramSet      // both halves
	used    []uint64              // a bit for each of them
	states  []bpf.ProgramCpu      // by CPU
	counts  []bpf.ProgramCounters // by interface, CPU, and whether the run was nested
	devices []uint64              // a bpf.ProgramDevice each, written whole
	rings   []ring                // by CPU
	mapped  [][]byte
}

// loadOptions are what differs between kernels and uses.
type loadOptions struct {
	size
	wakeAt uint32
	legacy uint32 // jiffies after which a heartbeat is too old; 0 under tcx
}

// load loads the program into the kernel. Nothing is attached yet.
func load(o loadOptions) (_ *program, err error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("memory limit: %w", err)
	}
	spec, err := loadSpec()
	if err != nil {
		return nil, err
	}
	p := &program{size: o.size, wakeAt: o.wakeAt}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if err := p.adapt(spec, &o); err != nil {
		return nil, err
	}
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, loadError(err)
	}
	if err := p.makeInner(spec); err != nil {
		return nil, err
	}
	return p, p.mapAll()
}

// loadSpec picks the object for the kernel's kind of preemption.
func loadSpec() (*ebpf.CollectionSpec, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	if strings.Contains(unix.ByteSliceToString(name.Version[:]), "PREEMPT_RT") {
		return bpf.LoadRealtime()
	}
	return bpf.LoadProgram()
}

// adapt sets sizes and constants.
func (p *program) adapt(spec *ebpf.CollectionSpec, o *loadOptions) error {
	var seed [7]uint64
	for i := range seed {
		seed[i] = random() | 1
	}
	for name, value := range map[string]any{
		bpf.ProgramVarCpus: uint32(o.cpus), bpf.ProgramVarSetShift: uint32(o.setShift), bpf.ProgramVarSeed: seed,
		bpf.ProgramVarWakeAt: o.wakeAt, bpf.ProgramVarLegacy: o.legacy,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	spec.Maps[bpf.ProgramMapSets].MaxEntries = uint32(2 * o.half())
	spec.Maps[bpf.ProgramMapUsed].MaxEntries = uint32(2 * o.half() / 64)
	spec.Maps[bpf.ProgramMapCpuStates].MaxEntries = uint32(o.cpus)
	spec.Maps[bpf.ProgramMapCounts].MaxEntries = uint32(maxInterfaces * o.cpus * 2)
	spec.Maps[bpf.ProgramMapRings].MaxEntries = uint32(o.cpus)
	spec.Maps[bpf.ProgramMapRings].InnerMap.MaxEntries = uint32(o.ring)
	return nil
}

// makeInner makes the inner maps: two with a generation each, and a ring for
// each CPU.
func (p *program) makeInner(spec *ebpf.CollectionSpec) error {
	for g := range p.generations {
		inner := spec.Maps[bpf.ProgramMapCurrent].InnerMap.Copy()
		inner.Contents = []ebpf.MapKV{{Key: uint32(0), Value: uint32(g)}}
		m, err := ebpf.NewMap(inner)
		if err != nil {
			return fmt.Errorf("make the map of a generation: %w", err)
		}
		p.generations[g] = m
	}
	if err := p.setGeneration(0); err != nil {
		return err
	}
	for cpu := range p.cpus {
		m, err := ebpf.NewMap(spec.Maps[bpf.ProgramMapRings].InnerMap)
		if err != nil {
			return fmt.Errorf("make the ring of CPU %d: %w", cpu, err)
		}
		p.ringMaps = append(p.ringMaps, m)
		if err := p.objects.Rings.Put(uint32(cpu), m); err != nil {
			return fmt.Errorf("make the ring of CPU %d: %w", cpu, err)
		}
	}
	return nil
}

// setGeneration has the program write to half g. When it returns no run writes to
// the other half any more.
func (p *program) setGeneration(g int) error {
	if err := p.objects.Current.Put(uint32(0), p.generations[g]); err != nil {
		return fmt.Errorf("flip the generation: %w", err)
	}
	return nil
}

// mapAll maps what the program and user space share.
func (p *program) mapAll() (err error) {
	o := &p.objects
	if p.sets, err = mapArray[bpf.ProgramSet](p, o.Sets); err != nil {
		return err
	}
	if p.used, err = mapArray[uint64](p, o.Used); err != nil {
		return err
	}
	if p.states, err = mapArray[bpf.ProgramCpu](p, o.CpuStates); err != nil {
		return err
	}
	if p.counts, err = mapArray[bpf.ProgramCounters](p, o.Counts); err != nil {
		return err
	}
	if p.devices, err = mapArray[uint64](p, o.Devices); err != nil {
		return err
	}
	for cpu, m := range p.ringMaps {
		r, err := p.mapRing(m)
		if err != nil {
			return fmt.Errorf("map the ring of CPU %d: %w", cpu, err)
		}
		p.rings = append(p.rings, r)
	}
	return nil
}

// mapArray maps an array map, whose elements are of type T and as long.
func mapArray[T any](p *program, m *ebpf.Map) ([]T, error) {
	var element T
	n := int(m.MaxEntries())
	if uintptr(m.ValueSize()) != unsafe.Sizeof(element) {
		return nil, fmt.Errorf("map of %d octets an element: want %d", m.ValueSize(), unsafe.Sizeof(element))
	}
	b, err := p.mmap(m.FD(), 0, n*int(m.ValueSize()), unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, fmt.Errorf("map %v: %w", m, err)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n), nil
}

func (p *program) mmap(fd int, offset int64, length, protection int) ([]byte, error) {
	b, err := unix.Mmap(fd, offset, length, protection, unix.MAP_SHARED)
	if err == nil {
		p.mapped = append(p.mapped, b)
	}
	return b, err
}

// readJiffies returns the low 32 bits of the kernel's jiffies.
func (p *program) readJiffies() (uint32, error) {
	j, err := p.objects.CacheflowJiffies.Run(&ebpf.RunOptions{Data: make([]byte, 14)})
	if err != nil {
		return 0, fmt.Errorf("read the kernel's clock: %w", err)
	}
	return j, nil
}

func (p *program) close() {
	for _, b := range p.mapped {
		_ = unix.Munmap(b)
	}
	p.objects.Close()
	for _, m := range append(p.ringMaps, p.generations[:]...) {
		if m != nil {
			m.Close()
		}
	}
}

// loadError shortens the verifier's log to its reason.
func loadError(err error) error {
	var refused *ebpf.VerifierError
	if errors.As(err, &refused) {
		return fmt.Errorf("the kernel refused the program: %w", refused)
	}
	return fmt.Errorf("load the program: %w", err)
}

// random returns 64 random bits; crypto/rand.Read never fails.
func random() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.NativeEndian.Uint64(b[:])
}

// isFull reports whether a CPU has made so many entries in a generation that its
// sets begin to overflow.
func (p *program) isFull(generation uint32) bool {
	for i := range p.states {
		if atomic.LoadUint32(&p.states[i].Inserts[generation]) >= p.wakeAt {
			return true
		}
	}
	return false
}

// clearInserts says that a generation has been drained.
func (p *program) clearInserts(generation uint32) {
	for i := range p.states {
		atomic.StoreUint32(&p.states[i].Inserts[generation], 0)
	}
}
