package collector

import (
	"bytes"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
)

// variable is the field length of a variable-length element (RFC 7011 §7).
const variable = 0xffff

// maxEmptyFields is how many fields of length 0 a template can have. Juniper's
// options have a scope of no octets; many would make a short record costly.
const maxEmptyFields = 4

// shape is what the check learns of a Template Record.
type shape struct {
	id             uint16
	length         int // of the Template Record itself
	fields, scopes int
	size           int // of the shortest data record
	variable       bool
	empty          int // fields of length 0
}

// templateSet takes the Template Records of a set.
func (d *decoding) templateSet(b []byte, options bool) {
	v := d.message.version
	for len(b) >= 4 {
		if v == ipfix && be.Uint16(b[2:]) == 0 {
			d.found(Withdrawal)
			b = b[4:]
			continue
		}
		s, reason := measure(b, v, options)
		d.templates++
		if reason == accepted {
			reason = s.check(v, options, d.cfg.MaxFields)
		}
		if reason != accepted {
			d.found(reason)
		} else {
			d.template(b[:s.length], s, options)
		}
		if s.length == 0 {
			d.sure = d.sure && v == ipfix
			return
		}
		b = b[s.length:]
	}
	d.padding(b)
}

// measure walks the Template Record that b begins with. A shape of length 0
// says that its end is not known.
func measure(b []byte, version uint16, options bool) (shape, Reason) {
	s := shape{id: be.Uint16(b), fields: int(be.Uint16(b[2:]))}
	at := 4
	if options {
		if at = 6; len(b) < at {
			return s, TruncatedTemplate
		}
		s.scopes = int(be.Uint16(b[4:]))
		if version == netflow9 { // lengths in octets, first the scope's (RFC 3954 §6.1)
			scope, option := s.fields, s.scopes
			if scope%4 != 0 || option%4 != 0 {
				return s, BadScope
			}
			s.fields, s.scopes = (scope+option)/4, scope/4
		}
	}
	for range s.fields {
		if len(b)-at < 4 {
			return s, TruncatedTemplate
		}
		enterprise := version == ipfix && b[at]&0x80 != 0
		s.add(be.Uint16(b[at+2:]), version)
		if at += 4; enterprise {
			at += 4
		}
	}
	if at > len(b) {
		return s, TruncatedTemplate
	}
	s.length = at
	return s, accepted
}

func (s *shape) add(length, version uint16) {
	switch {
	case length == variable && version == ipfix:
		s.variable = true
		s.size++ // the length octet
	case length == 0:
		s.empty++
	default:
		s.size += int(length)
	}
}

// check judges a Template Record whose end is known.
func (s *shape) check(version uint16, options bool, maxFields int) Reason {
	switch {
	case s.id < firstDataSet:
		return BadTemplateID
	case options && (s.scopes > s.fields || s.scopes == 0 && version == ipfix):
		return BadScope
	case s.size == 0 || s.empty > maxEmptyFields:
		return EmptyRecord
	case s.fields > maxFields:
		return TooManyFields
	}
	return accepted
}

// template stores the Template Record raw, unless it is the one that is known.
func (d *decoding) template(raw []byte, s shape, options bool) {
	k := templateKey{sessionKey{d.message.version, d.message.domain}, s.id}
	if t, ok := d.exporter.templates.get(k); ok && t.options == options && bytes.Equal(t.raw, raw) {
		d.stats.Templates++
		return
	}
	fields, ok := decodeTemplate(raw, d.message.version, options)
	if !ok || len(fields) != s.fields {
		d.found(Other)
		return
	}
	t := &template{raw: bytes.Clone(raw), fields: fields, options: options, size: s.size, variable: s.variable}
	d.stats.Found[IllegalLength] += uint64(t.plan(d.message.version, s.scopes))
	d.store(d.exporter, k, t)
	d.stats.Templates++
}

// decodeTemplate has goflow2 decode one whole Template Record and returns its
// fields, scope fields first.
func decodeTemplate(raw []byte, version uint16, options bool) ([]netflow.Field, bool) {
	b := bytes.NewBuffer(raw)
	switch {
	case !options:
		ts, err := netflow.DecodeTemplateSet(version, b)
		if err != nil || len(ts) != 1 {
			return nil, false
		}
		return ts[0].Fields, true
	case version == netflow9:
		ts, err := netflow.DecodeNFv9OptionsTemplateSet(b)
		if err != nil || len(ts) != 1 {
			return nil, false
		}
		return append(ts[0].Scopes, ts[0].Options...), true
	}
	ts, err := netflow.DecodeIPFIXOptionsTemplateSet(b)
	if err != nil || len(ts) != 1 {
		return nil, false
	}
	fields := append(ts[0].Scopes, ts[0].Options...)
	for i := range fields {
		if fields[i].PenProvided {
			fields[i].Type &= 0x7fff // goflow2 leaves the enterprise bit here
		}
	}
	return fields, true
}
