package verify

import (
	"cmp"
	"net/netip"
	"slices"

	"cacheflow/cmd/internal/manifest"
)

// Shows says what of a record a collector's file has. Addresses, ports, protocol, packets and
// octets it has always.
type Shows struct {
	Exporter, ToS, TCPFlags, Input, Output bool
	// SrcAS and DstAS are autonomous systems, Start and End times.
	SrcAS, DstAS, Start, End bool
	// Seconds says that times are cut to the second.
	Seconds bool
}

// Kind is what is wrong with a record.
type Kind string

const (
	Missing    Kind = "missing"    // the collector does not have it
	Duplicated Kind = "duplicated" // the collector has it once more
	Altered    Kind = "altered"    // the collector has another value
	Unexpected Kind = "unexpected" // the collector has what was not sent
)

// Difference is one record.
type Difference struct {
	Kind Kind
	// Want is what was sent, Got what the collector has; either may be nil.
	Want, Got *manifest.Record
	// Fields are those that differ, by the names of the manifest's columns.
	Fields []string
}

// Count is what became of an exporter's records.
type Count struct {
	Sent       uint64 `json:"sent"`
	Complete   uint64 `json:"complete"`
	Missing    uint64 `json:"missing"`
	Duplicated uint64 `json:"duplicated"`
	Altered    uint64 `json:"altered"`
	// ByFault counts those of the missing, altered and duplicated ones whose datagram was
	// dropped, truncated or duplicated on purpose, or could not be decoded; and those that end
	// before they start on purpose, where just the times are altered: nobody knows what is right.
	ByFault uint64 `json:"byFault"`
}

// Result is the outcome of a comparison.
type Result struct {
	Total      Count
	Exporters  map[uint32]*Count
	Unexpected uint64
	// Misread counts records that are missing since the collector had an old template: each may
	// be there as one that is unexpected.
	Misread     uint64
	Differences []Difference // by exporter and datagram
}

// Complete reports whether the collector has what was sent and nothing else.
func (r *Result) Complete() bool { return len(r.Differences) == 0 }

// Explained reports whether there are no differences but those that faults on purpose made.
func (r *Result) Explained() bool {
	return r.Unexpected <= r.Misread && r.Total.Missing+r.Total.Duplicated+r.Total.Altered == r.Total.ByFault
}

// Compare compares what was sent with what a collector has. It takes from both what is not shown.
func Compare(sent, stored []manifest.Record, shows Shows) *Result {
	c := comparison{shows: shows, Result: Result{Exporters: map[uint32]*Count{}}}
	for i := range sent {
		c.exporter(&sent[i]).Sent++
	}
	missing, extra := c.match(c.order(sent), c.order(stored))
	c.pair(missing, extra)
	slices.SortStableFunc(c.Differences, func(a, b Difference) int {
		x, y := a.record(), b.record()
		return cmp.Or(cmp.Compare(x.Exporter, y.Exporter), cmp.Compare(x.Datagram, y.Datagram))
	})
	for _, x := range c.Exporters {
		c.Total.add(x)
	}
	return &c.Result
}

// record returns what was sent, or else what the collector has.
func (d *Difference) record() *manifest.Record {
	if d.Want != nil {
		return d.Want
	}
	return d.Got
}

func (c *Count) add(o *Count) {
	c.Sent += o.Sent
	c.Complete += o.Complete
	c.Missing += o.Missing
	c.Duplicated += o.Duplicated
	c.Altered += o.Altered
	c.ByFault += o.ByFault
}

type comparison struct {
	shows Shows
	Result
}

func (c *comparison) exporter(r *manifest.Record) *Count {
	x := c.Exporters[r.Exporter]
	if x == nil {
		x = new(Count)
		c.Exporters[r.Exporter] = x
	}
	return x
}

// order takes from records what is not compared, and returns them sorted.
func (c *comparison) order(rs []manifest.Record) []*manifest.Record {
	sorted := make([]*manifest.Record, len(rs))
	for i := range rs {
		r := &rs[i]
		sorted[i] = r
		r.TCPFlags &= 0xff // the ninth is exported by wish only
		c.shows.cut(r)
		if c.shows.Seconds {
			r.Start, r.End = r.Start/1000*1000, r.End/1000*1000
		}
	}
	slices.SortFunc(sorted, c.compare)
	return sorted
}

// compare orders records by all that is compared, what pairs them first.
func (c *comparison) compare(a, b *manifest.Record) int {
	if n := a.Src.Compare(b.Src); n != 0 {
		return n
	}
	if n := a.Dst.Compare(b.Dst); n != 0 {
		return n
	}
	if n := cmp.Or(cmp.Compare(a.SrcPort, b.SrcPort), cmp.Compare(a.DstPort, b.DstPort), cmp.Compare(a.Protocol, b.Protocol)); n != 0 {
		return n
	}
	for i := range fields {
		if f := &fields[i]; f.name != "exporter" || c.shows.Exporter {
			if n := cmp.Compare(f.value(a), f.value(b)); n != 0 {
				return n
			}
		}
	}
	return 0
}

