package cache

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"cacheflow/cache/flow"
)

// Bounds of what New accepts. MaxTimeout is the router's (Flexible NetFlow
// takes 1 to 604800 seconds); it must stay far below 2^31 ms, for mark.
const (
	MinEntries = 16
	MaxEntries = 1 << 24
	MaxTimeout = 604800 * time.Second
)

// Config describes a Table.
type Config struct {
	// Entries is the number of flows that the cache holds, fixed for its life.
	Entries int
	// Active ends a flow this long after it was made, Inactive after its last
	// packet, Linger after its first TCP FIN or RST. Linger may be 0.
	Active, Inactive, Linger time.Duration
	// Seed keys the hash; take it at random, so that nobody can aim at it.
	Seed [2]uint64
	// Router is asked once for each flow that is made; nil asks nobody.
	Router Router
	// Emit is handed each record that leaves, which it must copy: the record is
	// valid during the call only. It must not call the table.
	Emit func(*flow.Record)
}

// Memory returns the size in octets of the table that c describes, all in.
func (c *Config) Memory() int64 {
	return int64(c.Entries) * int64(unsafe.Sizeof(slot{})+2*unsafe.Sizeof(link{})+2*unsafe.Sizeof(uint64(0)))
}

// slot is one entry of the cache: 160 octets, of which the first 104 are
// touched by a packet of a known flow.
type slot struct {
	flow.Packet
	route flow.Route
	// mark is a point of time in milliseconds modulo 2^32, rounded up: when the
	// flow was made, or when it first carried FIN or RST. Timeouts are far
	// shorter than 2^31 ms, and a flow that nobody touched is idle long before.
	mark uint32
	// seen is the table's clock at the flow's latest packet. That clock never
	// goes back, so that the LRU ring is sorted by it.
	seen flow.Time
}

// Table is the flow cache. One goroutine owns it; see the package's comment.
//
// Every flow is in the index, in the LRU ring, and in one of two rings by age:
// made (flows without FIN or RST) or ended (with one). All three are sorted by
// time, so that whatever is due stands at their ends: expiry costs O(1) a flow.
type Table struct {
	seeds    seeds
	index    index
	slots    []slot
	lru      links // one ring, its sentinel the number of entries
	ages     links // two rings, made and ended; next also chains the free slots
	made     uint32
	ended    uint32
	freeHead uint32 // first free slot; the number of entries where there is none
	entries  uint32

	inactive           flow.Time
	activeMs, lingerMs uint32
	inactiveMs         uint32

	now     flow.Time // the largest time seen so far
	router  Router
	emit    func(*flow.Record)
	out     flow.Record // what emit is handed
	touched byte        // keeps the loads of prefetch alive
	stats   Stats
}

// New returns an empty table. All of its memory is allocated here.
func New(c Config) (*Table, error) {
	switch {
	case c.Entries < MinEntries || c.Entries > MaxEntries:
		return nil, fmt.Errorf("cache of %d entries: must have %d to %d", c.Entries, MinEntries, MaxEntries)
	case c.Active < time.Millisecond || c.Active > MaxTimeout:
		return nil, fmt.Errorf("active timeout of %v: must be 1ms to %v", c.Active, MaxTimeout)
	case c.Inactive < time.Millisecond || c.Inactive > MaxTimeout:
		return nil, fmt.Errorf("inactive timeout of %v: must be 1ms to %v", c.Inactive, MaxTimeout)
	case c.Linger < 0 || c.Linger > MaxTimeout:
		return nil, fmt.Errorf("linger of %v: must be 0 to %v", c.Linger, MaxTimeout)
	case c.Emit == nil:
		return nil, errors.New("cache without a consumer of its records")
	}
	n := uint32(c.Entries)
	t := &Table{
		seeds:      newSeeds(c.Seed),
		index:      newIndex(c.Entries),
		slots:      make([]slot, c.Entries),
		lru:        newLinks(c.Entries, 1),
		ages:       newLinks(c.Entries, 2),
		made:       n,
		ended:      n + 1,
		entries:    n,
		inactive:   flow.Time(c.Inactive),
		inactiveMs: milliseconds(flow.Time(c.Inactive)),
		activeMs:   milliseconds(flow.Time(c.Active)),
		lingerMs:   milliseconds(flow.Time(c.Linger)),
		router:     c.Router,
		emit:       c.Emit,
	}
	for i := range n {
		t.ages[i].next = i + 1
	}
	t.stats.Entries = c.Entries
	return t, nil
}

// milliseconds returns t modulo 2^32 ms, rounded up, so that what is counted
// from it is never due too early.
func milliseconds(t flow.Time) uint32 {
	return uint32((uint64(t) + uint64(time.Millisecond) - 1) / uint64(time.Millisecond))
}

// Each calls f with a copy of each flow in the cache, the least recently used
// first, until f returns false. End is 0 and Expired the table's clock.
func (t *Table) Each(f func(*flow.Record) bool) {
	for i := t.lru.oldest(t.entries); i != t.entries; i = t.lru[i].prev {
		s := &t.slots[i]
		t.out = flow.Record{Packet: s.Packet, Route: s.route, Expired: t.now}
		if !f(&t.out) {
			return
		}
	}
}

// Content sums the flows in the cache from their entries.
func (t *Table) Content() Sum {
	var sum Sum
	for i := t.lru.oldest(t.entries); i != t.entries; i = t.lru[i].prev {
		sum.Flows++
		sum.Packets += t.slots[i].Packets
		sum.Octets += t.slots[i].Octets
	}
	return sum
}
