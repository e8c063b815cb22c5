package render

import (
	"io"
	"time"

	"cacheflow/cache/flow"
)

// Writer writes records to an output. It is for one goroutine, keeps the first
// error and writes nothing after it. It allocates nothing for a record.
type Writer struct {
	w      io.Writer
	format Format
	epoch  int64
	names  func(uint32) string

	buf []byte
	day int64 // of the table's last row, in days since 1970
	top bool  // the header is written
	err error
}

// bufferSize is how much is gathered for one write.
const bufferSize = 64 << 10

// New returns a Writer of format f. boot is the wall time of flow.Time 0; names
// returns the name of an interface by its ifIndex, or "" where it is not known.
// It may be nil, and only the table asks it.
func New(w io.Writer, f Format, boot time.Time, names func(uint32) string) *Writer {
	return &Writer{w: w, format: f, epoch: boot.UnixMilli(), names: names, buf: make([]byte, 0, bufferSize+4096)}
}

// SetBoot gives what follows another wall time of flow.Time 0, after a step of
// the clock.
func (w *Writer) SetBoot(boot time.Time) { w.epoch = boot.UnixMilli() }

// Record writes r.
func (w *Writer) Record(r *flow.Record) error {
	switch w.format {
	case JSON:
		w.buf = append(AppendJSON(w.buf, r, w.epoch), '\n')
	case CSV:
		w.header()
		w.buf = append(appendCSV(w.buf, r, w.epoch), '\n')
	case Table:
		row := NewRow(r, w.epoch)
		w.row(&row)
	}
	return w.spill()
}

// Decoded writes d. The table and CSV have no room for options: they leave them
// out.
func (w *Writer) Decoded(d *Decoded) error {
	switch {
	case w.format == JSON:
		w.buf = append(d.appendJSON(w.buf), '\n')
	case d.Options:
	case w.format == CSV:
		w.header()
		w.buf = append(d.appendCSV(w.buf), '\n')
	case w.format == Table:
		row := d.Row()
		w.row(&row)
	}
	return w.spill()
}

// Flush writes what is gathered: the header too, if there was no record.
func (w *Writer) Flush() error {
	w.header()
	return w.write()
}

func (w *Writer) spill() error {
	if len(w.buf) < bufferSize {
		return w.err
	}
	return w.write()
}

func (w *Writer) write() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.err
}

func (w *Writer) header() {
	if w.top {
		return
	}
	w.top = true
	switch w.format {
	case CSV:
		for i := range columns {
			if i > 0 {
				w.buf = append(w.buf, ',')
			}
			w.buf = append(w.buf, columns[i].Name...)
		}
		w.buf = append(w.buf, '\n')
	case Table:
		w.buf = appendTableHeader(w.buf)
	}
}

func (w *Writer) row(r *Row) {
	w.header()
	if day := r.Start / millisADay; day != w.day {
		w.day = day
		w.buf = append(w.buf, "-- "...)
		w.buf = time.UnixMilli(r.Start).UTC().AppendFormat(w.buf, time.DateOnly)
		w.buf = append(w.buf, " UTC\n"...)
	}
	w.buf = r.appendTable(w.buf, w.names)
}

// AppendJSON appends r as one object; epoch is the wall time of flow.Time 0 in milliseconds
// since 1970.
func AppendJSON(b []byte, r *flow.Record, epoch int64) []byte {
	columns := columns4
	if r.Version == 6 {
		columns = columns6
	}
	b = append(b, '{')
	for i := range columns {
		c := &columns[i]
		start := len(b)
		b = append(b, c.before...)
		value := len(b)
		b = c.put(b, r, epoch)
		if len(b) == value {
			b = b[:start]
			continue
		}
		b = append(b, c.after...)
	}
	return closeObject(b)
}

func appendCSV(b []byte, r *flow.Record, epoch int64) []byte {
	for i := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = columns[i].put(b, r, epoch)
	}
	return b
}
