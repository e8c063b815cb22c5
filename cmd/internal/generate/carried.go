package generate

import (
	"cacheflow/capture/synth"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// Information Elements that decide how records are sent (IANA).
const (
	octetDeltaCount    = 1
	bgpSourceAsNumber  = 16
	flowStartSysUpTime = 22
)

// elements are those that can carry a column of the manifest, where not all records have one.
var elements = []struct {
	column string
	ids    []uint16
}{
	{"ipClassOfService", []uint16{5}},
	{"tcpControlBits", []uint16{6}},
	{"ingressInterface", []uint16{10}},
	{"egressInterface", []uint16{14}},
	{"flowStartMilliseconds", []uint16{flowStartSysUpTime, 152, 154, 156}},
	{"flowEndMilliseconds", []uint16{21, 153, 155, 157}},
	{"ipNextHop", []uint16{15, 62}},
	{"sourcePrefixLength", []uint16{9, 29}},
	{"destinationPrefixLength", []uint16{13, 30}},
	{"bgpSourceAsNumber", []uint16{bgpSourceAsNumber}},
	{"bgpDestinationAsNumber", []uint16{17}},
	{"flowEndReason", []uint16{136}},
}

// lacks returns the columns of the manifest that the records of a session do not carry.
func lacks(s *export.Session) (columns []string) {
	for _, e := range elements {
		octets := 0
		for _, id := range e.ids {
			octets = max(octets, s.Length(id))
		}
		if octets == 0 {
			columns = append(columns, e.column)
		}
	}
	return columns
}

// hasAS reports whether a profile knows any autonomous system.
func hasAS(p *synth.Profile) bool {
	for i := range p.Networks {
		if p.Networks[i].AS != 0 {
			return true
		}
	}
	return false
}

// setAS puts autonomous systems into what the manifest says, as records carry them.
func (r *router) setAS(m *manifest.Record, f *record) {
	m.SrcAS, m.DstAS = f.SrcAS, f.DstAS
	if r.octetsOfAS == 2 {
		m.SrcAS, m.DstAS = uint32(export.AS16(f.SrcAS)), uint32(export.AS16(f.DstAS))
	}
}
