package collector

import (
	"bytes"
	"slices"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"cacheflow/cmd/internal/render"
)

// dataSet takes the records of a data set.
func (d *decoding) dataSet(id uint16, b []byte) {
	t, ok := d.exporter.templates.get(templateKey{sessionKey{d.message.version, d.message.domain}, id})
	if !ok {
		d.found(NoTemplate)
		d.sure = false
		return
	}
	d.record.Template = id
	for len(b) >= t.size {
		n := t.recordLength(b)
		if n == 0 {
			d.found(TruncatedRecord)
			d.sure = false
			return
		}
		if d.units == d.cfg.MaxRecords {
			d.found(TooManyRecords)
			d.sure = false
			return
		}
		d.units++
		d.dataRecord(t, b[:n])
		b = b[n:]
	}
	d.padding(b)
}

// recordLength returns the length of the record that b, of at least t.size
// octets, begins with; 0 if b ends before it does.
func (t *template) recordLength(b []byte) int {
	if !t.variable {
		return t.size
	}
	at := 0
	for i := range t.fields {
		n := int(t.fields[i].Length)
		if n == variable {
			if at >= len(b) {
				return 0
			}
			// One octet of length, or 255 and two more (RFC 7011 §7).
			if n = int(b[at]); n == 255 {
				if len(b)-at < 3 {
					return 0
				}
				n = int(be.Uint16(b[at+1:]))
				at += 2
			}
			at++
		}
		if at += n; at > len(b) {
			return 0
		}
	}
	return at
}

// dataRecord has goflow2 decode one record, which b is to the octet.
func (d *decoding) dataRecord(t *template, b []byte) {
	buf := bytes.NewBuffer(b)
	values, err := netflow.DecodeDataSetUsingFields(d.message.version, buf, t.fields)
	if err != nil || buf.Len() != 0 {
		d.found(Other)
		return
	}
	r := &d.record
	r.Options = t.options
	r.Fields = r.Fields[:0]
	if t.boot >= 0 {
		d.session.boot = int64(render.Uint(octets(values[t.boot])))
	}
	protocol := uint8(0)
	if t.protocol >= 0 {
		protocol = uint8(render.Uint(octets(values[t.protocol])))
	}
	for i := range t.slots {
		f := d.field(&t.slots[i], octets(values[t.slots[i].index]))
		if !f.Omitted(t.ip, protocol) {
			r.Fields = append(r.Fields, f)
		}
	}
	if t.options {
		d.stats.Options++
		d.noteSampling()
	} else {
		d.stats.Records++
	}
	d.emit(r)
}

func octets(f netflow.DataField) []byte {
	v, _ := f.Value.([]byte)
	return v
}

// field converts flow times; where that is not possible, and all else, stays as
// it is.
func (d *decoding) field(s *slot, v []byte) render.Field {
	if s.convert == asItIs {
		return render.Field{Element: s.Element, Value: v}
	}
	ms, ok := d.milliseconds(s.convert, v)
	if !ok {
		return render.Field{Element: s.Element, Value: v}
	}
	out := d.record.times[:8]
	if s.end {
		out = d.record.times[8:]
	}
	be.PutUint64(out, uint64(max(0, ms)))
	return render.Field{Element: s.as, Value: out}
}

func (d *decoding) milliseconds(c conversion, v []byte) (int64, bool) {
	m := &d.message
	switch n := render.Uint(v); {
	case c == fromUptime && m.version == netflow9:
		return m.wall(uint32(n)), true
	case c == fromUptime && d.session.boot != 0:
		return m.exported - int64(int32(uint32(m.exported-d.session.boot)-uint32(n))), true
	case c == fromSeconds:
		return int64(n) * 1000, true
	case c == fromNTP:
		return render.NTP(v) / 1e6, true
	case c == fromDelta:
		return m.exported - int64(n)/1000, true
	}
	return 0, false
}

// noteSampling keeps the sampling interval that an options record announces.
func (d *decoding) noteSampling() {
	get := func(id uint16) uint64 { return render.Uint(d.record.Get(id)) }
	interval := max(get(samplingInterval), get(samplerRandomInterval))
	if n := get(samplingPacketInterval); n > 0 {
		interval = (n + get(samplingPacketSpace)) / n
	}
	if n := get(samplingSize); n > 0 {
		interval = get(samplingPopulation) / n
	}
	if interval > 0 {
		d.session.sampling = uint32(interval)
	}
}

// padding judges what is left of a set: at most three zeros (RFC 7011 §3.3.1).
func (d *decoding) padding(b []byte) {
	if len(b) > 3 || slices.ContainsFunc(b, func(o byte) bool { return o != 0 }) {
		d.found(BadPadding)
	}
}
