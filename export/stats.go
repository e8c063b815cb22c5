package export

import (
	"net/netip"

	"cacheflow/cache/flow"
)

// Stats are an exporter's counters since its start. They close over flow
// records, packets and octets at every instant:
//
//	Made = Queued + Building + Sent + sum(Dropped)
type Stats struct {
	Name      string
	Protocol  Protocol
	Address   string         // as configured
	Collector netip.AddrPort // the zero value until it is resolved

	Made     Count // put, those refused among them
	Queued   Count // in the queue now
	Building Count // taken from it, and not yet in a message that was sent or dropped; what waits for its reverse direction, too
	Sent     Count // accepted by the kernel; over TCP acknowledged by the collector's host
	Dropped  [Reasons]Count
	// When a record was first and last dropped, on the timeline of the records; 0 for
	// never.
	FirstDrop, LastDrop flow.Time

	Datagrams      Datagrams          // sent
	Failed         [Reasons]Datagrams // not sent; what they carried is in Dropped
	Templates      uint64             // Template and Options Template Records sent
	Refusals       uint64             // ECONNREFUSED: the host's word that nobody listens
	Retries        uint64             // sends repeated: refused, buffer full, source address gone
	Paced          uint64             // times that datagrams had to wait for Rate
	Splits         uint64             // counters of four octets: records beyond one per flow record
	WideInterfaces uint64             // NetFlow v5: interface indexes above 65535

	QueueRecords int // size of the queue
}

// NotSent returns what was dropped, for any reason but that another exporter has it.
func (s *Stats) NotSent() (n Count) {
	for r, c := range s.Dropped {
		if Reason(r) != Moved {
			n.add(c)
		}
	}
	return n
}

// drop counts what is dropped at the time at.
func (s *Stats) drop(why Reason, c Count, at flow.Time) {
	if c == (Count{}) {
		return
	}
	s.Dropped[why].add(c)
	if s.FirstDrop == 0 {
		s.FirstDrop = at
	}
	s.LastDrop = max(s.LastDrop, at)
}

// Datagrams counts datagrams and the octets of their payload.
type Datagrams struct {
	Count  uint64 `json:"count"`
	Octets uint64 `json:"octets"`
}

func (d *Datagrams) add(payload int) {
	d.Count++
	d.Octets += uint64(payload)
}

// sum returns what the records carry.
func sum(rs []flow.Record) Count {
	c := Count{Records: uint64(len(rs))}
	for i := range rs {
		c.Packets += rs[i].Packets
		c.Octets += rs[i].Octets
	}
	return c
}
