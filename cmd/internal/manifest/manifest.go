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
	Manifest int       `json:"manifest"` // the format's version
	Profile  string    `json:"profile"`
	Seed     uint64    `json:"seed"`
	Protocol string    `json:"protocol"` // as --protocol has it
	Start    time.Time `json:"start"`    // of the traffic, on its own time
	Duration string    `json:"duration"`
	Faults   []string  `json:"faults,omitempty"` // on purpose, as --fault has them
	Columns  []string  `json:"columns"`          // of records
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
	Number   uint64 // of its exporter's, from 1
	Exporter uint32
	Sequence uint32
	Time     int64 // milliseconds since 1970
	Octets   int
	Records  int // flow records
	Fault    Fault
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
	Reason                     flow.EndReason
	Fault                      Fault // its datagram's; not a column
}

// columns are a record's, in the order in which appendRecord has them.
var columns = []string{
	"exporter", "datagram", "sourceAddress", "destinationAddress", "sourceTransportPort", "destinationTransportPort",
	"protocolIdentifier", "ipClassOfService", "tcpControlBits", "ingressInterface", "egressInterface",
	"packetDeltaCount", "octetDeltaCount", "flowStartMilliseconds", "flowEndMilliseconds",
	"ipNextHop", "sourcePrefixLength", "destinationPrefixLength", "flowEndReason",
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
