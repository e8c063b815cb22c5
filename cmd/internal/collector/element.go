package collector

import (
	"strconv"
	"strings"

	"github.com/netsampler/goflow2/v2/decoders/netflow"

	"cacheflow/cmd/internal/render"
)

// Ids of the elements that the package treats by name.
const (
	protocolIdentifier         = 4
	sourceIPv4Address          = 8
	destinationIPv4Address     = 12
	flowEndSysUpTime           = 21
	flowStartSysUpTime         = 22
	sourceIPv6Address          = 27
	destinationIPv6Address     = 28
	icmpTypeCodeIPv4           = 32
	samplingInterval           = 34
	samplerRandomInterval      = 50
	icmpTypeCodeIPv6           = 139
	flowStartSeconds           = 150
	flowEndSeconds             = 151
	flowStartMilliseconds      = 152
	flowEndMilliseconds        = 153
	flowStartMicroseconds      = 154
	flowEndMicroseconds        = 155
	flowStartNanoseconds       = 156
	flowEndNanoseconds         = 157
	flowStartDeltaMicroseconds = 158
	flowEndDeltaMicroseconds   = 159
	systemInitTimeMilliseconds = 160
	paddingOctets              = 210
	samplingPacketInterval     = 305
	samplingPacketSpace        = 306
	samplingSize               = 309
	samplingPopulation         = 310
)

// reversePEN marks the reverse direction's elements (RFC 5103 §6.1).
const reversePEN = 29305

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
