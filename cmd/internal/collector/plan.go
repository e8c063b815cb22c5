package collector

import (
	"slices"
	"strconv"
	"strings"

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

// Ids of the elements that the package treats by name.
const (
	flowEndSysUpTime                  = 21
	flowStartSysUpTime                = 22
	protocolIdentifier                = 4
	samplingInterval                  = 34
	samplerRandomInterval             = 50
	flowStartSeconds                  = 150
	flowStartMilliseconds             = 152
	flowStartMicroseconds             = 154
	flowStartNanoseconds              = 156
	flowStartDeltaMicroseconds        = 158
	systemInitTimeMilliseconds        = 160
	paddingOctets                     = 210
	samplingPacketInterval            = 305
	samplingPacketSpace               = 306
	samplingSize                      = 309
	samplingPopulation                = 310
	reversePEN                 uint32 = 29305 // RFC 5103 §6.1
)

// starts lists the elements that can tell a flow's start, the best first, and
// those that tell its end.
var starts, ends = [...]source{
	{flowStartMilliseconds, asItIs}, {flowStartNanoseconds, fromNTP}, {flowStartMicroseconds, fromNTP},
	{flowStartDeltaMicroseconds, fromDelta}, {flowStartSysUpTime, fromUptime}, {flowStartSeconds, fromSeconds},
}, [...]source{
	{flowStartMilliseconds + 1, asItIs}, {flowStartNanoseconds + 1, fromNTP}, {flowStartMicroseconds + 1, fromNTP},
	{flowStartDeltaMicroseconds + 1, fromDelta}, {flowEndSysUpTime, fromUptime}, {flowStartSeconds + 1, fromSeconds},
}

type source struct {
	id uint16
	conversion
}

// plan lays out the slots and returns how many fields have a length that their
// type cannot have.
func (t *template) plan(version uint16, scopes int) (illegal int) {
	t.protocol, t.boot = -1, -1
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

// element returns how a field is written, and whether its length is legal.
func element(f netflow.Field, scope9 bool) (*render.Element, bool) {
	e := registered(f, scope9)
	if e != nil && f.Length == variable {
		if e.Kind == render.Text || e.Kind == render.Octets {
			return e, true
		}
	} else if e != nil && (e.Kind.Fits(int(f.Length)) || f.Length == 0 && scope9) {
		return e, true
	}
	name := "element" + strconv.Itoa(int(f.Type))
	if f.PenProvided {
		name = "enterprise" + strconv.FormatUint(uint64(f.Pen), 10) + "." + strconv.Itoa(int(f.Type))
	}
	return render.NewElement(name, render.Octets), e == nil
}

func registered(f netflow.Field, scope9 bool) *render.Element {
	switch {
	case scope9:
		return scopes9[f.Type]
	case !f.PenProvided:
		return render.ElementByID(f.Type)
	case f.Pen == reversePEN:
		if e := render.ElementByID(f.Type); e != nil {
			return render.NewElement("reverse"+strings.ToUpper(e.Name[:1])+e.Name[1:], e.Kind)
		}
	}
	return nil
}

// scopes9 are NetFlow v9's scope types (RFC 3954 §6.1), a space of their own.
var scopes9 = map[uint16]*render.Element{
	1: render.NewElement("scopeSystem", render.Octets),
	2: render.NewElement("scopeInterface", render.Octets),
	3: render.NewElement("scopeLineCard", render.Octets),
	4: render.NewElement("scopeCache", render.Octets),
	5: render.NewElement("scopeTemplate", render.Octets),
}
