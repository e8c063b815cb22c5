package render

import (
	"net/netip"

	"cacheflow/cache/flow"
)

// Decoded is a record that a collector decoded.
type Decoded struct {
	// Options says that the record is of an Options Template: it describes the
	// exporter, not a flow.
	Options bool
	// Exporter is the address that the record came from; it is written where it
	// is set.
	Exporter netip.Addr
	// Fields are in the order of the line; none is one that the rule leaves out.
	Fields []Field
}

// Field is one Information Element with its value, in network byte order as it
// was on the wire. The value's length fits the element's kind.
type Field struct {
	*Element
	Value []byte
}

// Omitted reports whether the rule of the package leaves the field out of a
// record of that IP version (0 where it is not known) and protocol.
func (f *Field) Omitted(version, protocol uint8) bool {
	if !f.omitZero {
		return false
	}
	switch f.ID {
	case icmpTypeCodeIPv4:
		return version == 6 || protocol != flow.ProtocolICMP
	case icmpTypeCodeIPv6:
		return version == 4 || protocol != flow.ProtocolICMPv6
	}
	for _, o := range f.Value {
		if o != 0 {
			return false
		}
	}
	return true
}

// Get returns the value of the IANA element with that number, or nil.
func (d *Decoded) Get(id uint16) []byte {
	for i := range d.Fields {
		if d.Fields[i].ID == id {
			return d.Fields[i].Value
		}
	}
	return nil
}

// appendJSON appends d as one object.
func (d *Decoded) appendJSON(b []byte) []byte {
	b = append(b, '{')
	if d.Options {
		b = append(b, `"options":true,`...)
	}
	for i := range d.Fields {
		f := &d.Fields[i]
		b = append(b, f.key...)
		b = appendQuoted(b, f.Kind, f.Value)
		b = append(b, ',')
	}
	if d.Exporter.IsValid() {
		b = append(b, `"exporterIPv`...)
		b = append(b, version(d.Exporter), 'A')
		b = append(b, `ddress":"`...)
		b = d.Exporter.AppendTo(b)
		b = append(b, `",`...)
	}
	return closeObject(b)
}

func version(a netip.Addr) byte {
	if a.Is6() {
		return '6'
	}
	return '4'
}

func appendQuoted(b []byte, k Kind, v []byte) []byte {
	if !k.isText() {
		return appendValue(b, k, v)
	}
	b = append(b, '"')
	b = appendValue(b, k, v)
	return append(b, '"')
}

// closeObject ends an object each of whose members ends with a comma.
func closeObject(b []byte) []byte {
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, '}')
}

// appendCSV appends the columns of a flow record, as far as d has them.
func (d *Decoded) appendCSV(b []byte) []byte {
	for i := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		if v := d.Get(columns[i].ID); v != nil {
			b = appendValue(b, columns[i].Kind, v)
		}
	}
	return b
}
