package manifest

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"
)

// Writer writes a manifest. One goroutine uses it.
type Writer struct {
	out       *blocks
	err       error
	exporters []exporterTotal // by number, from 1
	by        map[share]*Count
	latest    share // the minute of the record before, and its count
	minute    *Count
	all       Last
}

type exporterTotal struct {
	Total     string `json:"total"`
	Exporter  uint32 `json:"exporter"`
	Datagrams uint64 `json:"datagrams"`
	// NotCarried counts records that the protocol cannot carry.
	NotCarried uint64 `json:"notCarried"`
	Count
}

// share is what a total is of: an exporter's interface, or a minute of it.
type share struct {
	exporter uint32
	isMinute bool
	of       int64 // ifIndex, or minutes since 1970
}

// NewWriter begins a manifest, compressed unless it is to be plain.
func NewWriter(w io.Writer, plain bool, h Header, exporters []Exporter) *Writer {
	m := &Writer{out: newBlocks(w, plain), by: map[share]*Count{}}
	h.Manifest, h.Columns = version, columns
	m.line(&h)
	for i := range exporters {
		m.line(&exporters[i])
		m.exporters = append(m.exporters, exporterTotal{Total: "exporter", Exporter: exporters[i].Exporter})
	}
	return m
}

// Datagram writes a datagram and its records.
func (m *Writer) Datagram(d *Datagram, rs []Record) error {
	m.out.buf = appendDatagram(m.out.buf, d)
	x := &m.exporters[d.Exporter-1]
	x.Datagrams++
	m.all.Datagrams++
	for i := range rs {
		r := &rs[i]
		m.out.buf = appendRecord(m.out.buf, r)
		x.Add(r.Packets, r.Octets)
		m.all.Add(r.Packets, r.Octets)
		m.share(r)
	}
	if m.err == nil {
		m.err = m.out.spill()
	}
	return m.err
}

// share adds r to its interface and its minute.
func (m *Writer) share(r *Record) {
	m.count(share{r.Exporter, false, int64(r.Input)}).Add(r.Packets, r.Octets)
	minute := share{r.Exporter, true, r.Start / time.Minute.Milliseconds()}
	if m.minute == nil || minute != m.latest {
		m.latest, m.minute = minute, m.count(minute)
	}
	m.minute.Add(r.Packets, r.Octets)
}

func (m *Writer) count(s share) *Count {
	c := m.by[s]
	if c == nil {
		c = new(Count)
		m.by[s] = c
	}
	return c
}

// Restart writes that a router restarts, before its first datagram from then on.
func (m *Writer) Restart(r *Restart) { m.line(r) }

// Clock writes what happened to a router's clocks, before its first datagram from then on.
func (m *Writer) Clock(c *Clock) { m.line(c) }

// NotCarried counts records that an exporter could not send by its protocol.
func (m *Writer) NotCarried(exporter uint32, n uint64) { m.exporters[exporter-1].NotCarried += n }

// Close writes the totals and the last line.
func (m *Writer) Close(end End) error {
	for i := range m.exporters {
		m.line(&m.exporters[i])
	}
	shares := slices.SortedFunc(maps.Keys(m.by), func(a, b share) int {
		if a.isMinute != b.isMinute {
			if b.isMinute {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.exporter, b.exporter), cmp.Compare(a.of, b.of))
	})
	for _, s := range shares {
		m.shareLine(s)
	}
	m.all.End = end
	m.line(&m.all)
	if m.err != nil {
		return m.err
	}
	return m.out.finish()
}

func (m *Writer) shareLine(s share) {
	c := *m.by[s]
	if s.isMinute {
		m.line(&struct {
			Total    string    `json:"total"`
			Exporter uint32    `json:"exporter"`
			Minute   time.Time `json:"minute"`
			Count
		}{"minute", s.exporter, time.Unix(s.of*60, 0).UTC(), c})
		return
	}
	m.line(&struct {
		Total     string `json:"total"`
		Exporter  uint32 `json:"exporter"`
		Interface int64  `json:"ingressInterface"`
		Count
	}{"interface", s.exporter, s.of, c})
}

// line writes v as a line; not on the path of records.
func (m *Writer) line(v any) {
	text, err := json.Marshal(v)
	if err == nil {
		m.out.buf = append(append(m.out.buf, text...), '\n')
		err = m.out.spill()
	}
	if m.err == nil {
		m.err = err
	}
}
