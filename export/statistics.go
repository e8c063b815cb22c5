package export

import (
	"time"

	"cacheflow/cache/flow"
)

// Unmetered is what reached the Observation Point and was not metered, although it should
// have been (RFC 7011 §4.2): the totals since the start, and when it first and last
// happened; 0 is never.
type Unmetered struct {
	Packets uint64
	Octets  uint64
	First   flow.Time
	Last    flow.Time
}

// exporterStats lays out what this exporter has sent so far: Metering Process Statistics
// (RFC 7011 §4.1), which are the same elements as those of IOS XE's exporter-stats. The
// message that carries them is not in them yet.
func (o *options) exporterStats(c *Config) {
	o.layout(c.Protocol, domainScope(c.Protocol),
		field{exportedMessageTotalCount, 8}, field{exportedFlowRecordTotalCount, 8}, field{exportedOctetTotalCount, 8})
	o.records = func(b []byte) []byte {
		s := c.stats()
		b = be.AppendUint32(b, c.SourceID)
		b = be.AppendUint64(b, s.Datagrams.Count)
		b = be.AppendUint64(b, s.Sent.Records)
		return be.AppendUint64(b, s.Datagrams.Octets)
	}
}

// meteringReliability lays out Metering Process Reliability Statistics (RFC 7011 §4.2).
func (o *options) meteringReliability(c *Config) {
	o.layout(c.Protocol, domainScope(c.Protocol), field{ignoredPacketTotalCount, 8}, field{ignoredOctetTotalCount, 8},
		field{observationTimeMilliseconds, 8}, field{observationTimeMilliseconds, 8})
	o.records = func(b []byte) []byte {
		u := c.Unmetered()
		b = be.AppendUint32(b, c.SourceID)
		b = be.AppendUint64(b, u.Packets)
		b = be.AppendUint64(b, u.Octets)
		return appendTimes(b, c, u.First, u.Last)
	}
}

// exportingReliability lays out Exporting Process Reliability Statistics (RFC 7011 §4.3):
// the flow records that were made and not sent to this collector, and what they carried.
// Each exporter is an Exporting Process of its own, which its domain numbers.
func (o *options) exportingReliability(c *Config) {
	scope := domainScope(c.Protocol)
	if c.Protocol == IPFIX {
		scope = field{exportingProcessID, 4}
	}
	o.layout(c.Protocol, scope, field{notSentFlowTotalCount, 8}, field{notSentPacketTotalCount, 8}, field{notSentOctetTotalCount, 8},
		field{observationTimeMilliseconds, 8}, field{observationTimeMilliseconds, 8})
	o.records = func(b []byte) []byte {
		s := c.stats()
		lost := s.NotSent()
		b = be.AppendUint32(b, c.SourceID)
		b = be.AppendUint64(b, lost.Records)
		b = be.AppendUint64(b, lost.Packets)
		b = be.AppendUint64(b, lost.Octets)
		return appendTimes(b, c, s.FirstDrop, s.LastDrop)
	}
}

// appendTimes appends the wall times of two instants; 0 is none.
func appendTimes(b []byte, c *Config, times ...flow.Time) []byte {
	for _, t := range times {
		ms := uint64(0)
		if t != 0 {
			ms = wallTime(t, c.Epoch().UnixNano())
		}
		b = be.AppendUint64(b, ms)
	}
	return b
}

// flowKeys tells which fields of each template are the Flow Key (RFC 7011 §4.4).
func (o *options) flowKeys(c *Config, t *templates) {
	o.layout(c.Protocol, field{templateID, 2}, field{flowKeyIndicator, 8})
	o.records = func(b []byte) []byte {
		for _, t := range t.all {
			b = be.AppendUint16(b, t.id)
			b = be.AppendUint64(b, t.keys)
		}
		return b
	}
}

// isFlowKey reports whether the cache tells flows apart by an element: the router's seven
// and the direction.
func isFlowKey(id uint16) bool {
	switch id {
	case sourceIPv4Address, destinationIPv4Address, sourceIPv6Address, destinationIPv6Address,
		sourceTransportPort, destinationTransportPort, protocolIdentifier, ipClassOfService, ingressInterface, flowDirection:
		return true
	}
	return false
}

// defaultOptionInterval is that of a router's templates, shortened to what a collector
// that starts late can wait for.
const defaultOptionInterval = time.Minute
