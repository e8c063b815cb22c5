//go:build linux

package kernel

import (
	"cmp"
	"iter"
	"slices"
	"unsafe"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// maxGone is how many interfaces that are gone keep counters of their own; of more
// the oldest are summed up in one.
const maxGone = 1024

// goneIndex is the index of the entry that sums up the others.
const goneIndex = ^uint32(0)

// tallies are the counters of the interfaces. An interface that is captured has a
// place, under which the program counts; one that is gone has only what it left.
type tallies struct {
	places [bpf.Interfaces]*tally
	gone   []*tally // in the order of their going
}

// tally is what user space counts of one interface.
type tally struct {
	capture.Counters
}

// enter gives an interface a place, or the one that it has another name.
func (t *tallies) enter(place uint16, index uint32, name, mode string) {
	if known := t.places[place]; known != nil {
		known.Name = name
		return
	}
	for i, g := range t.gone {
		if g.Index == index && g.Name == name {
			t.places[place], t.gone = g, slices.Delete(t.gone, i, i+1)
			return
		}
	}
	t.places[place] = &tally{capture.Counters{Index: index, Name: name, Mode: mode}}
}

// leave takes the place back. What the program counted there has been added.
func (t *tallies) leave(place uint16) {
	t.gone = append(t.gone, t.places[place])
	t.places[place] = nil
	if len(t.gone) <= maxGone {
		return
	}
	if t.gone[0].Index != goneIndex {
		t.gone = slices.Insert(t.gone, 0, &tally{capture.Counters{Index: goneIndex, Name: "gone", Mode: t.gone[0].Mode}})
	}
	t.gone[0].Add(&t.gone[1].Counters)
	t.gone = slices.Delete(t.gone, 1, 2)
}

// add counts an entry that is handed over.
func (t *tally) add(e *bpf.ProgramEntry, d *bpf.ProgramDetails) {
	t.Observations++
	t.Metered += frames(e, d)
	t.Packets += uint64(e.Packets)
	t.Octets += e.Octets
	t.FirstLevel.HandedOver.Packets += uint64(e.Packets)
	t.FirstLevel.HandedOver.Octets += e.Octets
}

// frames is how many sk_buffs an entry's packets came in. While the program writes to them
// its two words may not fit together.
func frames(e *bpf.ProgramEntry, d *bpf.ProgramDetails) uint64 {
	packets, merged := e.Packets, d.Merged
	if merged >= packets {
		return 1
	}
	return uint64(packets - merged)
}

// decoded counts what became of a snapshot, and reports whether it is metered.
func (t *tally) decoded(reason capture.Reason, p *flow.Packet) bool {
	if reason != capture.Decoded {
		t.NotMetered[reason]++
		return false
	}
	t.Observations++
	t.Metered++
	t.Packets += p.Packets
	t.Octets += p.Octets
	return true
}

// countsOf returns the program's counters of a place: one for each CPU, and for its
// nested runs.
func (p *program) countsOf(place uint16) iter.Seq[*bpf.ProgramCounters] {
	return func(yield func(*bpf.ProgramCounters) bool) {
		for at := int(place); at < len(p.counts); at += bpf.Interfaces {
			if !yield(&p.counts[at]) {
				return
			}
		}
	}
}

// addCounts adds what the program counted to c.
func addCounts(c *capture.Counters, counts iter.Seq[*bpf.ProgramCounters]) {
	for n := range counts {
		c.Observed += n.Observed
		c.Lost += n.Lost
		c.OtherHost += n.OtherHost
		c.SampledOut += n.SampledOut
		c.NotMetered[capture.NonIP] += n.Ignored
		c.FirstLevel.Counted.Packets += n.MeteredPackets
		c.FirstLevel.Counted.Octets += n.MeteredOctets
		c.FirstLevel.Lost.Packets += n.LostPackets
		c.FirstLevel.Lost.Octets += n.LostOctets
	}
}

// tally returns the counters of a place. Who gave the place away has said so by
// mail, before the program knew of it.
func (s *Source) tally(place uint32) *tally {
	if t := s.tallies.places[place%bpf.Interfaces]; t != nil {
		return t
	}
	s.takeMail()
	return s.tallies.places[place%bpf.Interfaces]
}

// retired is the place of an interface that is gone. It is free once a generation
// was closed in which nothing was counted there: the second one, since a run that began
// before its hook was gone may have counted in that which the first flip opened.
type retired struct {
	place uint16
	flips uint64
	free  func(place uint16)
}

// retire has free called once a place can be given to another interface.
func (s *Source) retire(place uint16, free func(place uint16)) {
	s.retired = append(s.retired, retired{place, s.flips, free})
}

// freeRetired takes the places of which nothing is left in the cache, the logs or the rings: two
// flips came after their hooks were gone, and each waited for the runs of before.
func (s *Source) freeRetired() {
	s.retired = slices.DeleteFunc(s.retired, func(r retired) bool {
		if s.flips < r.flips+2 {
			return false
		}
		counts := s.program.countsOf(r.place)
		addCounts(&s.tallies.places[r.place].Counters, counts)
		for n := range counts {
			*n = bpf.ProgramCounters{}
		}
		s.tallies.leave(r.place)
		r.free(r.place)
		return true
	})
}

// AppendCounters implements capture.Source. What the program has counted is read
// while it counts: it agrees to the packet at a quiet instant.
func (s *Source) AppendCounters(c []capture.Counters) []capture.Counters {
	if s.closed {
		return append(c, s.final...)
	}
	s.takeMail()
	first := len(c)
	var at [bpf.Interfaces]*capture.Counters
	c = slices.Grow(c, bpf.Interfaces+len(s.tallies.gone)) // so that at stays valid
	for place, t := range s.tallies.places {
		if t != nil {
			c = append(c, t.Counters)
			at[place] = &c[len(c)-1]
			addCounts(at[place], s.program.countsOf(uint16(place)))
		}
	}
	s.addContent(&at)
	s.addQueues(&at)
	for _, t := range s.tallies.gone {
		c = append(c, t.Counters)
	}
	slices.SortStableFunc(c[first:], func(a, b capture.Counters) int { return cmp.Compare(a.Index, b.Index) })
	return c
}

// addContent adds what is in the first-level cache, summed from its entries.
func (s *Source) addContent(at *[bpf.Interfaces]*capture.Counters) {
	s.eachEntry(func(e *bpf.ProgramEntry, d *bpf.ProgramDetails) {
		if c := at[d.Interface%bpf.Interfaces]; c != nil {
			c.InFirstLevel += frames(e, d)
			c.FirstLevel.Content.Packets += uint64(e.Packets)
			c.FirstLevel.Content.Octets += e.Octets
		}
	})
}

// eachEntry calls do with each entry of the first level, also those that are gathered to
// be handed over.
func (s *Source) eachEntry(do func(*bpf.ProgramEntry, *bpf.ProgramDetails)) {
	for _, e := range s.round.entries[s.round.entry:] {
		do(e.ProgramEntry, e.details)
	}
	if s.program.simple != nil {
		s.program.simple.each(do)
		return
	}
	for at, tags := range s.program.tags {
		for w := range entries(tags) {
			do(&s.program.sets[at].Way[w], &s.program.details[at].Way[w])
		}
	}
}

// addQueues adds what waits in the logs and the rings, and the snapshots that wait to be decoded.
func (s *Source) addQueues(at *[bpf.Interfaces]*capture.Counters) {
	for i := s.decoded; i < len(s.snapshots); i++ {
		if c := at[s.snapshots[i].Interface%bpf.Interfaces]; c != nil {
			c.InRing++
		}
	}
	for i := range s.program.logs {
		l := &s.program.logs[i]
		for position, end := l.at, l.end(); position != end; position++ {
			addVictim(at, l.flow(position))
		}
	}
	for i := range s.program.rings {
		r := &s.program.rings[i]
		for position, end := r.at, r.end(); position != end; {
			record, behind, ok := r.next(position)
			if !ok {
				break
			}
			position = behind
			if record != nil {
				addRecord(at, record)
			}
		}
	}
}

func addRecord(at *[bpf.Interfaces]*capture.Counters, record *bpf.ProgramRecord) {
	switch bpf.ProgramRecordKind(record.Kind) {
	case bpf.ProgramRecordKindRECORD_VICTIM:
		addVictim(at, &(*bpf.ProgramVictim)(unsafe.Pointer(record)).Flow)
	case bpf.ProgramRecordKindRECORD_SNAPSHOT:
		if c := at[(*bpf.ProgramSnapshot)(unsafe.Pointer(record)).Interface%bpf.Interfaces]; c != nil {
			c.InRing++
		}
	}
}

func addVictim(at *[bpf.Interfaces]*capture.Counters, f *bpf.ProgramFlow) {
	e, d := &f.Entry, &f.Details
	if c := at[d.Interface%bpf.Interfaces]; c != nil {
		c.InRing += frames(e, d)
		c.FirstLevel.InRing.Packets += uint64(e.Packets)
		c.FirstLevel.InRing.Octets += e.Octets
	}
}
