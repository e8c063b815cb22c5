package export

import (
	"math"
	"time"

	"cacheflow/cache/flow"
)

// OptionIntervals is how often each kind of options is announced, in cache time: 0 is
// 60 s, a negative interval never. NetFlow v5 has no options.
type OptionIntervals struct {
	SamplerTable   time.Duration
	InterfaceTable time.Duration
	ExporterStats  time.Duration
	Reliability    time.Duration // of metering and of exporting
	FlowKeys       time.Duration // IPFIX only
}

// Off is an interval of what is never announced.
const Off time.Duration = -1

// never is when options are due that no time makes due.
const never flow.Time = math.MaxInt64

// options is an Options Template Record and the records that it describes.
type options struct {
	id       uint16
	template []byte // as it goes out
	size     int    // octets of a record
	// records appends the records of the moment.
	records func(b []byte) []byte
	// interval is how often the records go out; they were sent, and are due, at a time.
	interval  time.Duration
	sent, due flow.Time
	// constant records go out whenever the templates do as well: without them a collector
	// would misread the flows.
	constant bool
	// statistics are reported at the end as well.
	statistics bool
}

func (o *options) isStatistics() bool { return o.statistics }

// newOptions returns what the configuration has announced. Each kind has its own
// template id, whether others are announced or not.
func newOptions(c *Config, t *templates) (all []*options) {
	every := &c.Options
	for i, kind := range []struct {
		interval   time.Duration
		has        bool
		statistics bool
		layOut     func(o *options)
	}{
		{every.SamplerTable, true, false, func(o *options) { o.sampler(c) }},
		{every.InterfaceTable, c.InterfaceTable != nil, false, func(o *options) { o.interfaceTable(c) }},
		{every.ExporterStats, c.stats != nil, true, func(o *options) { o.exporterStats(c) }},
		{every.Reliability, c.Unmetered != nil, true, func(o *options) { o.meteringReliability(c) }},
		{every.Reliability, c.stats != nil, true, func(o *options) { o.exportingReliability(c) }},
		{every.FlowKeys, c.Protocol == IPFIX, false, func(o *options) { o.flowKeys(c, t) }},
		{defaultOptionInterval, c.Protocol == IPFIX && c.Fields.Timestamps == TimestampsSysUpTime, false, func(o *options) { o.systemInitTime(c) }},
	} {
		if !kind.has || kind.interval < 0 {
			continue
		}
		o := &options{id: optionsID(c, uint16(i)), interval: kind.interval, statistics: kind.statistics}
		if o.statistics && c.Now == nil {
			o.due = never // how far a replay has come is no function of its records
		}
		kind.layOut(o)
		all = append(all, o)
	}
	return all
}

// optionsID returns the template id of one of the options: they are the last ones of
// those that the exporter has.
func optionsID(c *Config, n uint16) uint16 {
	return templateBase(c.Protocol, c.SourceID) + idsPerDomain/2 - 1 - n
}

// domainScope is the scope of what concerns all that this exporter sends. In NetFlow v9
// its value is that of the Source ID as well.
func domainScope(p Protocol) field {
	if p == IPFIX {
		return field{observationDomainID, 4}
	}
	return field{scopeSystem, 4}
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
