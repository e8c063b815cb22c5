package export

import (
	"time"

	"cacheflow/cache/flow"
)

// Sampling is the sampler that the exporter announces. Counters are exported as sampled:
// collectors multiply.
type Sampling struct {
	// Interval is out of how many frames one is metered; 0 and 1 announce nothing. NetFlow
	// v5 has 14 bits for it.
	Interval uint32
	// Random says that it is one by chance; else it is each Interval-th.
	Random bool
	// NoMode leaves the mode bits of NetFlow v5's sampling word at 0, for collectors that
	// read all 16 bits as the interval.
	NoMode bool
}

func (s Sampling) isOn() bool { return s.Interval > 1 }

// word returns the last header field of NetFlow v5: two bits of mode (1 packet interval,
// 2 random), 14 of interval.
func (s Sampling) word() uint16 {
	w := uint16(s.Interval) & maxInterval5
	switch {
	case !s.isOn():
		return 0
	case s.NoMode:
		return w
	}
	return w | uint16(s.algorithm())<<14
}

const maxInterval5 = 1<<14 - 1

// algorithm is samplingAlgorithm: 1 deterministic, 2 random.
func (s Sampling) algorithm() uint8 {
	if s.Random {
		return 2
	}
	return 1
}

// options is an Options Template Record and the records that it describes.
type options struct {
	id       uint16
	template []byte // as it goes out
	size     int    // octets of a record
	// records appends the records of the moment.
	records func(b []byte) []byte
	// interval is how often the records go out, with the templates then; 0: as often as
	// these. They are due at a time.
	interval time.Duration
	due      flow.Time
}

// newOptions returns what the configuration has announced.
func newOptions(c *Config) (all []*options) {
	if c.Sampling.isOn() {
		all = append(all, newSampler(c))
	}
	if c.Protocol == IPFIX && c.Fields.Timestamps == TimestampsSysUpTime {
		all = append(all, newSystemInitTime(c))
	}
	if c.InterfaceTable != nil && c.InterfaceTableInterval > 0 {
		all = append(all, newInterfaceTable(c))
	}
	return all
}

// optionsID returns the template id of one of the options: they are the last ones of
// those that the exporter has.
func optionsID(c *Config, n uint16) uint16 {
	return templateBase(c.Protocol, c.SourceID) + idsPerDomain/2 - 1 - n
}

// newSampler returns the announcement of the sampler: its interval and algorithm, valid
// for all that this exporter sends.
//
// In IPFIX, too, these are NetFlow v9's elements, which the registry has deprecated for
// PSAMP's selectorAlgorithm and its parameters (RFC 5477 §8). But collectors read these:
// goflow2 takes a systematic sampler of PSAMP for 1 out of 1, and the elements of a random
// one (309, 310) only pmacct knows. nfdump wants the algorithm beside the interval, and
// goflow2 four octets of interval.
func newSampler(c *Config) *options {
	scope := field{scopeSystem, 4}
	if c.Protocol == IPFIX {
		scope = field{observationDomainID, 4}
	}
	o := &options{id: optionsID(c, 0)}
	o.layout(c.Protocol, scope, field{samplingInterval, 4}, field{samplingAlgorithm, 1})
	o.records = func(b []byte) []byte {
		b = be.AppendUint32(b, c.SourceID)
		b = be.AppendUint32(b, c.Sampling.Interval)
		return append(b, c.Sampling.algorithm())
	}
	return o
}

// scopeSystem is NetFlow v9's scope type (RFC 3954 §6.1).
const scopeSystem = 1

// layout encodes the Options Template Record. NetFlow v9 gives the octets that the
// specifiers take (RFC 3954 §6.1), IPFIX their number with the scope's among them (RFC
// 7011 §3.4.2.2).
func (o *options) layout(p Protocol, scope field, fields ...field) {
	b := be.AppendUint16(nil, o.id)
	if p == IPFIX {
		b = be.AppendUint16(b, uint16(len(fields)+1))
		b = be.AppendUint16(b, 1)
	} else {
		b = be.AppendUint16(b, 4)
		b = be.AppendUint16(b, uint16(4*len(fields)))
	}
	fields = append([]field{scope}, fields...)
	o.size = size(fields)
	o.template = appendFields(b, fields)
}
