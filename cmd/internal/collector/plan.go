package collector

import (
	"slices"
	"strconv"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"cacheflow/cmd/internal/render"
)

// template is a Template or Options Template Record in force.
type template struct {
	raw      []byte // as it came
	fields   []netflow.Field
	options  bool
	size     int // octets of the shortest data record
	variable bool

	slots []slot // in the order of a line
	// Positions in fields, or -1: what a record's other fields depend on.
	protocol, boot int
	ip             uint8 // the IP version that its addresses have; 0 for both or none
}

// slot is where a field of a record goes.
type slot struct {
	*render.Element
	index   int // in template.fields
	convert conversion
	end     bool            // of a conversion: flowEnd, not flowStart
	as      *render.Element // of a conversion: what it makes of the element
}

// conversion tells how a flow's start or end becomes milliseconds since 1970.
type conversion uint8

const (
	asItIs      conversion = iota
	fromUptime             // 21, 22: sysUpTime
	fromSeconds            // 150, 151
	fromNTP                // 154 to 157
	fromDelta              // 158, 159: microseconds before the export time
)

// starts lists the elements that can tell a flow's start, the best first, and
// those that tell its end.
var starts, ends = [...]source{
	{flowStartMilliseconds, asItIs}, {flowStartNanoseconds, fromNTP}, {flowStartMicroseconds, fromNTP},
	{flowStartDeltaMicroseconds, fromDelta}, {flowStartSysUpTime, fromUptime}, {flowStartSeconds, fromSeconds},
}, [...]source{
	{flowEndMilliseconds, asItIs}, {flowEndNanoseconds, fromNTP}, {flowEndMicroseconds, fromNTP},
	{flowEndDeltaMicroseconds, fromDelta}, {flowEndSysUpTime, fromUptime}, {flowEndSeconds, fromSeconds},
}

type source struct {
	id uint16
	conversion
}

// plan lays out the slots and returns how many fields have a length that their
// type cannot have.
func (t *template) plan(version uint16, scopes int) (illegal int) {
	t.protocol, t.boot, t.ip = -1, -1, ipVersion(t.fields)
	icmp6 := version == netflow9 && t.ip == 6 && !has(t.fields, icmpTypeCodeIPv6)
	seen := make(map[string]int)
	for i, f := range t.fields {
		e, legal := element(f, version == netflow9 && i < scopes)
		if !legal {
			illegal++
		}
		switch e.ID {
		case paddingOctets:
			continue
		case protocolIdentifier:
			t.protocol = i
		case systemInitTimeMilliseconds:
			t.boot = i
		case icmpTypeCodeIPv4:
			// RFC 3954 §8 has one field for either version.
			if icmp6 {
				e = render.ElementByID(icmpTypeCodeIPv6)
			}
		}
		// An element can be there more than once; JSON's members cannot.
		if seen[e.Name]++; seen[e.Name] > 1 {
			e = render.NewElement(e.Name+"#"+strconv.Itoa(seen[e.Name]), e.Kind)
		}
		t.slots = append(t.slots, slot{Element: e, index: i})
	}
	t.convert(starts[:], false)
	t.convert(ends[:], true)
	slices.SortStableFunc(t.slots, func(a, b slot) int {
		switch {
		case a.target().Before(b.target()):
			return -1
		case b.target().Before(a.target()):
			return 1
		}
		return 0
	})
	return illegal
}

func has(fields []netflow.Field, id uint16) bool {
	return slices.ContainsFunc(fields, func(f netflow.Field) bool { return f.Type == id && !f.PenProvided })
}

// ipVersion returns the version that the addresses among fields have; 0 where
// there are both, or none.
func ipVersion(fields []netflow.Field) uint8 {
	var version uint8
	for _, f := range fields {
		v := uint8(0)
		switch f.Type {
		case sourceIPv4Address, destinationIPv4Address:
			v = 4
		case sourceIPv6Address, destinationIPv6Address:
			v = 6
		}
		if f.PenProvided || v == 0 || v == version {
			continue
		}
		if version != 0 {
			return 0
		}
		version = v
	}
	return version
}

func (s *slot) target() *render.Element {
	if s.convert == asItIs {
		return s.Element
	}
	return s.as
}

// convert marks the best of the template's sources.
func (t *template) convert(sources []source, end bool) {
	for _, s := range sources {
		i := slices.IndexFunc(t.slots, func(f slot) bool { return f.ID == s.id })
		if i >= 0 {
			t.slots[i].convert, t.slots[i].end, t.slots[i].as = s.conversion, end, render.ElementByID(sources[0].id)
			return
		}
	}
}
