package synth

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// Config describes a Source.
type Config struct {
	Profile *Profile
	// Seed and Router choose the traffic: that of two routers with one seed is not alike.
	Seed   uint64
	Router uint32
	// Start and End are the times between which packets are observed; Boot is the wall time
	// of flow.Time 0.
	Start, End flow.Time
	Boot       time.Time
}

// Source makes the packets of one router. It is also the router of its own networks.
// One goroutine uses it.
type Source struct {
	cfg      Config
	random   *rand.Rand
	bits     *rand.PCG // what random draws from
	ends     map[string]*ends
	apps     weights
	classes  []class
	counters []capture.Counters

	streams []stream
	free    []uint32
	slots   [slots][]run
	spare   [][]run // memory of slots that are over: the last one is still in the processor's caches
	slot    int64   // the present one, counted from Start
	arrival float64 // of the next conversation, in nanoseconds since Start
	err     error

	// What is handed over of the present slot.
	runs []run
	run  int       // the one under way
	sent uint32    // packets of it
	time flow.Time // of the packet before
	step flow.Time // from packet to packet
	sink byte      // keeps the loads of prefetching alive
	// rested are the streams that wait for their next train, and have no slot yet.
	rested []uint32
}

var _ capture.Source = (*Source)(nil)

// New returns the source of one router.
func New(c Config) (*Source, error) {
	if err := c.Profile.Check(); err != nil {
		return nil, err
	}
	if c.End < c.Start {
		return nil, fmt.Errorf("traffic of %v: want 0 or more", c.End.Sub(c.Start))
	}
	pcg := rand.NewPCG(c.Seed, uint64(c.Router)+1)
	s := &Source{cfg: c, random: rand.New(pcg), bits: pcg, slot: -1, rested: make([]uint32, 0, ahead)}
	s.layOut()
	s.arrival = s.nextArrival(0)
	return s, nil
}

// Read hands over packets in the order of their times, which is the horizon too.
func (s *Source) Read(batch []flow.Packet) (n int, horizon flow.Time, err error) {
	for n < len(batch) {
		if s.run == len(s.runs) && !s.turn() {
			break
		}
		n += s.emit(batch[n:])
	}
	if n == 0 && len(batch) > 0 {
		return 0, s.cfg.End, s.err
	}
	return n, s.time, nil
}

// turn moves on to the next slot that has packets; false where there is none.
func (s *Source) turn() bool {
	for s.err == nil {
		s.settle()
		s.slot++
		start := s.cfg.Start + flow.Time(s.slot)*slotWidth
		if start >= s.cfg.End {
			s.err = io.EOF
			break
		}
		for s.err == nil && s.arrival < float64(s.slot+1)*float64(slotWidth) {
			s.converse(flow.Time(s.arrival))
			s.arrival = s.nextArrival(s.arrival)
		}
		if total := s.gather(); total > 0 {
			s.step = min(slotWidth, s.cfg.End-start) / flow.Time(total)
			s.time = start - s.step
			return true
		}
	}
	return false
}

// emit writes packets of the run under way, and returns how many.
func (s *Source) emit(batch []flow.Packet) int {
	if s.sent == 0 && s.run%ahead == 0 {
		s.prefetch()
	}
	r := s.runs[s.run]
	st := &s.streams[r.stream]
	n := min(len(batch), int(r.packets-s.sent))
	octets := s.train(st, batch[:n])
	c := &s.counters[st.input]
	c.Packets += uint64(n)
	c.Octets += octets
	if s.sent += uint32(n); s.sent == r.packets {
		s.rest(r.stream)
		s.run, s.sent = s.run+1, 0
	}
	return n
}

// train writes packets of a stream and returns their octets.
func (s *Source) train(st *stream, batch []flow.Packet) (octets uint64) {
	c, input := &s.classes[st.class], s.counters[st.input].Index
	for i := range batch {
		flags, length := c.flags, c.least+uint32(uint64(c.spread)*(s.bits.Uint64()>>32)>>32)
		switch {
		case !st.opened && c.opening != 0:
			flags, length = c.opening, c.bare
		case st.left == 1 && st.closing != 0:
			flags, length = st.closing, c.bare
		}
		st.opened = true
		st.left--
		s.time += s.step
		octets += uint64(length)
		p := &batch[i] // field by field: the compiler would put a literal together elsewhere, and copy it
		*p = flow.Packet{}
		p.Src, p.Dst, p.SrcPort, p.DstPort, p.Input = st.src, st.dst, st.srcPort, st.dstPort, input
		p.Protocol, p.ToS, p.Version = c.protocol, c.tos, c.version
		p.TCPFlags, p.MinTTL, p.MaxTTL = uint16(flags), ttl, ttl
		p.Packets, p.Octets, p.MinLength, p.MaxLength = 1, uint64(length), length, length
		p.First, p.Last = s.time, s.time
	}
	return octets
}

// rest has a stream wait for its next train, or forgets it.
func (s *Source) rest(i uint32) {
	st := &s.streams[i]
	if st.left == 0 {
		s.free = append(s.free, i)
		return
	}
	gap := float64(st.gap)
	if !s.classes[st.class].steady {
		gap *= s.random.ExpFloat64()
	}
	switch { // min and max would care for what is not a number
	case gap < float64(slotWidth):
		gap = float64(slotWidth)
	case gap > maxGap:
		gap = maxGap
	}
	st.due += flow.Time(gap)
	s.rested = append(s.rested, i)
	if len(s.rested) == cap(s.rested) {
		s.settle()
	}
}

// AppendCounters has one interface for each of the networks'.
func (s *Source) AppendCounters(c []capture.Counters) []capture.Counters {
	before := len(c)
	for _, counters := range s.counters {
		counters.Observed, counters.Metered, counters.Observations = counters.Packets, counters.Packets, counters.Packets
		c = append(c, counters)
	}
	slices.SortFunc(c[before:], func(a, b capture.Counters) int { return cmp.Compare(a.Index, b.Index) })
	return c
}

// Close has nothing to close.
func (s *Source) Close() error { return nil }
