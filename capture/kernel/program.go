//go:build linux

package kernel

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"cacheflow/bpf"
	"cacheflow/cache/prefetch"
	"cacheflow/capture"
)

// program is the loaded program with its maps and their mappings.
type program struct {
	size
	wakeAt uint32    // flows made in a generation on one CPU at which it is closed early
	seed   [7]uint64 // of the hash
	*ebpf.Collection
	ingress, egress *ebpf.Program
	barrier         *ebpf.Map    // an array of one map; see setGeneration
	fillings        [2]*ebpf.Map // what it holds in turn
	ringMaps        []*ebpf.Map

	simple    *simple                 // the simple flavour has this instead of sets
	sets      []bpf.ProgramSet        // by CPU and generation
	details   []bpf.ProgramSetDetails // of their entries
	tags      []uint64                // of each set, 16 bits for each way that has an entry
	parts     [2][]part               // of the three, by generation and CPU
	counts    []bpf.ProgramCounters   // by CPU, whether the run was nested, and interface
	rings     []ring                  // by CPU
	logs      []victimLog             // by CPU
	half      *uint32                 // the half that is written to: 0, or how many sets further on it is
	heartbeat *uint32
	states    []bpf.ProgramCpu // by CPU
	devices   []uint64         // a bpf.ProgramDevice each, written whole
	mapped    [][]byte
}

// loadOptions are what differs between kernels and uses.
type loadOptions struct {
	size
	wakeAt   uint32
	legacy   uint32 // jiffies after which a heartbeat is too old; 0 under tcx
	simple   bool
	mapType  ebpf.MapType // of the simple flavour, for comparison; 0: a hash map
	sampling capture.Sampling
}

// load loads the program into the kernel. Nothing is attached yet.
func load(o loadOptions) (_ *program, err error) {
	spec, err := loadSpec(o.simple)
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
	if p.Collection, err = ebpf.NewCollection(spec); err != nil {
		return nil, loadError(err)
	}
	p.ingress, p.egress = p.Programs[bpf.ProgramProgCacheflowIngress], p.Programs[bpf.ProgramProgCacheflowEgress]
	if err := p.makeBarrier(); err != nil {
		return nil, err
	}
	if err := p.makeRings(spec); err != nil {
		return nil, err
	}
	return p, p.mapAll(spec)
}

// loadSpec picks the flavour, for the kernel's kind of preemption.
func loadSpec(simple bool) (*ebpf.CollectionSpec, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	realtime := strings.Contains(unix.ByteSliceToString(name.Version[:]), "PREEMPT_RT")
	switch {
	case simple && realtime:
		return nil, errors.New("there is no simple flavour of the program for PREEMPT_RT")
	case simple:
		return bpf.LoadSimple()
	case realtime:
		return bpf.LoadRealtime()
	}
	return bpf.LoadProgram()
}

// adapt sets sizes and constants.
func (p *program) adapt(spec *ebpf.CollectionSpec, o *loadOptions) error {
	values := map[string]any{bpf.ProgramVarLegacy: o.legacy, bpf.ProgramVarWakeOctets: uint32(o.ring / wakeShare)}
	if o.sampling.Interval > 1 {
		values[bpf.ProgramVarSampleInterval] = o.sampling.Interval
		values[bpf.ProgramVarSampleRandom] = uint32(0)
		if o.sampling.Random {
			values[bpf.ProgramVarSampleRandom] = uint32(1)
		}
	}
	if o.simple {
		for _, name := range []string{bpf.SimpleMapFlows0, bpf.SimpleMapFlows1} {
			m := spec.Maps[name]
			m.MaxEntries = uint32(o.cpus * o.entries())
			m.Type = cmp.Or(o.mapType, m.Type)
		}
	} else {
		p.adaptSets(spec, o, values)
	}
	for name, value := range values {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	spec.Maps[bpf.ProgramMapCounts].MaxEntries = uint32(bpf.Interfaces * o.cpus * 2)
	spec.Maps[bpf.ProgramMapRings].MaxEntries = uint32(o.cpus)
	spec.Maps[bpf.ProgramMapRings].InnerMap.MaxEntries = uint32(o.ring)
	return nil
}

// adaptSets sets the sizes and constants of the sets and logs.
func (p *program) adaptSets(spec *ebpf.CollectionSpec, o *loadOptions, values map[string]any) {
	for i := range p.seed {
		p.seed[i] = random() | 1
	}
	values[bpf.ProgramVarSetMask] = uint32(o.sets() - 1)
	values[bpf.ProgramVarSeed], values[bpf.ProgramVarWakeAt] = p.seed, o.wakeAt
	values[bpf.ProgramVarLogPlaces], values[bpf.ProgramVarLogOpen] = uint32(o.places), o.open()
	spec.Maps[bpf.ProgramMapSets].MaxEntries = uint32(2 * o.cpus * o.sets())
	spec.Maps[bpf.ProgramMapSetsDetails].MaxEntries = uint32(2 * o.cpus * o.sets())
	spec.Maps[bpf.ProgramMapSetsTags].MaxEntries = uint32(2 * o.cpus * o.sets())
	spec.Maps[bpf.ProgramMapPassedBy].MaxEntries = uint32(o.cpus)
	spec.Maps[bpf.ProgramMapLogs].MaxEntries = uint32(max(o.cpus*o.places, 1))
}

// makeBarrier makes the map whose change waits for running programs.
func (p *program) makeBarrier() (err error) {
	inner := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	for i := range p.fillings {
		if p.fillings[i], err = ebpf.NewMap(inner); err != nil {
			return fmt.Errorf("make a map: %w", err)
		}
	}
	p.barrier, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: inner})
	if err != nil {
		return fmt.Errorf("make an array of maps: %w", err)
	}
	return nil
}

