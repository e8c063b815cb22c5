package synth

import (
	"errors"
	"time"

	"cacheflow/cache/flow"
)

// stream is the packets of one direction of a conversation that are still to come. It is one
// cache line: with many streams each train waits for one.
type stream struct {
	src, dst         [16]byte  // as in flow.Key
	due              flow.Time // when the next train leaves, since Start
	gap              float32   // the mean time from train to train, in nanoseconds
	left             uint32    // packets
	srcPort, dstPort uint16
	class            uint16
	closing          uint8 // TCP flags of the last packet; 0 for those of all others
	input            uint8 // index of the interface's counters
	opened           bool  // the first packet is out
	_                [7]byte
}

// class is what all streams of one role in an application have in common.
type class struct {
	train                  uint32 // packets back to back
	least, spread          uint32 // IP total length: so much, and up to so much more
	bare                   uint32 // IP total length of a segment without data
	opening, flags         uint8  // TCP flags of the first packet, if others than those of all
	steady                 bool
	protocol, tos, version uint8
}

// ttl is what a router sees of hosts that begin with 64, one hop away.
const ttl = 63

// Time moves on in slots: each stream stands in the slot in which its next train leaves, and
// the packets of a slot are spread over it evenly, so that their order needs no sorting. What
// lies farther ahead than there are slots is put into the last of them, to be looked at again.
const (
	slotBits  = 20 // of nanoseconds: 1.05 ms
	slotWidth = flow.Time(1) << slotBits
	slots     = 4096 // 4.3 s
)

// run is a train that leaves in a slot; one of no packets is that of a stream which is due later.
type run struct{ stream, packets uint32 }

// maxGap is longer than anybody waits for a packet, 100 days: times must not overflow.
const maxGap = 100 * 24 * float64(time.Hour)

// maxStreams bounds the memory: 64 octets each, and some 20 for its places.
const maxStreams = 1 << 22

// errStreams says that a profile has too many long conversations.
var errStreams = errors.New("more than 4 million streams of packets live at once: fewer conversations, or shorter ones")

// begin takes a stream in.
func (s *Source) begin(st *stream) {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		s.streams[i] = *st
		s.schedule(i)
		return
	}
	if len(s.streams) == maxStreams {
		s.err = errStreams
		return
	}
	s.streams = append(s.streams, *st)
	s.schedule(uint32(len(s.streams) - 1))
}

// schedule puts a stream into the slot in which it is due.
func (s *Source) schedule(i uint32) {
	st := &s.streams[i]
	due := int64(st.due >> slotBits)
	r := run{i, min(st.left, s.classes[st.class].train)}
	if last := s.slot + slots - 1; due > last {
		due, r.packets = last, 0
	}
	in := &s.slots[due%slots]
	if *in == nil && len(s.spare) > 0 {
		last := len(s.spare) - 1
		*in, s.spare = s.spare[last], s.spare[:last]
	}
	*in = append(*in, r)
}

// settle puts the streams that rested into their slots. Which these are is known for all of them
// now, and what is about to be written is loaded at once.
func (s *Source) settle() {
	x := s.sink
	for _, i := range s.rested {
		in := s.slots[int64(s.streams[i].due>>slotBits)%slots]
		if n := len(in); n > 0 {
			x ^= byte(in[n-1].packets)
		}
	}
	s.sink = x
	for _, i := range s.rested {
		s.schedule(i)
	}
	s.rested = s.rested[:0]
}

// gather takes the trains of the present slot, and returns how many packets they have.
func (s *Source) gather() (total uint32) {
	if s.runs != nil {
		s.spare = append(s.spare, s.runs[:0])
	}
	in := s.slots[s.slot%slots]
	s.slots[s.slot%slots] = nil
	s.runs, s.run, s.sent = in[:0], 0, 0
	for _, r := range in {
		if r.packets == 0 {
			st := &s.streams[r.stream]
			if int64(st.due>>slotBits) > s.slot {
				s.schedule(r.stream)
				continue
			}
			r.packets = min(st.left, s.classes[st.class].train)
		}
		s.runs = append(s.runs, r)
		total += r.packets
	}
	return total
}

// ahead is how many trains are prefetched at once: enough for the cache misses to overlap.
const ahead = 32

// prefetch loads the streams of the next trains. Nothing but time depends on it.
func (s *Source) prefetch() {
	x := s.sink
	for _, r := range s.runs[s.run:min(s.run+ahead, len(s.runs))] {
		x ^= s.streams[r.stream].closing
	}
	s.sink = x
}
