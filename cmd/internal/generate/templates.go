package generate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// TemplateFault does something on purpose to the templates of flow records. Those of options are
// left alone.
type TemplateFault struct {
	Kind manifest.TemplateFault
	// Scope is of whole seconds. Templates that are late come at its end, those that are changed
	// or withdrawn go out at its beginning and its end; those that are lost come when they are due.
	Scope
}

var templateKinds = []manifest.TemplateFault{manifest.Late, manifest.Lost, manifest.Changed, manifest.Withdrawn}

// ParseTemplateFault reads KIND with any of from=, to= and exporter= behind it: late,to=10s.
func ParseTemplateFault(text string) (f TemplateFault, err error) {
	kind, items, more := strings.Cut(text, ",")
	f.Kind = manifest.TemplateFault(kind)
	for more && err == nil {
		var item string
		item, items, more = strings.Cut(items, ",")
		key, value, _ := strings.Cut(item, "=")
		err = f.parse(key, value)
	}
	if err != nil {
		return f, fmt.Errorf("templates %q: %w", text, err)
	}
	return f, f.check(export.IPFIX)
}

// check holds the fault against what a protocol has.
func (f *TemplateFault) check(p export.Protocol) error {
	switch {
	case !slices.Contains(templateKinds, f.Kind):
		return fmt.Errorf("templates %q: want one of %q", f.Kind, templateKinds)
	case f.Kind == manifest.Late && f.To == 0:
		return errors.New("templates late: want to=, when they come")
	case p == export.NetFlow5:
		return errors.New("NetFlow v5 has no templates")
	case p == export.NetFlow9 && f.Kind == manifest.Withdrawn:
		return errors.New("NetFlow v9 has no withdrawal of templates: want ipfix")
	}
	if err := f.checkSeconds(); err != nil {
		return fmt.Errorf("templates %s: %w", f.Kind, err)
	}
	return nil
}

// String returns what ParseTemplateFault reads.
func (f TemplateFault) String() string { return string(f.Kind) + f.Scope.String() }

