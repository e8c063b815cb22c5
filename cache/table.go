package cache

import (
	"errors"
	"fmt"
	"math"
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
	// Alloc returns zeroed memory for the table, aligned to 128 octets, for as
	// long as the table lives. It is called once; nil takes Go's heap.
	Alloc func(octets int) ([]byte, error)
	// Emit is handed each record that leaves, which it must copy: the record is
	// valid during the call only. It must not call the table.
	Emit func(*flow.Record)
}

// Memory returns the size in octets of the table that c describes, all in: 192
// octets an entry, and the sentinels of the rings.
func (c *Config) Memory() int64 {
	const entry = unsafe.Sizeof(flow.Packet{}) + unsafe.Sizeof(node{}) + unsafe.Sizeof([16]byte{}) + 2*unsafe.Sizeof(uint64(0))
	return int64(c.Entries)*int64(entry) + sentinels*int64(unsafe.Sizeof(node{}))
}

// node is what the table keeps of a flow besides its sum: half a cache line.
type node struct {
	links [rings]link
	// seen is the table's clock at the flow's latest packet. That clock never
	// goes back, so that the ring by use is sorted by it.
	seen flow.Time
	// mark is a point of time in milliseconds modulo 2^32, rounded up: when the
	// flow was made, or when it first carried FIN or RST. Timeouts are far
	// shorter than 2^31 ms, and a flow that nobody touched is idle long before.
	mark uint32
	// What the route lookup answered, but for the next hop itself.
	nextHopVersion, srcPrefixLen, dstPrefixLen uint8
	status                                     flow.ForwardingStatus
}

// Table is the flow cache. One goroutine owns it; see the package's comment.
//
// Every flow is in the index, in the ring by use (LRU), and in one of two rings
// by age: made (flows without FIN or RST) or ended (with one). All three are
// sorted by time, so that whatever is due stands at their ends: expiry costs
// O(1) a flow.
//
// A flow's parts are in arrays of their own, which a packet of a known flow
// touches as little as it can: two lines of sums, its node, and its neighbours'.
type Table struct {
	seeds    seeds
	index    index
	sums     []flow.Packet
	nodes    nodes
	nextHops [][16]byte // valid where the node has a nextHopVersion
	used     uint32     // the sentinels
	made     uint32
	ended    uint32
	freeHead uint32 // first slot that was left, chained by the age's next; the number of entries where there is none
	fresh    uint32 // slots from here on were never used: a table with few flows touches little memory
	entries  uint32

	inactive           flow.Time
	activeMs, lingerMs uint32
	inactiveMs         uint32

	now    flow.Time // the largest time seen so far
	router Router
	emit   func(*flow.Record)
	out    flow.Record // what emit is handed; scratch of route
	stats  Stats
}

// New returns an empty table. All of its memory is allocated here.
func New(c Config) (*Table, error) {
	switch {
	case c.Entries < MinEntries || c.Entries > MaxEntries:
		return nil, fmt.Errorf("cache of %d entries: must have %d to %d", c.Entries, MinEntries, MaxEntries)
	case c.Memory() > math.MaxInt:
		return nil, fmt.Errorf("cache of %d entries: needs %d octets, more than this system can address", c.Entries, c.Memory())
	case c.Emit == nil:
		return nil, errors.New("cache without a consumer of its records")
	}
	if err := checkTimeouts(c.Active, c.Inactive, c.Linger); err != nil {
		return nil, err
	}
	alloc := c.Alloc
	if alloc == nil {
		alloc = func(octets int) ([]byte, error) { return make([]byte, octets), nil }
	}
	m, err := alloc(int(c.Memory()))
	if err != nil {
		return nil, fmt.Errorf("cache of %d entries: %w", c.Entries, err)
	}
	n := uint32(c.Entries)
	t := &Table{
		seeds:    newSeeds(c.Seed),
		sums:     take[flow.Packet](&m, c.Entries),
		nodes:    newNodes(take[node](&m, c.Entries+sentinels)),
		nextHops: take[[16]byte](&m, c.Entries),
		index:    take[uint64](&m, 2*c.Entries),
		used:     n,
		made:     n,
		ended:    n + 1,
		freeHead: n,
		entries:  n,
		router:   c.Router,
		emit:     c.Emit,
	}
	t.setTimeouts(c.Active, c.Inactive, c.Linger)
	t.stats.Entries = c.Entries
	return t, nil
}

// SetTimeouts changes the timeouts, of the flows in the cache as well: what is
// over by the new ones leaves with the next Expire. An error changes nothing.
func (t *Table) SetTimeouts(active, inactive, linger time.Duration) error {
	if err := checkTimeouts(active, inactive, linger); err != nil {
		return err
	}
	t.setTimeouts(active, inactive, linger)
	return nil
}

// setTimeouts leaves the rings as they are: they are sorted by when things
// happened, not by when a flow is due.
func (t *Table) setTimeouts(active, inactive, linger time.Duration) {
	t.inactive = flow.Time(inactive)
	t.inactiveMs = milliseconds(t.inactive)
	t.activeMs = milliseconds(flow.Time(active))
	t.lingerMs = milliseconds(flow.Time(linger))
}

func checkTimeouts(active, inactive, linger time.Duration) error {
	switch {
	case active < time.Millisecond || active > MaxTimeout:
		return fmt.Errorf("active timeout of %v: must be 1ms to %v", active, MaxTimeout)
	case inactive < time.Millisecond || inactive > MaxTimeout:
		return fmt.Errorf("inactive timeout of %v: must be 1ms to %v", inactive, MaxTimeout)
	case linger < 0 || linger > MaxTimeout:
		return fmt.Errorf("linger of %v: must be 0 to %v", linger, MaxTimeout)
	}
	return nil
}

// take cuts room for n elements off the front of m. T holds no pointers, and all
// that is taken is a multiple of eight octets long.
func take[T any](m *[]byte, n int) []T {
	var element T
	octets := n * int(unsafe.Sizeof(element))
	b := (*m)[:octets:octets]
	*m = (*m)[octets:]
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// milliseconds returns t modulo 2^32 ms, rounded up, so that what is counted
// from it is never due too early.
func milliseconds(t flow.Time) uint32 {
	return uint32((uint64(t) + uint64(time.Millisecond) - 1) / uint64(time.Millisecond))
}

// Each calls f with a copy of each flow in the cache, the least recently used
// first, until f returns false. End is 0 and Expired the table's clock.
func (t *Table) Each(f func(*flow.Record) bool) {
	for i := t.nodes.oldest(byUse, t.used); i != t.used; i = t.nodes[i].links[byUse].prev {
		t.record(i)
		if !f(&t.out) {
			return
		}
	}
}

// record fills in out from a slot.
func (t *Table) record(i uint32) {
	n := &t.nodes[i]
	t.out = flow.Record{
		Packet:  t.sums[i],
		Route:   flow.Route{NextHopVersion: n.nextHopVersion, SrcPrefixLen: n.srcPrefixLen, DstPrefixLen: n.dstPrefixLen, Status: n.status},
		Expired: t.now,
	}
	if n.nextHopVersion != 0 {
		t.out.NextHop = t.nextHops[i]
	}
}

// Content sums the flows in the cache from their entries.
func (t *Table) Content() Sum {
	var sum Sum
	for i := t.nodes.oldest(byUse, t.used); i != t.used; i = t.nodes[i].links[byUse].prev {
		sum.Flows++
		sum.Packets += t.sums[i].Packets
		sum.Octets += t.sums[i].Octets
	}
	return sum
}