// field is one that a record may have altered.
type field struct {
	name  string
	value func(*manifest.Record) uint64
}

var fields = []field{
	{"exporter", func(r *manifest.Record) uint64 { return uint64(r.Exporter) }},
	{"packetDeltaCount", func(r *manifest.Record) uint64 { return r.Packets }},
	{"octetDeltaCount", func(r *manifest.Record) uint64 { return r.Octets }},
	{"flowStartMilliseconds", func(r *manifest.Record) uint64 { return uint64(r.Start) }},
	{"flowEndMilliseconds", func(r *manifest.Record) uint64 { return uint64(r.End) }},
	{"ipClassOfService", func(r *manifest.Record) uint64 { return uint64(r.ToS) }},
	{"tcpControlBits", func(r *manifest.Record) uint64 { return uint64(r.TCPFlags) }},
	{"ingressInterface", func(r *manifest.Record) uint64 { return uint64(r.Input) }},
	{"egressInterface", func(r *manifest.Record) uint64 { return uint64(r.Output) }},
	{"bgpSourceAsNumber", func(r *manifest.Record) uint64 { return uint64(r.SrcAS) }},
	{"bgpDestinationAsNumber", func(r *manifest.Record) uint64 { return uint64(r.DstAS) }},
}

// match finds the records that are equal, and those that are there once more. Both are sorted.
func (c *comparison) match(sent, stored []*manifest.Record) (missing, extra []*manifest.Record) {
	i, j := 0, 0
	for i < len(sent) || j < len(stored) {
		order := -1
		if i == len(sent) {
			order = 1
		} else if j < len(stored) {
			order = c.compare(sent[i], stored[j])
		}
		switch {
		case order == 0:
			c.exporter(sent[i]).Complete++
			i, j = i+1, j+1
		case order < 0:
			missing = append(missing, sent[i])
			i++
		case i > 0 && c.compare(sent[i-1], stored[j]) == 0: // all of its like have been found
			c.duplicated(sent[i-1], stored[j])
			j++
		default:
			extra = append(extra, stored[j])
			j++
		}
	}
	return missing, extra
}

// ends is by what records are paired.
type ends struct {
	src, dst         netip.Addr
	srcPort, dstPort uint16
	protocol         uint8
}

func endsOf(r *manifest.Record) ends { return ends{r.Src, r.Dst, r.SrcPort, r.DstPort, r.Protocol} }

// maxCandidates bounds what is looked at for a pair: a scan can have very many records of one flow.
const maxCandidates = 256

// pair finds for each record that was not sent so the one that it may have been.
func (c *comparison) pair(missing, extra []*manifest.Record) {
	candidates := map[ends][]*manifest.Record{}
	for _, m := range missing {
		candidates[endsOf(m)] = append(candidates[endsOf(m)], m)
	}
	for _, got := range extra {
		left := candidates[endsOf(got)]
		best, differ := -1, []string(nil)
		for i, want := range left[:min(len(left), maxCandidates)] {
			if names := c.differing(want, got); best < 0 || len(names) < len(differ) {
				best, differ = i, names
			}
		}
		if best < 0 {
			c.Unexpected++
			c.Differences = append(c.Differences, Difference{Kind: Unexpected, Got: got})
			continue
		}
		want := left[best]
		x := c.exporter(want)
		x.Altered++
		if want.Undecodable == manifest.OldTemplate || want.Changed == manifest.Reversed && areTimes(differ) {
			x.ByFault++
		}
		c.Differences = append(c.Differences, Difference{Kind: Altered, Want: want, Got: got, Fields: differ})
		candidates[endsOf(got)] = slices.Delete(left, best, best+1)
	}
	for _, left := range candidates {
		for _, want := range left {
			c.missing(want)
		}
	}
}

func (c *comparison) missing(want *manifest.Record) {
	x := c.exporter(want)
	x.Missing++
	if want.Fault == manifest.Drop || want.Fault == manifest.Truncate || want.Undecodable != "" || want.Changed == manifest.Reversed {
		x.ByFault++
	}
	if want.Undecodable == manifest.OldTemplate {
		c.Misread++
	}
	c.Differences = append(c.Differences, Difference{Kind: Missing, Want: want})
}

func (c *comparison) duplicated(want, got *manifest.Record) {
	x := c.exporter(want)
	x.Duplicated++
	if want.Fault == manifest.Duplicate {
		x.ByFault++
	}
	c.Differences = append(c.Differences, Difference{Kind: Duplicated, Want: want, Got: got})
}

func (c *comparison) differing(want, got *manifest.Record) (names []string) {
	for i := range fields {
		f := &fields[i]
		if (f.name != "exporter" || c.shows.Exporter) && f.value(want) != f.value(got) {
			names = append(names, f.name)
		}
	}
	return names
}
