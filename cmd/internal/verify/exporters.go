package verify

import (
	"net/netip"

	"cacheflow/cmd/internal/manifest"
)

// origin is what a collector says of where a record came from.
type origin struct {
	address netip.Addr // the zero Addr where it does not say
	domain  uint32
	// hasDomain says that it tells the Source ID, Observation Domain or engine.
	hasDomain bool
}

// exporters finds out which exporter of a manifest an origin is.
type exporters struct {
	byAddress map[netip.Addr]uint32 // nil where they do not tell exporters apart
	byDomain  map[uint32]uint32
}

func newExporters(all []manifest.Exporter) *exporters {
	e := &exporters{byAddress: map[netip.Addr]uint32{}, byDomain: map[uint32]uint32{}}
	for i := range all {
		x := &all[i]
		if _, twice := e.byAddress[x.Address]; twice || !x.Address.IsValid() {
			e.byAddress = nil
			break
		}
		e.byAddress[x.Address] = x.Exporter
	}
	for i := range all {
		e.byDomain[all[i].Domain] = all[i].Exporter
	}
	return e
}

// unknown is the number of an exporter that is not in the manifest.
const unknown = ^uint32(0)

// find returns the exporter; false where the collector does not say who it is.
func (e *exporters) find(o origin) (number uint32, told bool) {
	known := false
	switch {
	case e.byAddress != nil && o.address.IsValid():
		number, known = e.byAddress[o.address.Unmap()]
	case o.hasDomain:
		number, known = e.byDomain[o.domain]
	default:
		return 0, false
	}
	if !known {
		number = unknown
	}
	return number, true
}
