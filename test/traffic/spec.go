package traffic

import (
	"fmt"
	"time"
)

// Spec says what traffic to make. The same Spec gives the same frames.
type Spec struct {
	// Packets is the number of frames of a file; a Generator goes on without end.
	Packets int
	// Flows is how many flows the packets are taken from, at most MaxFlows.
	// Flows differ in addresses, ports, protocol or ToS. 0 means 1.
	Flows int
	// Zipf is the exponent by which a flow's share falls with its rank, above 1
	// (the rank is counted from 10, so that no flow has most of the packets).
	// 0 means that all flows are as likely.
	Zipf float64
	// InTurn takes the flows one after another instead of by chance.
	InTurn bool
	// Size is the length of a frame in octets, at least 60 (IPv6: 74). 0 means
	// the simple Internet mix: 60, 590 and 1514 octets as 7 to 4 to 1.
	Size int
	// IPv6 is the share of IPv6 flows in percent.
	IPv6 int
	// Lifelike puts SYN, FIN, RST and PSH into TCP packets now and then and gives
	// flows several ToS values. Otherwise all is ACK and ToS 0.
	Lifelike bool
	// Seed chooses among captures that are alike.
	Seed uint64

	// Start is the time of a file's first packet; the zero Time means
	// 2023-11-14 22:13:20 UTC.
	Start time.Time
	// Interval lies between one packet of a file and the next.
	Interval time.Duration
	// Snap is how many octets of a frame a file keeps; 0 means all.
	Snap int
}

// MaxFlows bounds Spec.Flows: a flow's number is part of its source address.
const MaxFlows = 1 << 24

func (s *Spec) validate() error {
	switch {
	case s.Flows < 0 || s.Flows > MaxFlows:
		return fmt.Errorf("flows %d is not in 0 to %d", s.Flows, MaxFlows)
	case s.Zipf != 0 && s.Zipf <= 1:
		return fmt.Errorf("zipf exponent %g is not above 1", s.Zipf)
	case s.Size != 0 && (s.Size < 60 || s.Size > maxFrame):
		return fmt.Errorf("frame size %d is not in 60 to %d", s.Size, maxFrame)
	case s.IPv6 < 0 || s.IPv6 > 100:
		return fmt.Errorf("IPv6 share %d is not a percentage", s.IPv6)
	}
	return nil
}

// Sum counts flows and what they carried. Octets are IP total lengths.
type Sum struct{ Flows, Packets, Octets uint64 }

// Truth is what an exporter must account for, by IP version. Flows are told
// apart by addresses, ports, protocol and ToS.
type Truth struct{ IPv4, IPv6 Sum }

// Total is the sum over both versions.
func (t Truth) Total() Sum {
	return Sum{t.IPv4.Flows + t.IPv6.Flows, t.IPv4.Packets + t.IPv6.Packets, t.IPv4.Octets + t.IPv6.Octets}
}
