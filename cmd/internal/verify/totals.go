package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"cacheflow/cmd/internal/manifest"
)

// Share is a part of the traffic: what was sent, and what a collector should have of it after the
// faults on purpose. Of a datagram that was truncated it should have nothing (RFC 7011 §9.1).
type Share struct {
	Sent     manifest.Count `json:"sent"`
	Expected manifest.Count `json:"expected"`
}

// add adds a record, and reports whether a sum began anew at 2^64.
func (s *Share) add(r *manifest.Record) (wrapped bool) {
	s.Sent.Add(r.Packets, r.Octets)
	wrapped = s.Sent.Packets < r.Packets || s.Sent.Octets < r.Octets
	for range copies(r) {
		s.Expected.Add(r.Packets, r.Octets)
		wrapped = wrapped || s.Expected.Packets < r.Packets || s.Expected.Octets < r.Octets
	}
	return wrapped
}

// copies is how many times a collector should have a record.
func copies(r *manifest.Record) int {
	switch {
	case r.Fault == manifest.Drop, r.Fault == manifest.Truncate, r.Undecodable != "":
		return 0
	case r.Fault == manifest.Duplicate:
		return 2
	}
	return 1
}

// Totals are the sums of a manifest's records, modulo 2^64. They need memory for each flow key.
type Totals struct {
	All        Share
	Exporters  map[uint32]*Share
	Interfaces map[Interface]*Share
	Minutes    map[int64]*Share // since 1970, of the start of flows
	Flows      map[FlowKey]*Share
	// Lacks are the columns by which there are no sums, since no collector has them.
	Lacks []string
	// Wrapped says that some of the sums were too large: counters at their limits soon are.
	Wrapped bool
}

// Interface is one of an exporter, and the way that flows took.
type Interface struct {
	Exporter uint32
	Index    uint32
	Egress   bool
}

// FlowKey is what a collector's list of top flows sums up by.
type FlowKey struct {
	Src, Dst netip.AddrPort
	Protocol uint8
}

// NewTotals returns the sums of nothing.
func NewTotals() *Totals {
	return &Totals{
		Exporters: map[uint32]*Share{}, Interfaces: map[Interface]*Share{}, Minutes: map[int64]*Share{}, Flows: map[FlowKey]*Share{},
	}
}

// Add adds a record.
func (t *Totals) Add(r *manifest.Record) {
	t.Wrapped = t.All.add(r) || t.Wrapped
	of(t.Exporters, r.Exporter).add(r)
	of(t.Interfaces, Interface{r.Exporter, r.Input, false}).add(r)
	of(t.Interfaces, Interface{r.Exporter, r.Output, true}).add(r)
	of(t.Minutes, r.Start/time.Minute.Milliseconds()).add(r)
	of(t.Flows, FlowKey{netip.AddrPortFrom(r.Src, r.SrcPort), netip.AddrPortFrom(r.Dst, r.DstPort), r.Protocol}).add(r)
}

// of returns a share, which is made where there is none.
func of[K comparable](shares map[K]*Share, key K) *Share {
	s := shares[key]
	if s == nil {
		s = new(Share)
		shares[key] = s
	}
	return s
}

// Limit takes away the sums by columns that a manifest says its records lack.
func (t *Totals) Limit(lacks []string) {
	for _, name := range lacks {
		switch name {
		case "ingressInterface", "egressInterface":
			maps.DeleteFunc(t.Interfaces, func(i Interface, _ *Share) bool { return i.Egress == (name == "egressInterface") })
		case "flowStartMilliseconds":
			clear(t.Minutes)
		default:
			continue
		}
		t.Lacks = append(t.Lacks, name)
	}
}

// interfaces returns them by exporter and index, ingress first.
func (t *Totals) interfaces() []Interface {
	return slices.SortedFunc(maps.Keys(t.Interfaces), func(a, b Interface) int {
		if n := cmp.Or(cmp.Compare(a.Exporter, b.Exporter), cmp.Compare(a.Index, b.Index)); n != 0 || a.Egress == b.Egress {
			return n
		}
		if b.Egress {
			return -1
		}
		return 1
	})
}

// top returns the flow keys that sent most octets, the largest first.
func (t *Totals) top(n int) []FlowKey {
	keys := slices.SortedFunc(maps.Keys(t.Flows), func(a, b FlowKey) int {
		return cmp.Or(cmp.Compare(t.Flows[b].Sent.Octets, t.Flows[a].Sent.Octets),
			a.Src.Compare(b.Src), a.Dst.Compare(b.Dst), cmp.Compare(a.Protocol, b.Protocol))
	})
	return keys[:min(n, len(keys))]
}

