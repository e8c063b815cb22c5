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

// shownLines is how many differences of a kind a person is shown.
const shownLines = 20

// WriteText writes a report for a person: exporters that differ, and examples.
func (r *Result) WriteText(w io.Writer, all []manifest.Exporter) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-24s %10s %10s %10s %10s %10s %10s\n", "exporter", "sent", "complete", "missing", "duplicated", "altered", "by fault")
	row := func(name string, c *Count) {
		fmt.Fprintf(&b, "%-24s %10d %10d %10d %10d %10d %10d\n", name, c.Sent, c.Complete, c.Missing, c.Duplicated, c.Altered, c.ByFault)
	}
	alike := 0
	for _, number := range slices.Sorted(maps.Keys(r.Exporters)) {
		if c := r.Exporters[number]; c.Complete == c.Sent && c.Duplicated == 0 && len(r.Exporters) > shownLines {
			alike++
		} else {
			row(name(number, all), c)
		}
	}
	if alike > 0 {
		fmt.Fprintf(&b, "%d exporters are complete\n", alike)
	}
	row("all", &r.Total)
	for _, k := range []Kind{Missing, Duplicated, Altered, Unexpected} {
		r.examples(&b, k)
	}
	b.WriteString(r.wrapText())
	switch {
	case r.Complete():
		b.WriteString("complete: the collector has what was sent, and nothing else\n")
	case r.Explained():
		b.WriteString("all differences are those of the faults on purpose\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func name(number uint32, all []manifest.Exporter) string {
	if i := int(number) - 1; i >= 0 && i < len(all) && all[i].Address.IsValid() {
		return fmt.Sprintf("%d (%s)", number, all[i].Address)
	}
	return fmt.Sprint(number)
}

// examples writes differences of a kind, and missing records of one datagram as one line: most
// likely it was lost.
func (r *Result) examples(b *strings.Builder, k Kind) {
	lines, left := 0, 0
	for i := 0; i < len(r.Differences); i++ {
		d := &r.Differences[i]
		if d.Kind != k {
			continue
		}
		like := 0 // records of the same datagram behind it
		for k == Missing && i+1 < len(r.Differences) && r.Differences[i+1].isMissingWith(d) {
			i, like = i+1, like+1
		}
		if lines++; lines > shownLines {
			left += 1 + like
			continue
		}
		fmt.Fprintf(b, "%s: %s", k, d)
		if like > 0 {
			fmt.Fprintf(b, ", and %d more of this datagram", like)
		}
		b.WriteByte('\n')
	}
	if left > 0 {
		fmt.Fprintf(b, "%s: %d more records; --json has all\n", k, left)
	}
}

func (d *Difference) isMissingWith(o *Difference) bool {
	return d.Kind == Missing && d.Want.Exporter == o.Want.Exporter && d.Want.Datagram == o.Want.Datagram
}

// String returns where the record was sent, and what it is.
func (d *Difference) String() string {
	r := d.record()
	text := fmt.Sprintf("%s > %s protocol %d, %d packets, %d octets, %s to %s", netip.AddrPortFrom(r.Src, r.SrcPort), netip.AddrPortFrom(r.Dst, r.DstPort),
		r.Protocol, r.Packets, r.Octets, stamp(r.Start), stamp(r.End))
	if d.Want != nil {
		of := ""
		if why := cmp.Or(string(r.Fault), string(r.Undecodable), string(r.Changed)); why != "" {
			of = fmt.Sprintf(" (%s)", why)
		}
		text = fmt.Sprintf("exporter %d, datagram %d%s: %s", r.Exporter, r.Datagram, of, text)
	}
	for _, name := range d.Fields {
		want, got := valueOf(name, d.Want), valueOf(name, d.Got)
		text += fmt.Sprintf("; %s is %s instead of %s", name, got, want)
	}
	return text
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func valueOf(name string, r *manifest.Record) string {
	i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
	v := fields[i].value(r)
	switch {
	case areTimes([]string{name}):
		return stamp(int64(v))
	case name == "exporter" && r.Exporter == unknown:
		return "none that is known"
	}
	return fmt.Sprint(v)
}

// jsonRecord is a record in the report, under the names of the manifest's columns.
type jsonRecord struct {
	Exporter uint32     `json:"exporter,omitempty"`
	Datagram uint64     `json:"datagram,omitempty"`
	Src      netip.Addr `json:"sourceAddress"`
	Dst      netip.Addr `json:"destinationAddress"`
	SrcPort  uint16     `json:"sourceTransportPort"`
	DstPort  uint16     `json:"destinationTransportPort"`
	Protocol uint8      `json:"protocolIdentifier"`
	ToS      uint8      `json:"ipClassOfService"`
	TCPFlags uint16     `json:"tcpControlBits"`
	Input    uint32     `json:"ingressInterface"`
	Output   uint32     `json:"egressInterface"`
	Packets  uint64     `json:"packetDeltaCount"`
	Octets   uint64     `json:"octetDeltaCount"`
	Start    int64      `json:"flowStartMilliseconds"`
	End      int64      `json:"flowEndMilliseconds"`
	SrcAS    uint32     `json:"bgpSourceAsNumber,omitempty"`
	DstAS    uint32     `json:"bgpDestinationAsNumber,omitempty"`
}

func newJSONRecord(r *manifest.Record) *jsonRecord {
	if r == nil {
		return nil
	}
	j := &jsonRecord{
		r.Exporter, r.Datagram, r.Src, r.Dst, r.SrcPort, r.DstPort, r.Protocol, r.ToS, r.TCPFlags, r.Input, r.Output,
		r.Packets, r.Octets, r.Start, r.End, r.SrcAS, r.DstAS,
	}
	if r.Exporter == unknown {
		j.Exporter = 0
	}
	return j
}

type jsonDifference struct {
	Kind   Kind        `json:"kind"`
	Sent   *jsonRecord `json:"sent,omitempty"`
	Stored *jsonRecord `json:"stored,omitempty"`
	Fields []string    `json:"fields,omitempty"`
	// Fault is what was done on purpose to the datagram that it was sent in.
	Fault manifest.Fault `json:"fault,omitempty"`
	// Undecodable is why the collector could not decode it.
	Undecodable manifest.Undecodable `json:"undecodable,omitempty"`
	// Changed is what was done on purpose to the record itself.
	Changed manifest.RecordFault `json:"changed,omitempty"`
}

type jsonExporter struct {
	Exporter uint32 `json:"exporter"`
	Count
}

// WriteJSON writes all of it as one object.
func (r *Result) WriteJSON(w io.Writer) error {
	out := struct {
		Complete  bool `json:"complete"`
		Explained bool `json:"explained"`
		Count
		Unexpected  uint64           `json:"unexpected"`
		Exporters   []jsonExporter   `json:"exporters"`
		Differences []jsonDifference `json:"differences"`
	}{r.Complete(), r.Explained(), r.Total, r.Unexpected, []jsonExporter{}, []jsonDifference{}}
	for number, c := range r.Exporters {
		out.Exporters = append(out.Exporters, jsonExporter{number, *c})
	}
	slices.SortFunc(out.Exporters, func(a, b jsonExporter) int { return cmp.Compare(a.Exporter, b.Exporter) })
	for i := range r.Differences {
		d := &r.Differences[i]
		out.Differences = append(out.Differences, jsonDifference{d.Kind, newJSONRecord(d.Want), newJSONRecord(d.Got), d.Fields, d.record().Fault, d.record().Undecodable, d.record().Changed})
	}
	return json.NewEncoder(w).Encode(&out)
}
