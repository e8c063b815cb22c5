package export

import (
	"slices"

	"cacheflow/cache/flow"
)

// A template is a Template Record (RFC 3954 §5.2, RFC 7011 §3.4.1) and what
// encodes the Data Records that it describes.
type template struct {
	id     uint16
	groups []group
	// reverse is of the other direction's record, and stands behind groups; a biflow's.
	reverse []group
	narrow  bool // records whose counters need more than four octets are split
	size    int  // octets of one Data Record
	// keys has bit i set where field i is of the Flow Key, the first field being bit 0.
	keys   uint64
	record []byte // the Template Record as it goes out: id, field count, fields
}

// appendRecord appends r as one Data Record.
func (t *template) appendRecord(b []byte, r *flow.Record, epoch int64) []byte {
	for i := range t.groups {
		b = t.groups[i].put(b, r, epoch)
	}
	return b
}

func newTemplate(id uint16, groups, reverse []group) *template {
	t := &template{id: id, groups: groups, reverse: reverse}
	var fields []field
	for _, g := range groups {
		fields = append(fields, g.fields...)
	}
	for _, g := range reverse {
		for _, f := range g.fields {
			fields = append(fields, field{f.id | enterprise, f.length})
		}
	}
	t.size = size(fields)
	for i, f := range fields {
		if isFlowKey(f.id) {
			t.keys |= 1 << i
		}
	}
	t.record = be.AppendUint16(t.record, id)
	t.record = be.AppendUint16(t.record, uint16(len(fields)))
	t.record = appendFields(t.record, fields)
	return t
}

const (
	// enterprise is the bit of a field's id that says that an enterprise number follows
	// (RFC 7011 §3.2).
	enterprise = 1 << 15
	// reversePEN is the only one that we have: the element is that of the reverse
	// direction (RFC 5103 §6.1).
	reversePEN = 29305
)

// appendFields appends field specifiers, which but for reverse elements are the same in
// NetFlow v9 and IPFIX.
func appendFields(b []byte, fields []field) []byte {
	for _, f := range fields {
		b = be.AppendUint16(b, f.id)
		b = be.AppendUint16(b, f.length)
		if f.id&enterprise != 0 {
			b = be.AppendUint32(b, reversePEN)
		}
	}
	return b
}

// A family is the layouts of one kind of record. The third one is for IPv4 routes
// with an IPv6 gateway (RFC 8950): such a next hop fits into no IPv4 field, and 16
// octets of zeros in every other record would be a waste.
type family struct{ ipv4, ipv6, ipv4via6 *template }

// pick returns the template for r, or nil where r is of neither IP version.
func (f *family) pick(r *flow.Record) *template {
	switch {
	case r.Version == 6:
		return f.ipv6
	case r.Version != 4:
		return nil
	case r.NextHopVersion == 6:
		return f.ipv4via6
	}
	return f.ipv4
}

// templates are the Data Record layouts of one session.
type templates struct {
	all           []*template // as they are announced
	long          family
	reduced       *family // for records whose counters fit into four octets; may be nil
	biflow        *family // for both directions together; may be nil
	reducedBiflow *family
}

func (t *templates) pick(r *flow.Record) *template {
	if t.reduced != nil && fits32(r) {
		return t.reduced.pick(r)
	}
	return t.long.pick(r)
}

// pickPair returns the template for two directions.
func (t *templates) pickPair(a, b *flow.Record) *template {
	f := t.biflow
	if t.reducedBiflow != nil && fits32(a) && fits32(b) {
		f = t.reducedBiflow
	}
	if a.NextHopVersion == 6 {
		return f.pick(a)
	}
	return f.pick(b)
}

// Template ids: RFC 3954 and RFC 7011 scope them to one Observation Domain,
// but a collector may not (vflow stores templates by exporter address and id
// alone). So each domain takes a run of idsPerDomain that its number selects,
// NetFlow v9 the lower and IPFIX the upper half of it. Two domains of one
// address share a run with probability 1 in 1 020, and then still agree on what
// each id means unless they are configured to export different fields.
const (
	firstTemplateID = 256
	idsPerDomain    = 64
	idRuns          = (1<<16 - firstTemplateID) / idsPerDomain
)

func templateBase(p Protocol, domain uint32) uint16 {
	base := firstTemplateID + uint16(domain%idRuns)*idsPerDomain
	if p == IPFIX {
		base += idsPerDomain / 2
	}
	return base
}

// newTemplates lays out the records: the Flow Key first, then what was
// collected, as a router's templates have them.
func newTemplates(c *Config) (t templates) {
	if l := c.Fields.Layout; l.isRouter() {
		t.long = t.router(c, l)
		return t
	}
	t.long = *t.family(c, collected8)
	if c.Fields.Biflow {
		t.biflow = t.biflowFamily(c, collected8, reverse8)
	}
	if c.Fields.Counters == CountersReduced {
		t.reduced = t.family(c, collected4)
		if c.Fields.Biflow {
			t.reducedBiflow = t.biflowFamily(c, collected4, reverse4)
		}
	}
	return t
}

// router makes the two layouts of a router.
func (t *templates) router(c *Config, l Layout) family {
	v4, v6 := t.add(c, routerLayouts[l].ipv4, nil), t.add(c, routerLayouts[l].ipv6, nil)
	v4.narrow, v6.narrow = true, true
	return family{v4, v6, v4}
}

// family makes three layouts, which differ in endpoints and routes.
func (t *templates) family(c *Config, collected group) *family {
	layout := func(endpoints, route group) *template {
		return t.add(c, slices.Concat(c.shared(endpoints), c.directed(collected, route)), nil)
	}
	return &family{layout(endpoints4, route4), layout(endpoints6, c.route6()), layout(endpoints4, route4via6)}
}

// biflowFamily makes three layouts, of which the third has both kinds of next hop.
func (t *templates) biflowFamily(c *Config, collected, reverse group) *family {
	layout := func(endpoints, route group) *template {
		groups := slices.Concat(c.shared(endpoints), []group{initiatorFirst}, c.directed(collected, route))
		return t.add(c, groups, c.directed(reverse, route))
	}
	return &family{layout(endpoints4, route4), layout(endpoints6, c.route6()), layout(endpoints4, route4both)}
}

// shared returns what is said once of a biflow.
func (c *Config) shared(endpoints group) []group {
	groups := []group{endpoints}
	if c.Fields.FlowID {
		groups = append(groups, flowIDs)
	}
	if c.Fields.ASNumbers {
		groups = append(groups, as4)
	}
	switch c.Sampling.Form {
	case FormFlowSampler:
		groups = append(groups, flowSampler)
	case FormSelector:
		groups = append(groups, selector)
	}
	return groups
}

// directed returns what each direction of a biflow has.
func (c *Config) directed(collected, route group) []group {
	times, flags := timeGroups[c.Fields.Timestamps.of(c.Protocol)], flags1
	if c.WideTCPFlags {
		flags = flags2
	}
	return []group{collected, times, route, flags}
}

func (c *Config) route6() group {
	if c.Protocol == IPFIX {
		return route6
	}
	return route6v9
}

// add makes a template with the next id.
func (t *templates) add(c *Config, groups, reverse []group) *template {
	id := templateBase(c.Protocol, c.SourceID) + uint16(len(t.all))
	t.all = append(t.all, newTemplate(id, groups, reverse))
	return t.all[len(t.all)-1]
}