// announcements returns when a router has to send its templates for the sake of faults.
func (c *Config) announcements(number uint32) (at []time.Time) {
	for i := range c.Templates {
		f := &c.Templates[i]
		if f.Exporter != 0 && f.Exporter != number || f.Kind == manifest.Lost {
			continue
		}
		if f.From > 0 && f.Kind != manifest.Late {
			at = append(at, c.Start.Add(f.From))
		}
		if f.To > 0 {
			at = append(at, c.Start.Add(f.To))
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return slices.Compact(at)
}

// order is how the fields of templates and records stand.
type order uint8

const (
	unknown order = iota
	straight
	opposite // by manifest.Changed
)

// templates does the faults of templates, and knows what a collector knows of them that goes by
// RFC 3954 §9 and RFC 7011 §8: the latest definition holds, and a withdrawal too.
type templates struct {
	list    []TemplateFault
	header  int    // octets of a message's
	set     uint16 // the id of sets with templates
	routers []definitions
}

// definitions are about the templates of one router. It sends all of them one behind the other, in
// as many datagrams as they need, and no data in between; each arrives, or does not, for itself.
type definitions struct {
	layouts map[uint16]*layout // by their ids
	uses    order              // of its records, since the templates went out
}

// layout is a template as its session has it. It has no enterprise's elements: none of the
// generator's have any.
type layout struct {
	lengths []int // of fields, in octets
	size    int   // their sum
	first   [4]byte
	knows   order // of the one that arrived last
}

// newTemplates returns nil where all is decoded.
func newTemplates(c *Config) *templates {
	if c.Export.Protocol == export.NetFlow5 || len(c.Templates)+len(c.Faults) == 0 {
		return nil
	}
	t := &templates{list: c.Templates, header: 16, set: 2, routers: make([]definitions, c.Routers)} // RFC 7011 §3.1, §3.3.2
	if c.Export.Protocol == export.NetFlow9 {
		t.header, t.set = 20, 0 // RFC 3954 §5.1, §5.2
	}
	for i := range t.routers {
		t.routers[i].layouts = map[uint16]*layout{}
	}
	return t
}

// has reports whether a fault is about a datagram.
func (t *templates) has(k manifest.TemplateFault, d *datagram, at time.Duration) bool {
	return slices.ContainsFunc(t.list, func(f TemplateFault) bool { return f.Kind == k && f.covers(d.Exporter, at) })
}

// apply does to a message, in its place, what faults say, and notes what it did. Of one that had
// nothing but what was taken out, no octets are left.
func (t *templates) apply(m *message, at time.Duration) {
	m.of.Fault, m.of.Templates = "", ""
	if t == nil {
		return
	}
	r := &t.routers[m.router]
	out, removed := m.octets[:t.header], 0
	for id, set := range sets(m.octets[t.header:]) {
		if id == t.set {
			r.learn(set[4:])
			removed += t.change(r, m.of, &set, at)
		} else if l := r.layouts[id]; l != nil {
			r.encode(l, set[4:])
		}
		out = append(out, set...) // behind none that has yet to be read
	}
	m.uses = r.uses
	if len(out) == t.header {
		m.of.Fault, m.octets = manifest.Drop, nil
		return
	}
	t.seal(out, removed)
	m.of.Octets, m.octets = len(out), out
}

// sets goes through the sets of a message behind its header, as far as they are whole.
func sets(rest []byte) func(yield func(id uint16, set []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(rest) >= 4 {
			n := int(binary.BigEndian.Uint16(rest[2:]))
			if n < 4 || n > len(rest) {
				return
			}
			set := rest[:n]
			rest = rest[n:]
			if !yield(binary.BigEndian.Uint16(set), set) {
				return
			}
		}
	}
}

// learn notes the layouts of template records, which come as the session made them.
func (r *definitions) learn(records []byte) {
	for len(records) >= 4 {
		id, n := binary.BigEndian.Uint16(records), int(binary.BigEndian.Uint16(records[2:]))
		if r.layouts[id] == nil {
			l := &layout{first: [4]byte(records[4:])}
			for i := range n {
				length := int(binary.BigEndian.Uint16(records[4+4*i+2:]))
				l.lengths, l.size = append(l.lengths, length), l.size+length
			}
			r.layouts[id] = l
		}
		records = records[4+4*n:]
	}
}

// change does to a set of templates what faults say, and returns how many it took out.
func (t *templates) change(r *definitions, d *datagram, set *[]byte, at time.Duration) (removed int) {
	r.uses = straight
	if t.has(manifest.Changed, d, at) {
		r.uses, d.Templates = opposite, manifest.Changed
		turnTemplates((*set)[4:])
	}
	count, withdrawals := withdrawn(*set)
	switch {
	case t.has(manifest.Late, d, at):
		d.Templates = manifest.Late
	case t.has(manifest.Lost, d, at):
		d.Templates = manifest.Lost
	case t.has(manifest.Withdrawn, d, at):
		d.Templates = manifest.Withdrawn
		*set = (*set)[:copy(*set, withdrawals)]
		return 0
	default:
		return 0
	}
	*set = nil
	return count
}

// turnTemplates has the fields of template records stand in the opposite order.
func turnTemplates(records []byte) {
	for len(records) >= 4 {
		end := 4 + 4*int(binary.BigEndian.Uint16(records[2:]))
		slices.Reverse(records[4:end])
		for i := 4; i < end; i += 4 {
			slices.Reverse(records[i : i+4])
		}
		records = records[end:]
	}
}

// withdrawn returns how many template records a set has, and the set that withdraws them.
func withdrawn(set []byte) (count int, withdrawals []byte) {
	withdrawals = append(withdrawals, set[:4]...)
	for records := set[4:]; len(records) >= 4; count++ {
		withdrawals = append(withdrawals, records[0], records[1], 0, 0)
		records = records[4+4*int(binary.BigEndian.Uint16(records[2:])):]
	}
	binary.BigEndian.PutUint16(withdrawals[2:], uint16(len(withdrawals)))
	return count, withdrawals
}

// encode brings the fields of data records into the order that the router uses.
func (r *definitions) encode(l *layout, records []byte) {
	if r.uses != opposite {
		return
	}
	for ; len(records) >= l.size; records = records[l.size:] {
		slices.Reverse(records[:l.size])
		end := l.size
		for _, n := range l.lengths {
			slices.Reverse(records[end-n : end])
			end -= n
		}
	}
}

// seal puts a message's length into its header, in NetFlow v9 the count of its records.
func (t *templates) seal(message []byte, removed int) {
	if t.set == 0 {
		binary.BigEndian.PutUint16(message[2:], binary.BigEndian.Uint16(message[2:])-uint16(removed))
		return
	}
	binary.BigEndian.PutUint16(message[2:], uint16(len(message)))
}

// arrive notes what a collector learns from a datagram. One that was truncated it discards
// (RFC 7011 §9.1).
func (t *templates) arrive(router int, data []byte) {
	if t == nil || len(data) < t.header {
		return
	}
	whole := t.header
	for _, set := range sets(data[t.header:]) {
		whole += len(set)
	}
	if whole != len(data) {
		return
	}
	for id, set := range sets(data[t.header:]) {
		if id == t.set {
			t.routers[router].know(set[4:])
		}
	}
}

// know notes what a collector knows after template records.
func (r *definitions) know(records []byte) {
	for len(records) >= 4 {
		l, n := r.layouts[binary.BigEndian.Uint16(records)], int(binary.BigEndian.Uint16(records[2:]))
		switch {
		case n == 0: // RFC 7011 §8.1
			l.knows = unknown
		case l.first == [4]byte(records[4:]):
			l.knows = straight
		default:
			l.knows = opposite
		}
		records = records[4+4*n:]
	}
}

// judge notes which records of a message a collector cannot decode by the templates that have
// arrived. Those of the message itself have: a session has them before its data.
func (t *templates) judge(m *message) {
	if t == nil {
		return
	}
	r, rest := &t.routers[m.router], m.records
	for id, set := range sets(m.octets[t.header:]) {
		l := r.layouts[id]
		if l == nil {
			continue
		}
		n := (len(set) - 4) / l.size // padding is shorter than a record
		for i := range rest[:n] {
			rest[i].Undecodable = undecodable(m.uses, l.knows)
		}
		rest = rest[n:]
	}
}

// undecodable says why records cannot be decoded.
func undecodable(uses, knows order) manifest.Undecodable {
	switch knows {
	case uses:
		return ""
	case unknown:
		return manifest.NoTemplate
	}
	return manifest.OldTemplate
}
