package manifest

import (
	"net/netip"
	"time"

	"cacheflow/cache/flow"
)

// version is that of the format.
const version = 1

// Header says how the traffic was made.
type Header struct {
	Manifest  int       `json:"manifest"` // the format's version
	Profile   string    `json:"profile,omitempty"`
	Capture   []string  `json:"capture,omitempty"` // files in place of a profile
	Repeat    int       `json:"repeat,omitempty"`  // how many times they were played
	Mirror    bool      `json:"mirror,omitempty"`  // each exporter saw all of them
	Seed      uint64    `json:"seed"`
	Protocol  string    `json:"protocol"`            // as --protocol has it
	Start     time.Time `json:"start"`               // of the traffic, on its own time
	Duration  string    `json:"duration,omitempty"`  // "" for all of a capture
	Faults    []string  `json:"faults,omitempty"`    // on purpose, as --fault has them
	Templates []string  `json:"templates,omitempty"` // faults of templates, as --templates has them
	Records   []string  `json:"records,omitempty"`   // faults of records, as --records has them
	Clocks    []string  `json:"clocks,omitempty"`    // what happens to clocks, as --clock has it
	Lacks     []string  `json:"lacks,omitempty"`     // columns that the exporters' records do not carry
	Columns   []string  `json:"columns"`             // of records
}

// Exporter is one router.
type Exporter struct {
	Exporter uint32     `json:"exporter"` // from 1
	Address  netip.Addr `json:"address"`
	Domain   uint32     `json:"domain"`
	Boot     time.Time  `json:"boot"`
}

// Datagram is one export message.
type Datagram struct {
	Number    uint64 // of its exporter's, from 1
	Exporter  uint32
	Sequence  uint32
	Time      int64 // milliseconds since 1970
	Octets    int
	Records   int // flow records
	Fault     Fault
	Templates TemplateFault
}

// Fault is what was done to a datagram on purpose; "" for nothing.
type Fault string

const (
	Drop      Fault = "drop"      // it was not sent
	Duplicate Fault = "duplicate" // it was sent twice
	Reorder   Fault = "reorder"   // it was sent behind the exporter's next one
	Delay     Fault = "delay"     // it was sent later
	Truncate  Fault = "truncate"  // only its first half was sent
	Jump      Fault = "jump"      // from it on the exporter's sequence numbers are larger
)

// TemplateFault is what was done on purpose to the templates of a datagram; "" for nothing.
type TemplateFault string

const (
	Late      TemplateFault = "late"      // they are not in it, and come at the end of that time
	Lost      TemplateFault = "lost"      // they are not in it, and come again when they are due
	Changed   TemplateFault = "changed"   // their fields stand in the opposite order, under the same id
	Withdrawn TemplateFault = "withdrawn" // there are withdrawals in their place (RFC 7011 §8.1)
)

// Undecodable is why a collector cannot decode a flow record; "" where it can.
type Undecodable string

const (
	NoTemplate  Undecodable = "no template"  // it has never got one, or that was withdrawn
	OldTemplate Undecodable = "old template" // the one that it has is of another order: it misreads them
)

// Record is a flow record as a collector should show it.
type Record struct {
	Exporter                   uint32
	Datagram                   uint64
	Src, Dst                   netip.Addr
	SrcPort, DstPort           uint16
	Protocol, ToS              uint8
	TCPFlags                   uint16
	Input, Output              uint32
	Packets, Octets            uint64
	Start, End                 int64 // milliseconds since 1970
	NextHop                    netip.Addr
	SrcPrefixLen, DstPrefixLen uint8
	SrcAS, DstAS               uint32
	Reason                     flow.EndReason
	Changed                    RecordFault // one column more where it is not "", as Undecodable
	Undecodable                Undecodable
	Fault                      Fault // its datagram's; no column
}

// RecordFault is what was done on purpose to a flow record; "" for nothing.
type RecordFault string

const (
	Limits   RecordFault = "limits"   // its counters are at a limit: 2^32-1, 2^32, 2^63 or 2^64-1
	Reversed RecordFault = "reversed" // its end is before its start
)

// columns are a record's, in the order in which appendRecord has them.
var columns = []string{
	"exporter", "datagram", "sourceAddress", "destinationAddress", "sourceTransportPort", "destinationTransportPort",
	"protocolIdentifier", "ipClassOfService", "tcpControlBits", "ingressInterface", "egressInterface",
	"packetDeltaCount", "octetDeltaCount", "flowStartMilliseconds", "flowEndMilliseconds",
	"ipNextHop", "sourcePrefixLength", "destinationPrefixLength", "bgpSourceAsNumber", "bgpDestinationAsNumber", "flowEndReason",
}

// Count is a number of records and what they carry.
type Count struct {
	Records uint64 `json:"records"`
	Packets uint64 `json:"packets"`
	Octets  uint64 `json:"octets"`
}

// Add adds a record.
func (c *Count) Add(packets, octets uint64) {
	c.Records++
	c.Packets += packets
	c.Octets += octets
}

// Restart is a router that lost its power. The count is of the flows that were lost with it.
type Restart struct {
	Restart  time.Time `json:"restart"` // its new boot time
	Exporter uint32    `json:"exporter"`
	Count
}

// Clock is what happened on purpose to the clocks of a router.
type Clock struct {
	Clock    ClockFault `json:"clock"`
	Exporter uint32     `json:"exporter"`
	At       time.Time  `json:"at"`           // of the traffic, whose clock is right
	By       string     `json:"by,omitempty"` // how far a step goes, as time.Duration has it
	Boot     time.Time  `json:"boot"`         // when sysUpTime was 0, as headers tell it from then on
}

// ClockFault is a kind of it.
type ClockFault string

const (
	Wrap ClockFault = "wrap" // sysUpTime begins anew, after 2^32 ms
	Step ClockFault = "step" // the wall clock jumps, and sysUpTime does not
)

// End is how a manifest ends.
type End string

const (
	Complete    End = "complete"
	Interrupted End = "interrupted"
)

// Last is the last line.
type Last struct {
	End       End    `json:"end"`
	Datagrams uint64 `json:"datagrams"`
	Count
}
