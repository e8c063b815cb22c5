//go:build linux

package afpacket

import (
	"cmp"
	"math"
	"slices"

	"cacheflow/capture"
)

const (
	// maxGone is how many interfaces that are gone keep an entry of their own.
	maxGone = 1024
	// goneIndex is the index of the entry that sums up the others.
	goneIndex = math.MaxUint32
	mode      = "af_packet"
)

// tallies are one source's counters, one for each interface that it has seen,
// in the order of their index. Index 0 is the ring that several share.
type tallies struct {
	all  []*capture.Counters
	last *capture.Counters // the one that was asked for last
	gone []uint32          // in the order of their going
}

// of returns the counters of an interface, which may be new.
func (t *tallies) of(index uint32) *capture.Counters {
	if t.last != nil && t.last.Index == index {
		return t.last
	}
	at, ok := slices.BinarySearchFunc(t.all, index, func(c *capture.Counters, i uint32) int {
		return cmp.Compare(c.Index, i)
	})
	if !ok {
		t.all = slices.Insert(t.all, at, &capture.Counters{Index: index, Mode: mode})
	}
	t.last = t.all[at]
	return t.last
}

// enter returns the counters of an interface that is captured from now on.
func (t *tallies) enter(index uint32, name string) *capture.Counters {
	c := t.of(index)
	c.Name = name
	t.gone = slices.DeleteFunc(t.gone, func(i uint32) bool { return i == index })
	return c
}

// leave says that an interface is gone. Its counters stay; of more than maxGone
// such interfaces the oldest are summed up in one entry.
func (t *tallies) leave(index uint32) {
	t.gone = append(t.gone, index)
	if len(t.gone) <= maxGone {
		return
	}
	oldest := t.of(t.gone[0])
	t.gone = slices.Delete(t.gone, 0, 1)
	sum := t.enter(goneIndex, "gone")
	sum.Add(oldest)
	t.all = slices.DeleteFunc(t.all, func(c *capture.Counters) bool { return c == oldest })
	t.last = nil
}
