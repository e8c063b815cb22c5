//go:build linux

package kernel

import (
	"cmp"
	"io"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

const (
	// pollTimeout is how long a Read waits for the program to wake it. Each poll costs the
	// Go runtime some 80 µs.
	pollTimeout = 200 * time.Millisecond
	// maxSnapshots is how many snapshots wait for older ones of other CPUs.
	maxSnapshots = 8192
	// late is how long a snapshot may take from its stamp to its place in the ring.
	late = flow.Time(time.Millisecond)
)

// Source hands over what the program counted. One goroutine reads it; Wake may be
// called by any.
//
// It works in rounds. A round takes the producers' positions of all logs and rings, reads
// each up to there, then decodes the snapshots among it in the order of their
// time. Some rounds close a generation: they begin with a flip, take from the
// queues what belongs to that generation, and then the half that nobody writes to.
// What a flow did earlier on a CPU is so handed over before what it did later, but for runs
// that interrupted another.
type Source struct {
	program *program
	clock   clock
	decoder Decoder
	waiter  *waiter
	length  flow.Time // of a generation

	generation uint32 // that whose records and entries are read now
	flipped    flow.Time
	postponed  bool // the flip, by a round that empties the logs and rings
	round      round
	horizon    flow.Time
	snapshots  []bpf.ProgramSnapshot // that were read and not decoded
	decodable  int                   // of them: the first so many, in order
	decoded    int                   // of those
	frame      capture.Frame
	tallies    tallies
	flips      uint64
	early      uint64 // of flips: because a CPU had made so many flows (program.wakeAt)
	victims    uint64

	retired  []retired
	stopping bool
	closed   bool
	final    []capture.Counters // once it is closed
	mu       sync.Mutex
	mail     []func() // what others want done by the goroutine that reads
}

var _ capture.Source = (*Source)(nil)

// round is how far a pass over the logs and rings, and the closed half, has come.
type round struct {
	underWay bool
	closing  bool
	began    flow.Time // before the positions were taken
	horizon  flow.Time // that holds once the round is over, if it closes
	ends     []uintptr // of each ring
	logEnds  []uint32  // of each log
	cpu      int       // whose log and ring are read
	most     uint64    // how full the fullest log or ring was, in parts of full
	// In the half: the next chunk of sets, those of the one before it that are still to
	// be read, and the entries of the set that is read, with the next one.
	chunk   int
	sets    uint64
	entries []entry
	entry   int
}

// entry is one of the first level, with its details.
type entry struct {
	*bpf.ProgramEntry
	details *bpf.ProgramDetails
}

func newSource(p *program, cfg *Config) (*Source, error) {
	c, err := newClock(cfg.Now, p.readJiffies)
	if err != nil {
		return nil, err
	}
	w, err := newWaiter(p.rings)
	if err != nil {
		return nil, err
	}
	s := &Source{
		program: p, clock: c, decoder: cfg.Decoder, waiter: w, length: flow.Time(cfg.Generation),
		flipped: c.latest, horizon: c.latest - c.tick,
		snapshots: make([]bpf.ProgramSnapshot, 0, maxSnapshots),
	}
	s.round.ends, s.round.logEnds = make([]uintptr, p.cpus), make([]uint32, p.cpus)
	s.round.entries = make([]entry, 0, p.cpus*bpf.Ways)
	atomic.StoreUint32(p.heartbeat, c.jiffies())
	return s, nil
}

// Read implements capture.Source.
func (s *Source) Read(batch []flow.Packet) (int, flow.Time, error) {
	s.takeMail()
	n, err := s.fill(batch)
	if err != nil || n > 0 {
		return n, s.horizon, err
	}
	if s.stopping && !s.round.underWay && s.isEmpty() {
		return 0, s.horizon, io.EOF
	}
	if !s.round.underWay && !s.stopping {
		if err := s.wait(); err != nil {
			return 0, s.horizon, err
		}
		s.takeMail()
	}
	return 0, s.horizon, nil
}

// Wake ends the wait of a Read that is under way, or of the next one.
func (s *Source) Wake() { s.waiter.wake() }

// fill works until the batch is full or a round is over.
func (s *Source) fill(batch []flow.Packet) (n int, err error) {
	if !s.round.underWay {
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	if n = s.readQueues(batch); n == len(batch) {
		return n, nil
	}
	if s.decodable == 0 {
		s.order(s.round.closing)
	}
	if n += s.decode(batch[n:]); s.decodable > 0 || s.round.cpu < s.program.cpus || n == len(batch) {
		return n, nil
	}
	if s.round.closing {
		read, done, err := s.readHalf(batch[n:])
		if n += read; err != nil || !done {
			return n, err
		}
		s.program.clearFlows(s.generation)
		s.generation ^= 1
		s.horizon = max(s.horizon, s.round.horizon)
		s.freeRetired()
	}
	s.round.underWay = false
	return n, nil
}

// begin begins a round; if the generation is old enough, one that closes it.
func (s *Source) begin() error {
	atomic.StoreUint32(s.program.heartbeat, s.clock.jiffies())
	now := s.clock.now()
	r := &s.round
	due := s.stopping || now-s.flipped >= s.length
	early := !due && now-s.flipped >= flow.Time(MinGeneration) && s.program.isFull(s.generation)
	r.underWay, r.closing = true, due || early
	// Nobody reads logs and rings during a flip, so that they are emptied before, once.
	if r.closing && !s.postponed && s.isBehind() {
		r.closing, s.postponed = false, true
	}
	r.began, r.cpu, r.most = now, 0, 0
	r.chunk, r.sets, r.entries, r.entry = 0, 0, r.entries[:0], 0
	if r.closing {
		s.postponed = false
		r.horizon = now - s.clock.tick
		if err := s.program.setGeneration(s.generation ^ 1); err != nil {
			r.underWay = false
			return err
		}
		s.flips++
		if early {
			s.early++
		}
		if err := s.clock.sample(); err != nil {
			return err
		}
		s.flipped = s.clock.latest
	}
	for i := range s.program.cpus {
		r.ends[i] = s.program.rings[i].end() // first: a call to look is for what is in the log already
		r.logEnds[i] = s.program.logs[i].readable(r.closing)
	}
	s.clock.latest = s.clock.now()
	return nil
}

// isBehind reports whether a good part of a log or a ring is to be read.
func (s *Source) isBehind() bool {
	for i := range s.program.rings {
		l, r := &s.program.logs[i], &s.program.rings[i]
		if s.fullness(i, l.readable(false), r.end()) > full/8 {
			return true
		}
	}
	return false
}

// full is the fullness of a log or ring that has no room.
const full = 256

// fullness is how much is to be read of a CPU's log or ring, whichever is the fuller
// one, up to these ends: in parts of full.
func (s *Source) fullness(cpu int, logEnd uint32, ringEnd uintptr) uint64 {
	l, r := &s.program.logs[cpu], &s.program.rings[cpu]
	most := uint64(ringEnd-r.at) * full / uint64(s.program.ring)
	if s.program.places > 0 {
		most = max(most, uint64(logEnd-l.at)*full/uint64(s.program.places))
	}
	return most
}

// readQueues reads the logs and the rings up to the round's ends, or until the batch is
// full. Where one has reached the next generation no more is read in this round.
func (s *Source) readQueues(batch []flow.Packet) (n int) {
	for ; s.round.cpu < s.program.cpus; s.round.cpu++ {
		at := s.round.cpu
		s.round.most = max(s.round.most, s.fullness(at, s.round.logEnds[at], s.round.ends[at]))
		if n += s.readLog(&s.program.logs[at], s.round.logEnds[at], batch[n:]); n == len(batch) {
			return n
		}
		r := &s.program.rings[at]
		for r.at != s.round.ends[at] {
			if n == len(batch) || len(s.snapshots) == cap(s.snapshots) {
				r.release()
				return n
			}
			record, behind, ok := r.next(r.at)
			if !ok || record != nil && record.Generation != s.generation {
				break
			}
			if record != nil {
				n += s.take(record, batch[n:])
			}
			r.at = behind
		}
		r.release()
	}
	return n
}

// readLog reads a log up to its end, or until the batch is full.
func (s *Source) readLog(l *victimLog, end uint32, batch []flow.Packet) (n int) {
	for ; l.at != end && n < len(batch); l.at++ {
		f := l.flow(l.at)
		if f.Details.Generation != s.generation {
			break
		}
		s.deliver(&f.Entry, &f.Details, &batch[n])
		n++
	}
	if n > 0 {
		s.victims += uint64(n)
		l.release()
	}
	return n
}

// take hands a record over, or keeps it if it is a snapshot.
func (s *Source) take(record *bpf.ProgramRecord, batch []flow.Packet) int {
	switch bpf.ProgramRecordKind(record.Kind) {
	case bpf.ProgramRecordKindRECORD_VICTIM:
		s.victims++
		f := &(*bpf.ProgramVictim)(unsafe.Pointer(record)).Flow
		s.deliver(&f.Entry, &f.Details, &batch[0])
		return 1
	case bpf.ProgramRecordKindRECORD_SNAPSHOT:
		s.snapshots = append(s.snapshots, *(*bpf.ProgramSnapshot)(unsafe.Pointer(record)))
	}
	return 0
}

// deliver turns an entry into an observation.
func (s *Source) deliver(e *bpf.ProgramEntry, d *bpf.ProgramDetails, p *flow.Packet) {
	s.clock.packet(e, d, p)
	s.tally(d.Interface).add(e, d)
}

// order says which snapshots can be decoded, and sorts them: all, where the round
// closes a generation or no more can be kept; otherwise those that are older than
// the round.
func (s *Source) order(all bool) {
	if len(s.snapshots) == 0 {
		return
	}
	slices.SortStableFunc(s.snapshots, func(a, b bpf.ProgramSnapshot) int { return cmp.Compare(a.Time, b.Time) })
	s.decodable = len(s.snapshots)
	if all || len(s.snapshots) == cap(s.snapshots) {
		return
	}
	limit := monotonic() - uint64(s.clock.now()-s.round.began) - uint64(late)
	s.decodable, _ = slices.BinarySearchFunc(s.snapshots, limit, func(a bpf.ProgramSnapshot, t uint64) int { return cmp.Compare(a.Time, t) })
}

// decode hands the decodable snapshots over. They are forgotten when all are done.
func (s *Source) decode(batch []flow.Packet) (n int) {
	for n < len(batch) && s.decoded < s.decodable {
		snapshot := &s.snapshots[s.decoded]
		s.decoded++
		s.clock.frame(snapshot, &s.frame)
		reason := capture.Other
		if snapshot.Captured > 0 {
			reason = s.decoder.Decode(&s.frame, &batch[n])
		}
		if s.tally(uint32(snapshot.Interface)).decoded(reason, &batch[n]) {
			n++
		}
	}
	if s.decoded == s.decodable {
		s.snapshots = slices.Delete(s.snapshots, 0, s.decoded)
		s.decoded, s.decodable = 0, 0
	}
	return n
}

// readHalf reads and frees the closed half, set by set over all CPUs, from where the
// round has come to, and reports whether it came to the end.
func (s *Source) readHalf(batch []flow.Packet) (n int, done bool, err error) {
	if s.program.simple != nil {
		done, err = s.program.simple.readHalf(s.generation, len(batch), func(e *bpf.ProgramEntry, d *bpf.ProgramDetails) {
			s.deliver(e, d, &batch[n])
			n++
		})
		return n, done, err
	}
	r := &s.round
	for {
		for ; r.entry < len(r.entries); r.entry++ {
			if n == len(batch) {
				return n, false, nil
			}
			e := r.entries[r.entry]
			s.deliver(e.ProgramEntry, e.details, &batch[n])
			n++
		}
		if !s.nextSet() {
			return n, true, nil
		}
	}
}

// nextSet gathers the entries of the next set that a CPU has used, over all CPUs: a
// flow is in the same set of each of them. Where it is in several, what came first is
// handed over first. It reports whether there was one.
func (s *Source) nextSet() bool {
	r := &s.round
	for r.sets == 0 {
		if r.chunk == s.program.size.sets()/chunk {
			return false
		}
		s.nextChunk()
	}
	at := (r.chunk-1)*chunk + bits.TrailingZeros64(r.sets)
	r.sets &= r.sets - 1
	r.entries, r.entry = r.entries[:0], 0
	for cpu := range s.program.parts[s.generation] {
		p := &s.program.parts[s.generation][cpu]
		for w := range entries(p.tags[at]) {
			r.gather(entry{&p.sets[at].Way[w], &p.details[at].Way[w]})
		}
		p.tags[at] = 0
	}
	return true
}

// entries is how many entries a set has by its tags: it is filled from its first way on.
func entries(tags uint64) int { return (bits.Len64(tags) + 15) / 16 }

// gather adds an entry to those of a set, in the order of their first packet. They are
// few, and nearly always in order.
func (r *round) gather(e entry) {
	r.entries = append(r.entries, e)
	for i := len(r.entries) - 1; i > 0 && int32(e.First-r.entries[i-1].First) < 0; i-- {
		r.entries[i], r.entries[i-1] = r.entries[i-1], e
	}
}

// nextChunk finds out which sets of the next chunk any CPU has used, and fetches those of
// the chunk behind it, which lie outside every processor cache.
func (s *Source) nextChunk() {
	r := &s.round
	r.sets = 0
	for cpu := range s.program.parts[s.generation] {
		p := &s.program.parts[s.generation][cpu]
		r.sets |= p.used(r.chunk)
		if r.chunk == 0 {
			p.fetch(0)
		}
		if (r.chunk+1)*chunk < len(p.sets) {
			p.fetch(r.chunk + 1)
		}
	}
	r.chunk++
}

// isEmpty reports whether nothing is left to read.
func (s *Source) isEmpty() bool {
	if len(s.snapshots) > 0 {
		return false
	}
	for i := range s.program.rings {
		if r := &s.program.rings[i]; r.at != r.end() {
			return false
		}
		if l := &s.program.logs[i]; l.at != l.end() {
			return false
		}
	}
	if s.program.simple != nil {
		return s.program.simple.isEmpty()
	}
	return !slices.ContainsFunc(s.program.tags, func(tags uint64) bool { return tags != 0 })
}

// FirstLevel tells how the first-level cache does. It is called as AppendCounters is.
func (s *Source) FirstLevel() capture.FirstLevelState {
	state := capture.FirstLevelState{
		Entries: s.program.cpus * s.program.entries(), Octets: s.program.memory(),
		Flips: int64(s.flips), Early: int64(s.early), Victims: int64(s.victims),
	}
	if !s.closed {
		s.eachEntry(func(*bpf.ProgramEntry, *bpf.ProgramDetails) { state.Used++ })
	}
	return state
}

// wait returns when the program wakes us, at a Wake, or when it is time for the next
// round: after pollTimeout, or sooner where the last one found a queue so full that
// it would overflow until then.
func (s *Source) wait() error {
	timeout := min(pollTimeout, time.Duration(s.flipped+s.length-s.clock.now()))
	if quarters := s.round.most * 4 / full; quarters > 0 {
		timeout = min(timeout, pollTimeout/time.Duration(quarters+1))
	}
	if s.program.isFull(s.generation) { // called for, but too soon after the last flip
		timeout = min(timeout, time.Duration(s.flipped-s.clock.now())+MinGeneration)
	}
	if timeout <= 0 {
		return nil
	}
	return s.waiter.wait(timeout)
}

// post has f run by the goroutine that reads, at its next Read.
func (s *Source) post(f func()) {
	s.mu.Lock()
	s.mail = append(s.mail, f)
	s.mu.Unlock()
	s.waiter.wake()
}

func (s *Source) takeMail() {
	s.mu.Lock()
	mail := s.mail
	s.mail = nil
	s.mu.Unlock()
	for _, f := range mail {
		f()
	}
}

// Close implements capture.Source. The counters stay what they were.
func (s *Source) Close() error {
	if s.closed {
		return nil
	}
	s.final = s.AppendCounters(nil)
	s.closed = true
	s.waiter.close()
	s.program.close()
	return nil
}

// monotonic returns CLOCK_MONOTONIC in nanoseconds, the clock of the snapshots.
func monotonic() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // that clock is always there
	return uint64(t.Nano())
}
