package control

import (
	"iter"
	"time"

	"cacheflow/cache"
)

// Version tells which program answers.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	PID     int    `json:"pid"`
}

// Cache is the state of the flow cache, all shards together.
type Cache struct {
	Statistics
	// Flows are the live flows that were asked for. They can be ranged over
	// once; an error ends them. Each Flow is valid until the next.
	Flows iter.Seq2[*Flow, error]
}

// Flows returns fs as the flows of a Cache.
func Flows(fs []Flow) iter.Seq2[*Flow, error] {
	return func(yield func(*Flow, error) bool) {
		for i := range fs {
			if !yield(&fs[i], nil) {
				return
			}
		}
	}
}

// Statistics are the figures of the whole cache.
type Statistics struct {
	Entries      int   `json:"entries"`
	Active       int   `json:"active"` // flows of both families
	HighWater    int   `json:"highWater"`
	MemoryOctets int64 `json:"memoryOctets"`

	ActiveTimeoutMilliseconds   int64 `json:"activeTimeoutMilliseconds"`
	InactiveTimeoutMilliseconds int64 `json:"inactiveTimeoutMilliseconds"`

	UptimeMilliseconds uint64 `json:"uptimeMilliseconds"`
	// SinceClearedMilliseconds tells how long ago the statistics of the families
	// were cleared; nil where they never were.
	SinceClearedMilliseconds *uint64 `json:"sinceClearedMilliseconds,omitempty"`
	AgerPolls                uint64  `json:"agerPolls"`

	IPv4 Family `json:"ipv4"`
	IPv6 Family `json:"ipv6"`

	// Matched counts the flows in the cache that the query asked for, before
	// its limit.
	Matched int `json:"matched"`
}

// Family are the figures of one IP version since the last clearing.
type Family struct {
	Active int     `json:"active"`
	Added  uint64  `json:"added"`
	Sizes  []Size  `json:"packetSizes"` // one for each of cache.SizeLimits
	Ended  []Class `json:"expired"`     // classes with expired flows, in the router's order
}

// Size counts the packets of one bucket of the size distribution.
type Size struct {
	UpTo    uint32 `json:"upTo"` // IP total length in octets
	Packets uint64 `json:"packets"`
}

// Class counts the expired flows of one row of the router's protocol table.
type Class struct {
	Protocol           string `json:"protocol"`
	Flows              uint64 `json:"flows"`
	Packets            uint64 `json:"packets"`
	Octets             uint64 `json:"octets"`
	ActiveMilliseconds uint64 `json:"activeMilliseconds"` // sum of last − first packet
	IdleMilliseconds   uint64 `json:"idleMilliseconds"`   // sum of expiry − last packet
}

// SetTable fills in what the tables count; now is their clock. The settings
// (memory, timeouts) and Matched are left alone.
func (s *Statistics) SetTable(t *cache.Stats, now time.Duration) {
	s.Entries, s.Active, s.HighWater, s.AgerPolls = t.Entries, t.Active, t.HighWater, t.Polls
	s.UptimeMilliseconds = uint64(now.Milliseconds())
	s.SinceClearedMilliseconds = nil
	if t.Cleared != 0 {
		since := uint64(max(now-time.Duration(t.Cleared), 0).Milliseconds())
		s.SinceClearedMilliseconds = &since
	}
	s.IPv4, s.IPv6 = newFamily(&t.Families[0]), newFamily(&t.Families[1])
}

func newFamily(s *cache.FamilyStats) Family {
	f := Family{Active: s.Active, Added: s.Added, Sizes: make([]Size, len(s.Sizes))}
	for i, n := range s.Sizes {
		f.Sizes[i] = Size{cache.SizeLimits[i], n}
	}
	for i, c := range s.Ended {
		if c.Flows > 0 {
			f.Ended = append(f.Ended, Class{cache.Class(i).String(), c.Flows, c.Packets, c.Octets, c.ActiveMs, c.IdleMs})
		}
	}
	return f
}

// Export is the state of the exporting processes.
type Export struct {
	Exporters []Exporter `json:"exporters"`
	Groups    []Group    `json:"groups,omitempty"`
}

// Group is the state of exporters of which each record goes to one.
type Group struct {
	Name    string   `json:"name"`
	Mode    string   `json:"mode"` // share or failover
	Members []Member `json:"members"`
}

// Member is an exporter of a group.
type Member struct {
	Exporter string `json:"exporter"` // its name
	Up       bool   `json:"up"`       // as far as it can know
	Gets     bool   `json:"gets"`     // it gets records now: all, or its share
}

// Exporter is the state of one exporting process.
type Exporter struct {
	Name        string `json:"name"`
	Protocol    string `json:"protocol"`    // netflow5, netflow9, ipfix or json
	Version     int    `json:"version"`     // of the message header: 5, 9 or 10; 0 for json
	Destination string `json:"destination"` // address:port, or the path of files
	File        bool   `json:"file"`        // records are written, not sent
	// Source is the address that datagrams leave with and SourceInterface the
	// interface it belongs to; empty where they are not known.
	Source          string `json:"source,omitempty"`
	SourceInterface string `json:"sourceInterface,omitempty"`

	Records   uint64 `json:"records"` // sent
	Datagrams uint64 `json:"datagrams"`
	Octets    uint64 `json:"octets"` // of the datagrams' payload
	Queued    uint64 `json:"queued"` // records that wait now
	QueueSize uint64 `json:"queueSize"`
	Dropped   []Drop `json:"dropped"`
	LastError string `json:"lastError,omitempty"`
}

// Drop counts what one reason kept from the collector. Records that never came
// into a datagram have none.
type Drop struct {
	Reason    DropReason `json:"reason"`
	Records   uint64     `json:"records"`
	Datagrams uint64     `json:"datagrams"`
}

// DropReason tells why records did not reach the collector, in the exporter's
// words. These are the ones that a router counts on a line of their own.
type DropReason string

const (
	DropQueueFull   DropReason = "queue full"       // no room between cache and exporter
	DropUnreachable DropReason = "unreachable"      // no route, no link, or the host is down
	DropTooLong     DropReason = "message too long" // EMSGSIZE: above the path MTU
)

// Interfaces are the interfaces that the daemon meters or has seen.
type Interfaces struct {
	Interfaces []Interface `json:"interfaces"`
}

// Interface tells how one interface is metered.
type Interface struct {
	Index   uint32 `json:"index"`
	Name    string `json:"name"`
	Mode    string `json:"mode"`    // af_packet, file
	Ingress bool   `json:"ingress"` // arriving packets are metered
	Egress  bool   `json:"egress"`  // leaving packets are metered
	Up      bool   `json:"up"`      // captured now
}

// Cleared answers a clearing.
type Cleared struct {
	Flows uint64 `json:"flows"` // that left the cache
}

// Reloaded tells what a reload of the configuration has changed.
type Reloaded struct {
	Changes []string `json:"changes"` // one line each
}
