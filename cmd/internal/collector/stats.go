package collector

import (
	"net/netip"
	"time"
)

// Stats are a Collector's counters since its start.
type Stats struct {
	Datagrams uint64 `json:"datagrams"` // received; Found by a datagram reason says how many of them were refused
	Octets    uint64 `json:"octets"`    // their payload
	Records   uint64 `json:"records"`   // flow records handed over
	Options   uint64 `json:"options"`   // options data records handed over
	Templates uint64 `json:"templates"` // template records accepted, refreshes among them

	// Found counts each Reason in its own unit: datagrams, sets, template
	// records, records or fields.
	Found [Reasons]uint64 `json:"-"`

	// LostDatagrams (v9) and LostRecords (v5 and IPFIX, where options count
	// too) are the gaps in the sequence numbers, less what came late.
	LostDatagrams uint64 `json:"lostDatagrams"`
	LostRecords   uint64 `json:"lostRecords"`
	Late          uint64 `json:"late"`     // datagrams that came behind a later one
	Restarts      uint64 `json:"restarts"` // sequences that began anew

	// What the bounds replaced: addresses, templates, sequence spaces.
	ReplacedExporters uint64 `json:"replacedExporters"`
	ReplacedTemplates uint64 `json:"replacedTemplates"`
	ReplacedSessions  uint64 `json:"replacedSessions"`
}

// Refused returns how many datagrams were refused as a whole.
func (s *Stats) Refused() (n uint64) {
	for r := range Reasons {
		if r.IsDatagram() {
			n += s.Found[r]
		}
	}
	return n
}

// Exporter is the state of one sequence number space.
type Exporter struct {
	Address netip.Addr
	Version uint16 // 5, 9 or 10
	// Domain is the source id, the observation domain id or, in v5,
	// engine type × 256 + engine id.
	Domain   uint32
	Last     time.Time // when its last datagram came
	Records  uint64    // options among them
	Lost     uint64    // v9: datagrams; v5 and IPFIX: records
	Sampling uint32    // one packet in so many, as last announced; 0 is not announced
}

// Stats returns the counters. It may be called at any time, but not by the
// function that Decode hands records to.
func (c *Collector) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Exporters returns the sequence number spaces that are known, the most
// recently heard exporter first. The same holds as for Stats.
func (c *Collector) Exporters() []Exporter {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Exporter
	c.exporters.all(func(a netip.Addr, x *exporter) {
		x.sessions.all(func(k sessionKey, s *session) {
			all = append(all, Exporter{a, k.version, k.domain, s.last, s.records, s.lost, s.sampling})
		})
	})
	return all
}