// WriteText writes them for a person, with the n largest flows.
func (t *Totals) WriteText(w io.Writer, all []manifest.Exporter, n int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%45s %45s\n", "sent", "expected")
	fmt.Fprintf(&b, "%12s %14s %17s %13s %14s %16s\n", "records", "packets", "octets", "records", "packets", "octets")
	row := func(s *Share, format string, args ...any) {
		fmt.Fprintf(&b, "%12d %14d %17d %13d %14d %16d  ", s.Sent.Records, s.Sent.Packets, s.Sent.Octets,
			s.Expected.Records, s.Expected.Packets, s.Expected.Octets)
		fmt.Fprintf(&b, format+"\n", args...)
	}
	row(&t.All, "all")
	for _, number := range slices.Sorted(maps.Keys(t.Exporters)) {
		row(t.Exporters[number], "exporter %s", name(number, all))
	}
	for _, i := range t.interfaces() {
		way := "in"
		if i.Egress {
			way = "out"
		}
		row(t.Interfaces[i], "exporter %s, interface %d, %s", name(i.Exporter, all), i.Index, way)
	}
	for _, minute := range slices.Sorted(maps.Keys(t.Minutes)) {
		row(t.Minutes[minute], "minute %s", minuteOf(minute).Format("2006-01-02T15:04Z"))
	}
	for _, k := range t.top(n) {
		row(t.Flows[k], "flow %s > %s protocol %d", k.Src, k.Dst, k.Protocol)
	}
	if len(t.Lacks) > 0 {
		fmt.Fprintf(&b, "no sums by %s, which the records do not carry\n", strings.Join(t.Lacks, ", "))
	}
	if t.Wrapped {
		b.WriteString("sums are modulo 2^64, and some were larger\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func minuteOf(minute int64) time.Time { return time.Unix(minute*60, 0).UTC() }

type exporterShare struct {
	Exporter uint32 `json:"exporter"`
	Share
}

type interfaceShare struct {
	Exporter uint32  `json:"exporter"`
	Ingress  *uint32 `json:"ingressInterface,omitempty"` // or Egress
	Egress   *uint32 `json:"egressInterface,omitempty"`
	Share
}

type minuteShare struct {
	Minute time.Time `json:"minute"`
	Share
}

type flowShare struct {
	Src      netip.Addr `json:"sourceAddress"`
	Dst      netip.Addr `json:"destinationAddress"`
	SrcPort  uint16     `json:"sourceTransportPort"`
	DstPort  uint16     `json:"destinationTransportPort"`
	Protocol uint8      `json:"protocolIdentifier"`
	Share
}

// WriteJSON writes them as one object, with the n largest flows.
func (t *Totals) WriteJSON(w io.Writer, n int) error {
	out := struct {
		Share
		Exporters  []exporterShare  `json:"exporters"`
		Interfaces []interfaceShare `json:"interfaces"`
		Minutes    []minuteShare    `json:"minutes"`
		Flows      []flowShare      `json:"flows"`
		Lacks      []string         `json:"lacks,omitempty"`
		Wrapped    bool             `json:"wrapped,omitempty"`
	}{t.All, []exporterShare{}, []interfaceShare{}, []minuteShare{}, []flowShare{}, t.Lacks, t.Wrapped}
	for _, number := range slices.Sorted(maps.Keys(t.Exporters)) {
		out.Exporters = append(out.Exporters, exporterShare{number, *t.Exporters[number]})
	}
	for _, i := range t.interfaces() {
		index := i.Index
		x := interfaceShare{Exporter: i.Exporter, Ingress: &index, Share: *t.Interfaces[i]}
		if i.Egress {
			x.Ingress, x.Egress = nil, &index
		}
		out.Interfaces = append(out.Interfaces, x)
	}
	for _, minute := range slices.Sorted(maps.Keys(t.Minutes)) {
		out.Minutes = append(out.Minutes, minuteShare{minuteOf(minute), *t.Minutes[minute]})
	}
	for _, k := range t.top(n) {
		out.Flows = append(out.Flows, flowShare{k.Src.Addr(), k.Dst.Addr(), k.Src.Port(), k.Dst.Port(), k.Protocol, *t.Flows[k]})
	}
	return json.NewEncoder(w).Encode(&out)
}
