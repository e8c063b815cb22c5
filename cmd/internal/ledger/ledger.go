package ledger

import (
	"slices"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// Sum counts things and the wire packets and IP octets that they stand for.
// What Count counts depends on the term: observations, flows or records.
type Sum struct {
	Count   uint64 `json:"count"`
	Packets uint64 `json:"packets"`
	Octets  uint64 `json:"octets"`
}

// Add adds o to s.
func (s *Sum) Add(o Sum) {
	s.Count += o.Count
	s.Packets += o.Packets
	s.Octets += o.Octets
}

// Term is a Sum with the reason why it stands apart.
type Term struct {
	Reason string `json:"reason"`
	Sum
}

// Ledger is the state of the account. Its parts are taken one after the other,
// each by its owner between two batches: under traffic the identities differ by
// what was in flight between two parts.
type Ledger struct {
	Time time.Time `json:"time"`
	// Quiet says that nothing moved while the parts were taken, so that every
	// difference is a defect. Whoever fills the ledger must know it, as at the
	// end of a replay or after the last flush.
	Quiet bool `json:"quiet"`

	Interfaces []Interface `json:"interfaces"`
	// FirstLevel is the state of the kernel's cache, where there is one.
	FirstLevel *capture.FirstLevelState `json:"firstLevel,omitempty"`
	// Ignored are observations that capture handed over and that were kept from
	// the cache on purpose, as the exporter's own datagrams are.
	Ignored []Term `json:"ignored"`
	Cache   Cache  `json:"cache"`
	// Records is what left the cache, counted by its consumer.
	Records Sum `json:"records"`
	// Groups is the part of groups of exporters, nil where there are none.
	Groups    *Groups    `json:"groups,omitempty"`
	Exporters []Exporter `json:"exporters"`
}

// Cache is the metering process's part.
type Cache struct {
	// Observed is what the cache was given, Count being observations.
	Observed Sum `json:"observed"`
	// Content is summed from the entries, Count being flows.
	Content Sum `json:"content"`
	// Ended are the records that left, by their end reason.
	Ended []Term `json:"ended"`
	// Added and Expired count flows since the statistics were last cleared; a
	// flow that was in the cache then counts as added.
	Added   uint64 `json:"added"`
	Expired uint64 `json:"expired"`
}

// NewCache returns the part of a table (or of several, added up) with these
// counters and this content.
func NewCache(s *cache.Stats, content cache.Sum) Cache {
	c := Cache{Observed: sum(s.Observed), Content: sum(content)}
	for i, ended := range s.Ended {
		if i > 0 || ended != (cache.Sum{}) {
			c.Ended = append(c.Ended, Term{flow.EndReason(i).String(), sum(ended)})
		}
	}
	for i := range s.Families {
		c.Added += s.Families[i].Added
		for _, class := range s.Families[i].Ended {
			c.Expired += class.Flows
		}
	}
	return c
}

// Groups is what groups of exporters, of which one gets a record, did with records, all of
// them together: they were given them, once for each group, took some back from members
// that were down, and passed them to members, which have been handed them.
type Groups struct {
	Given     Sum `json:"given"`
	TakenBack Sum `json:"takenBack"`
	Passed    Sum `json:"passed"`
}

// Exporter is one exporting process's part, in records; Handed is counted by who
// hands them over, Made where they enter, Sent where their datagram was accepted by
// the socket. One that a reload removed has "(removed)" behind its name until it has
// sent what was queued; then it is part of Removed.
type Exporter struct {
	Name        string `json:"name"`
	Destination string `json:"destination"`
	Protocol    string `json:"protocol"`

	Handed   Sum    `json:"handed"` // while it was there
	Made     Sum    `json:"made"`
	Queued   Sum    `json:"queued"`   // waiting for the encoder now
	Building Sum    `json:"building"` // in datagrams that are not sent yet
	Sent     Sum    `json:"sent"`
	Dropped  []Term `json:"dropped"`
}

// Removed is the name of the exporter that sums up those that a reload removed and
// that have ended. No other has a blank in its name.
const Removed = "all removed"

// Add adds the counts of o to e.
func (e *Exporter) Add(o *Exporter) {
	e.Handed.Add(o.Handed)
	e.Made.Add(o.Made)
	e.Queued.Add(o.Queued)
	e.Building.Add(o.Building)
	e.Sent.Add(o.Sent)
	for _, d := range o.Dropped {
		at := slices.IndexFunc(e.Dropped, func(t Term) bool { return t.Reason == d.Reason })
		if at < 0 {
			e.Dropped = append(e.Dropped, d)
		} else {
			e.Dropped[at].Add(d.Sum)
		}
	}
}

func sum(s cache.Sum) Sum { return Sum{s.Flows, s.Packets, s.Octets} }

func total(terms []Term) (s Sum) {
	for i := range terms {
		s.Add(terms[i].Sum)
	}
	return s
}
