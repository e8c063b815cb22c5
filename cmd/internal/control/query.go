package control

import (
	"cmp"
	"container/heap"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"cacheflow/cache/flow"
)

// Bounds of CacheQuery.Limit. The default bounds what an answer costs the
// daemon: a record in memory for each flow.
const (
	DefaultLimit = 65536
	MaxLimit     = 1 << 24
)

// CacheQuery asks for a part of the cache.
type CacheQuery struct {
	// Version restricts the flows to an IP version, 4 or 6; 0 takes both.
	Version uint8
	// Limit is the largest number of flows to answer with; 0 is DefaultLimit,
	// a negative one asks for the statistics alone.
	Limit int
	// Sort orders the flows; the largest are kept.
	Sort Sort
}

// Sort is an order of flows.
type Sort string

const (
	Unsorted  Sort = ""        // as the cache has them, the least recently used first
	ByPackets Sort = "packets" // the largest first
	ByBytes   Sort = "bytes"
)

// values returns q as the query of a URL, and parseQuery reads it back.
func (q CacheQuery) values() url.Values {
	v := url.Values{}
	if q.Version != 0 {
		v.Set("version", strconv.Itoa(int(q.Version)))
	}
	if q.Limit != 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Sort != Unsorted {
		v.Set("sort", string(q.Sort))
	}
	return v
}

func parseQuery(v url.Values) (q CacheQuery, err error) {
	for name := range v {
		value := v.Get(name)
		switch name {
		case "version":
			if value != "4" && value != "6" {
				return q, fmt.Errorf("version %q: must be 4 or 6", value)
			}
			q.Version = value[0] - '0'
		case "limit":
			if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit > MaxLimit {
				return q, fmt.Errorf("limit %q: must be a number up to %d", value, MaxLimit)
			}
		case "sort":
			if q.Sort = Sort(value); q.Sort != ByPackets && q.Sort != ByBytes {
				return q, fmt.Errorf("sort %q: must be bytes or packets", value)
			}
		default:
			return q, fmt.Errorf("unknown query %q", name)
		}
	}
	return q, nil
}

// Selection picks the flows of a query out of one table or several. Its memory
// is bounded by the query's limit. It is not safe for concurrent use.
type Selection struct {
	Matched int // flows that the query asked for, before its limit

	query   CacheQuery
	records ranking
}

// NewSelection returns an empty selection for q.
func NewSelection(q CacheQuery) *Selection {
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(max(q.Limit, 0), MaxLimit)
	return &Selection{query: q, records: ranking{by: q.Sort}}
}

// Add offers a flow, which is copied if it is kept. It returns true, so that it
// can be handed to a table's Each.
func (s *Selection) Add(r *flow.Record) bool {
	if s.query.Version != 0 && r.Version != s.query.Version {
		return true
	}
	s.Matched++
	switch kept := &s.records; {
	case len(kept.records) < s.query.Limit:
		if s.query.Sort == Unsorted {
			kept.records = append(kept.records, *r)
		} else {
			heap.Push(kept, *r)
		}
	case s.query.Sort != Unsorted && s.query.Limit > 0 && s.query.Sort.size(r) > s.query.Sort.size(&kept.records[0]):
		kept.records[0] = *r
		heap.Fix(kept, 0)
	}
	return true
}

// Records returns the selected flows in the query's order; the selection is
// then used up.
func (s *Selection) Records() []flow.Record {
	if by := s.query.Sort; by != Unsorted {
		slices.SortFunc(s.records.records, func(a, b flow.Record) int {
			return cmp.Or(cmp.Compare(by.size(&b), by.size(&a)), cmp.Compare(a.First, b.First))
		})
	}
	return s.records.records
}

// size returns what s sorts by.
func (s Sort) size(r *flow.Record) uint64 {
	if s == ByPackets {
		return r.Packets
	}
	return r.Octets
}

// ranking is a heap of records with the smallest on top.
type ranking struct {
	by      Sort
	records []flow.Record
}

func (r *ranking) Len() int           { return len(r.records) }
func (r *ranking) Less(i, j int) bool { return r.by.size(&r.records[i]) < r.by.size(&r.records[j]) }
func (r *ranking) Swap(i, j int)      { r.records[i], r.records[j] = r.records[j], r.records[i] }
func (r *ranking) Push(x any)         { r.records = append(r.records, x.(flow.Record)) }

func (r *ranking) Pop() any {
	last := len(r.records) - 1
	x := r.records[last]
	r.records = r.records[:last]
	return x
}
