package collector

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"cacheflow/cmd/internal/render"
	"cacheflow/export"
)

// FuzzDecode has one exporter send up to four datagrams. The input's first
// octets are their lengths, two each, network byte order.
func FuzzDecode(f *testing.F) {
	frame := func(datagrams ...[]byte) []byte {
		var b []byte
		for i := range 4 {
			n := 0
			if i < len(datagrams) {
				n = len(datagrams[i])
			}
			b = be.AppendUint16(b, uint16(n))
		}
		return append(b, bytes.Join(datagrams, nil)...)
	}
	for _, test := range malformed10 {
		f.Add(frame(fixLength(octetsOf(f, v10Header+test.sets))))
	}
	for _, test := range malformed9 {
		f.Add(frame(octetsOf(f, v9Header+test.sets)))
	}
	for _, p := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		var all [][]byte
		s, _ := export.NewSession(export.Config{Protocol: p, MTU: 700, Sampling: export.Sampling{Interval: 9}},
			func(m *export.Message) { all = append(all, bytes.Clone(m.Data)) })
		for _, r := range someRecords(3) {
			s.Append(r, headerTime)
		}
		s.Flush(headerTime)
		f.Add(frame(all[:min(4, len(all))]...))
	}
	// Start times in one octet, which become eight.
	f.Add(frame(fixLength(octetsOf(f, v10Header+"0002000c 0100 0001 009e 0001")), dataMessage(f, 256, 11)))
	o := newOutput()
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 8 {
			return
		}
		c := New(Config{MaxTemplates: 4, MaxFields: 64, MaxExporters: 2, MaxSessions: 3})
		rest := b[8:]
		for i := range 4 {
			n := min(int(be.Uint16(b[2*i:])), len(rest))
			decodeOne(t, c, rest[:n], o)
			rest = rest[n:]
		}
		if c.stats.Found[Other] != 0 {
			t.Error("goflow2 and the check disagree")
		}
	})
}

// output renders a record in each format.
type output struct {
	line    bytes.Buffer
	writers [3]*render.Writer
}

func newOutput() *output {
	o := &output{}
	for i, format := range []render.Format{render.JSON, render.CSV, render.Table} {
		o.writers[i] = render.New(&o.line, format, epoch, nil)
	}
	return o
}

func (o *output) render(t *testing.T, r *Record) {
	for i, w := range o.writers {
		o.line.Reset()
		w.Decoded(&r.Decoded)
		w.Flush()
		if i == 0 && !json.Valid(o.line.Bytes()) {
			t.Errorf("not JSON: %s", o.line.Bytes())
		}
	}
}

// decodeOne holds what holds of every datagram.
func decodeOne(t *testing.T, c *Collector, d []byte, o *output) {
	before := c.Stats()
	records, values := 0, 0
	err := c.Decode(d, exporterA, time.Unix(0, 0), func(r *Record) {
		records++
		for _, f := range r.Fields {
			values += len(f.Value)
		}
		o.render(t, r)
	})
	after := c.Stats()
	// A value has the octets that were sent, but for a record's two times: those
	// have eight once they are converted, however few came (RFC 7011 §6.2).
	if records > len(d) || values > len(d)+2*8*records {
		t.Errorf("%d records, %d octets of values out of %d octets", records, values, len(d))
	}
	if (after.Refused()-before.Refused() == 1) != (err != nil) || after.Datagrams != before.Datagrams+1 {
		t.Errorf("%v, and counted %+v", err, after)
	}
	if n := int(after.Records + after.Options - before.Records - before.Options); n != records {
		t.Errorf("%d records, %d counted", records, n)
	}
	x, ok := c.exporters.get(exporterA.Addr())
	if !ok {
		return
	}
	fields := 0
	x.templates.all(func(_ templateKey, t *template) { fields += len(t.fields) })
	if fields != x.fields || fields != c.fields || fields > 64 || x.templates.len() > 4 || x.sessions.len() > 3 {
		t.Errorf("%d templates of %d fields; %d and %d accounted for", x.templates.len(), fields, x.fields, c.fields)
	}
}
