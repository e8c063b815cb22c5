package export

import "cacheflow/cache/flow"

// Sampling is the sampler that the exporter announces. Counters are exported
// as sampled: collectors multiply.
type Sampling struct {
	// Interval N says that one packet in N was chosen; 1 says that all were. 0
	// announces nothing. NetFlow v5 has 14 bits for it.
	Interval uint32
	// Random says that the one was drawn at random; else it was every Nth.
	Random bool
	// NoMode leaves the mode bits of NetFlow v5's sampling word at 0, for
	// collectors that read all 16 bits as the interval.
	NoMode bool
	// Legacy announces over IPFIX with NetFlow v9's deprecated elements 48, 49
	// and 50, for collectors that do not read PSAMP's (RFC 5477).
	Legacy bool
}

// word returns the last header field of NetFlow v5: two bits of mode (1
// packet interval, 2 random), 14 of interval.
func (s Sampling) word() uint16 {
	w := uint16(s.Interval) & maxInterval5
	switch {
	case s.NoMode || s.Interval < 2:
		return w
	case s.Random:
		return w | 2<<14
	}
	return w | 1<<14
}

const maxInterval5 = 1<<14 - 1

// The one sampler of a process has this id in options and in records.
const samplerNumber = 1

// options is an Options Template Record and the one record that it describes,
// both as they go out.
type options struct {
	id       uint16
	template []byte
	record   []byte
}

// sampler returns the field by which a Data Record names its sampler.
func sampler(c *Config) group {
	if psamp(c) {
		return group{
			[]field{{selectorID, 4}},
			func(b []byte, _ *flow.Record, _ int64) []byte { return append(b, 0, 0, 0, samplerNumber) },
		}
	}
	return group{
		[]field{{samplerID, 1}},
		func(b []byte, _ *flow.Record, _ int64) []byte { return append(b, samplerNumber) },
	}
}

func psamp(c *Config) bool { return c.Protocol == IPFIX && !c.Sampling.Legacy }

// newOptions returns the announcement of the sampler, or nil where there is
// nothing to announce. It always names the algorithm, without which nfdump
// ignores it, and gives intervals four octets, which goflow2 insists on.
func newOptions(c *Config) *options {
	if c.Sampling.Interval == 0 {
		return nil
	}
	o := &options{id: templateBase(c.Protocol, c.SourceID) + idsPerDomain/2 - 1}
	switch {
	case psamp(c):
		// Systematic count-based sampling (1) also for a random sampler, whose
		// own elements 309 and 310 most collectors do not read: the rate is
		// the same.
		o.layout(IPFIX, field{selectorID, 4},
			field{selectorAlgorithm, 2}, field{samplingPacketInterval, 4}, field{samplingPacketSpace, 4})
		o.record = be.AppendUint32(o.record, samplerNumber)
		o.record = be.AppendUint16(o.record, 1)
		o.record = be.AppendUint32(o.record, 1)
		o.record = be.AppendUint32(o.record, c.Sampling.Interval-1)
		return o
	case c.Protocol == IPFIX:
		o.layout(IPFIX, field{observationDomainID, 4}, samplerFields...)
	default:
		o.layout(NetFlow9, field{scopeSystem, 4}, samplerFields...)
	}
	o.record = be.AppendUint32(o.record, c.SourceID)
	o.record = append(o.record, samplerNumber, samplingMode(c.Sampling.Random))
	o.record = be.AppendUint32(o.record, c.Sampling.Interval)
	return o
}

var samplerFields = []field{{samplerID, 1}, {samplerMode, 1}, {samplerRandomInterval, 4}}

// scopeSystem is NetFlow v9's scope type (RFC 3954 §6.1).
const scopeSystem = 1

// samplingMode is FLOW_SAMPLER_MODE: 1 deterministic, 2 random.
func samplingMode(random bool) uint8 {
	if random {
		return 2
	}
	return 1
}

// layout encodes the Options Template Record. NetFlow v9 gives the octets that
// the specifiers take (RFC 3954 §6.1), IPFIX their number with the scope's
// among them (RFC 7011 §3.4.2.2).
func (o *options) layout(p Protocol, scope field, fields ...field) {
	b := be.AppendUint16(nil, o.id)
	if p == IPFIX {
		b = be.AppendUint16(b, uint16(len(fields)+1))
		b = be.AppendUint16(b, 1)
	} else {
		b = be.AppendUint16(b, 4)
		b = be.AppendUint16(b, uint16(4*len(fields)))
	}
	o.template = appendFields(b, append([]field{scope}, fields...))
}
