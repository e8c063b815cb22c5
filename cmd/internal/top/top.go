package top

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cacheflow/cmd/internal/render"
)

// Order is what flows are ranked by.
type Order uint8

const (
	ByOctets Order = iota
	ByPackets
)

// Config says what a Top keeps. The zero value is meant for use.
type Config struct {
	// Window is how far back a record counts, by the time of its arrival; 0 is
	// one minute. A record leaves between one and one and a half windows after
	// it came.
	Window time.Duration
	// MaxFlows bounds the memory: flows beyond it in half a window are summed up
	// as others. 0 is 8192, at most some 8 MB in all.
	MaxFlows int
	Order    Order
}

// Top sums up flow records. It is safe for concurrent use.
type Top struct {
	cfg Config

	mu sync.Mutex
	// The window is cut in halves, the newest first, so that a record costs one
	// look-up and forgetting costs nothing.
	halves [3]half
	since  time.Time // when the newest half began
	total  Sum
}

// half holds the flows of half a window.
type half struct {
	flows  map[key]*flowSum
	sum    Sum
	others Sum
}

// Sum counts records and what they carried.
type Sum struct{ Records, Packets, Octets uint64 }

func (s *Sum) add(o Sum) {
	s.Records += o.Records
	s.Packets += o.Packets
	s.Octets += o.Octets
}

type key struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	protocol         uint8
	input            uint32
}

type flowSum struct {
	Sum
	row         render.Row // the last one
	first, last int64      // milliseconds since 1970
}

// Flow is a flow of the window.
type Flow struct {
	Row render.Row // of its last record, with the sums of all
	Sum
	// Rate is in bits of IP per second over the time that the records span, at
	// least a second.
	Rate uint64
}

// Snapshot is what a Top has to show.
type Snapshot struct {
	Flows  []Flow // the largest first
	Active int    // flows in the window
	Window Sum    // of the window
	Others Sum    // of the window: flows that there was no room to tell apart
	Total  Sum    // since the start
}

// New returns an empty Top.
func New(cfg Config) *Top {
	if cfg.Window <= 0 {
		cfg.Window = time.Minute
	}
	if cfg.MaxFlows <= 0 {
		cfg.MaxFlows = 1 << 13
	}
	return &Top{cfg: cfg}
}

// Add counts a flow record that arrived at now.
func (t *Top) Add(r *render.Row, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	s := Sum{1, r.Packets, r.Octets}
	t.total.add(s)
	h := &t.halves[0]
	h.sum.add(s)
	k := key{r.Src, r.Dst, r.SrcPort, r.DstPort, r.Protocol, r.Input}
	f, ok := h.flows[k]
	if !ok {
		if len(h.flows) >= t.cfg.MaxFlows {
			h.others.add(s)
			return
		}
		if h.flows == nil {
			h.flows = make(map[key]*flowSum)
		}
		f = &flowSum{first: r.Start, last: r.End}
		h.flows[k] = f
	}
	f.merge(&flowSum{s, *r, r.Start, r.End})
}

func (f *flowSum) merge(o *flowSum) {
	f.Sum.add(o.Sum)
	f.row = o.row
	f.first, f.last = min(f.first, o.first), max(f.last, o.last)
}

// turn begins new halves as time goes by.
func (t *Top) turn(now time.Time) {
	if t.since.IsZero() {
		t.since = now
	}
	step := t.cfg.Window / 2
	for n := 0; now.Sub(t.since) >= step; n++ {
		if n == len(t.halves) { // nothing is left to forget
			t.since = now
			return
		}
		copy(t.halves[1:], t.halves[:])
		t.halves[0] = half{}
		t.since = t.since.Add(step)
	}
}

// Snapshot returns the n largest flows of the window that ends at now.
func (t *Top) Snapshot(n int, now time.Time) Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	s := Snapshot{Total: t.total}
	flows := make(map[key]*flowSum)
	for i := len(t.halves) - 1; i >= 0; i-- { // the newest last: its row stays
		h := &t.halves[i]
		s.Window.add(h.sum)
		s.Others.add(h.others)
		for k, f := range h.flows {
			if sum, ok := flows[k]; ok {
				sum.merge(f)
			} else {
				copied := *f
				flows[k] = &copied
			}
		}
	}
	s.Active = len(flows)
	for _, f := range flows {
		s.Flows = append(s.Flows, f.flow())
	}
	slices.SortFunc(s.Flows, t.cfg.Order.compare)
	s.Flows = s.Flows[:min(max(n, 0), len(s.Flows))]
	return s
}

func (f *flowSum) flow() Flow {
	out := Flow{Row: f.row, Sum: f.Sum}
	out.Row.Start, out.Row.End, out.Row.Packets, out.Row.Octets = f.first, f.last, f.Packets, f.Octets
	ms := uint64(max(f.last-f.first, 1000))
	out.Rate = uint64(float64(f.Octets) * 8 * 1000 / float64(ms))
	return out
}

// compare puts the larger flow first, and of equals keeps one order.
func (o Order) compare(a, b Flow) int {
	first, second := cmp.Compare(b.Octets, a.Octets), cmp.Compare(b.Packets, a.Packets)
	if o == ByPackets {
		first, second = second, first
	}
	return cmp.Or(first, second, a.Row.Src.Compare(b.Row.Src), a.Row.Dst.Compare(b.Row.Dst),
		cmp.Compare(a.Row.SrcPort, b.Row.SrcPort), cmp.Compare(a.Row.DstPort, b.Row.DstPort),
		cmp.Compare(a.Row.Protocol, b.Row.Protocol), cmp.Compare(a.Row.Input, b.Row.Input))
}