// makeRings makes a ring for each CPU.
func (p *program) makeRings(spec *ebpf.CollectionSpec) error {
	for cpu := range p.cpus {
		m, err := ebpf.NewMap(spec.Maps[bpf.ProgramMapRings].InnerMap)
		if err != nil {
			return fmt.Errorf("make the ring of CPU %d: %w", cpu, err)
		}
		p.ringMaps = append(p.ringMaps, m)
		if err := p.Maps[bpf.ProgramMapRings].Put(uint32(cpu), m); err != nil {
			return fmt.Errorf("make the ring of CPU %d: %w", cpu, err)
		}
	}
	return nil
}

// setGeneration has the program write to half g. When it returns no run writes to
// the other half any more: a change of an array of maps makes the kernel wait for
// every run that is under way (maybe_wait_bpf_programs in kernel/bpf/syscall.c), and
// those that begin later see g.
func (p *program) setGeneration(g uint32) error {
	atomic.StoreUint32(p.half, g*uint32(p.size.sets()))
	if err := p.barrier.Put(uint32(0), p.fillings[g]); err != nil {
		return fmt.Errorf("flip the generation: %w", err)
	}
	return nil
}

// mapAll maps what the program and user space share.
func (p *program) mapAll(spec *ebpf.CollectionSpec) (err error) {
	if p.Maps[bpf.SimpleMapFlows0] != nil {
		p.simple = &simple{maps: [2]*ebpf.Map{p.Maps[bpf.SimpleMapFlows0], p.Maps[bpf.SimpleMapFlows1]}}
	} else if err := p.mapSets(); err != nil {
		return err
	}
	if p.counts, err = mapArray[bpf.ProgramCounters](p, bpf.ProgramMapCounts); err != nil {
		return err
	}
	if err := p.mapGlobals(spec); err != nil {
		return err
	}
	if err := p.mapLogs(); err != nil {
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

// mapSets maps the sets, and finds the parts of the CPUs in them.
func (p *program) mapSets() (err error) {
	if p.tags, err = mapArray[uint64](p, bpf.ProgramMapSetsTags); err != nil {
		return err
	}
	if p.sets, err = mapArray[bpf.ProgramSet](p, bpf.ProgramMapSets); err != nil {
		return err
	}
	if p.details, err = mapArray[bpf.ProgramSetDetails](p, bpf.ProgramMapSetsDetails); err != nil {
		return err
	}
	p.divide()
	return nil
}

// globals is the map of the program's variables.
const globals = ".bss"

func (p *program) mapGlobals(spec *ebpf.CollectionSpec) error {
	b, err := p.mmap(p.Maps[globals].FD(), 0, int(p.Maps[globals].ValueSize()), unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return fmt.Errorf("map the variables: %w", err)
	}
	at := func(name string) unsafe.Pointer { return unsafe.Pointer(&b[spec.Variables[name].Offset]) }
	p.half = (*uint32)(at(bpf.ProgramVarHalf))
	p.heartbeat = (*uint32)(at(bpf.ProgramVarHeartbeat))
	p.states = unsafe.Slice((*bpf.ProgramCpu)(at(bpf.ProgramVarCpuStates)), bpf.CPUs)[:p.cpus]
	p.devices = unsafe.Slice((*uint64)(at(bpf.ProgramVarDevices)), bpf.Devices)
	for cpu := range p.states {
		p.states[cpu].FirstSet = uint32(2 * cpu * p.size.sets())
	}
	return nil
}

// mapLogs maps the logs of the CPUs. There may be none.
func (p *program) mapLogs() error {
	p.logs = make([]victimLog, p.cpus)
	for cpu := range p.logs {
		p.logs[cpu].state = &p.states[cpu]
	}
	if p.places == 0 {
		return nil
	}
	places, err := mapArray[bpf.ProgramFlow](p, bpf.ProgramMapLogs)
	if err != nil {
		return err
	}
	for cpu := range p.logs {
		p.logs[cpu].places, p.logs[cpu].open = places[cpu*p.places:][:p.places], p.open()
	}
	return nil
}

// mapArray maps an array map, whose elements are of type T and as long.
func mapArray[T any](p *program, name string) ([]T, error) {
	var element T
	m := p.Maps[name]
	n := int(m.MaxEntries())
	if uintptr(m.ValueSize()) != unsafe.Sizeof(element) {
		return nil, fmt.Errorf("map of %d octets an element: want %d", m.ValueSize(), unsafe.Sizeof(element))
	}
	b, err := p.mmap(m.FD(), 0, n*int(m.ValueSize()), unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, fmt.Errorf("map %s, %d octets: %w", name, n*int(m.ValueSize()), err)
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
	j, err := p.Programs[bpf.ProgramProgCacheflowJiffies].Run(&ebpf.RunOptions{Data: make([]byte, 14)})
	if err != nil {
		return 0, fmt.Errorf("read the kernel's clock: %w", err)
	}
	return j, nil
}

func (p *program) close() {
	for _, b := range p.mapped {
		_ = unix.Munmap(b)
	}
	p.mapped = nil
	if p.Collection != nil {
		p.Close()
	}
	for _, m := range append(p.ringMaps, p.barrier, p.fillings[0], p.fillings[1]) {
		m.Close() // nil is closed
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

// part is a CPU's part of a generation.
type part struct {
	tags    []uint64
	sets    []bpf.ProgramSet
	details []bpf.ProgramSetDetails
}

// chunk is how many sets are looked at together.
const chunk = 64

// used marks the sets of a chunk that have entries, by a bit each.
func (p *part) used(at int) (sets uint64) {
	for i, tags := range p.tags[at*chunk:][:chunk] {
		if tags != 0 {
			sets |= 1 << i
		}
	}
	return sets
}

// fetch has the processor fetch the sets of a chunk that have entries: the first two, with
// their details.
func (p *part) fetch(chunkAt int) {
	var at [chunk]uint32
	n := 0
	for sets := p.used(chunkAt); sets != 0; sets &= sets - 1 {
		at[n] = uint32(chunkAt*chunk + bits.TrailingZeros64(sets))
		n++
	}
	for _, offset := range []uintptr{0, 64} {
		prefetch.Lines(p.sets, offset, at[:n])
		prefetch.Lines(p.details, offset, at[:n])
	}
}

// divide finds the parts in what is mapped.
func (p *program) divide() {
	for g := range p.parts {
		for cpu := range p.cpus {
			at := cpu*2 + g
			first, sets := at*p.size.sets(), p.size.sets()
			p.parts[g] = append(p.parts[g], part{p.tags[first:][:sets], p.sets[first:][:sets], p.details[first:][:sets]})
		}
	}
}

// isFull reports whether a CPU has made so many flows in a generation that it is to be
// closed early.
func (p *program) isFull(generation uint32) bool {
	for i := range p.states {
		if atomic.LoadUint32(&p.states[i].Flows[generation]) >= p.wakeAt {
			return true
		}
	}
	return false
}

// clearFlows says that a generation has been drained.
func (p *program) clearFlows(generation uint32) {
	for i := range p.states {
		atomic.StoreUint32(&p.states[i].Flows[generation], 0)
	}
}
