package cache

import "cacheflow/cache/flow"

// Sum counts flows and what they carried.
type Sum struct{ Flows, Packets, Octets uint64 }

// Stats are a table's counters since its start, or since the last clearing
// where they say so.
type Stats struct {
	Entries   int // size of the cache
	Active    int // flows in it now, both families
	HighWater int // most flows there ever were at once

	// Observed is what Observe was given, Flows counting its observations.
	Observed Sum
	// Ended counts the records that left, by their reason.
	Ended [flow.EndReasons]Sum
	// Polls counts the calls of Expire ("ager polls").
	Polls uint64
	// Families holds what the router shows apart: IPv4 at 0, IPv6 at 1.
	Families [2]FamilyStats
	// Cleared is when the statistics in Families were last cleared; 0 for never.
	Cleared flow.Time
}

// FamilyStats are the figures of `show ip cache flow` for one IP version.
type FamilyStats struct {
	Active int    // flows in the cache now
	Added  uint64 // flows made
	// Sizes counts packets by their IP total length: bucket i holds those up to
	// SizeLimits[i], the last one also what is larger. Of an observation that
	// sums several packets all count at their mean length.
	Sizes [len(SizeLimits)]uint64
	// Ended counts expired flows by class (CISCO-NETFLOW-MIB
	// cnfPSExpiredFlows: incremented when a flow expires).
	Ended [Classes]ClassStats
}

// ClassStats are one row of the router's protocol table.
type ClassStats struct {
	Sum
	ActiveMs uint64 // sum over flows of last − first packet
	IdleMs   uint64 // sum over flows of expiry − last packet
}

// SizeLimits are the upper bounds in octets of the router's packet size
// distribution.
var SizeLimits = [...]uint32{
	32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448, 480,
	512, 544, 576, 1024, 1536, 2048, 2560, 3072, 3584, 4096, 4608,
}

// Class is a row of the router's protocol table (CISCO-NETFLOW-MIB
// NfProtocolTypes), in the router's order.
type Class uint8

const (
	TCPTelnet Class = iota
	TCPFTP
	TCPFTPData
	TCPWWW
	TCPSMTP
	TCPX
	TCPBGP
	TCPNNTP
	TCPFrag
	TCPOther
	UDPDNS
	UDPNTP
	UDPTFTP
	UDPFrag
	UDPOther
	ICMP
	IGMP
	IPinIP
	IPv6inIP
	GRE
	IPOther

	Classes // one more than the largest, for arrays indexed by it
)

var classNames = [Classes]string{
	"TCP-Telnet", "TCP-FTP", "TCP-FTPD", "TCP-WWW", "TCP-SMTP", "TCP-X", "TCP-BGP", "TCP-NNTP", "TCP-Frag", "TCP-other",
	"UDP-DNS", "UDP-NTP", "UDP-TFTP", "UDP-Frag", "UDP-other",
	"ICMP", "IGMP", "IPINIP", "IPv6INIP", "GRE", "IP-other",
}

// String returns the row's name as the router prints it.
func (c Class) String() string { return classNames[c] }

// Add adds the counters of another shard's table to s.
func (s *Stats) Add(o *Stats) {
	s.Entries += o.Entries
	s.Active += o.Active
	s.HighWater += o.HighWater
	s.Observed.add(&o.Observed)
	for i := range o.Ended {
		s.Ended[i].add(&o.Ended[i])
	}
	s.Polls += o.Polls
	for i := range o.Families {
		s.Families[i].add(&o.Families[i])
	}
	s.Cleared = max(s.Cleared, o.Cleared)
}

func (s *Sum) add(o *Sum) {
	s.Flows += o.Flows
	s.Packets += o.Packets
	s.Octets += o.Octets
}

func (f *FamilyStats) add(o *FamilyStats) {
	f.Active += o.Active
	f.Added += o.Added
	for i := range o.Sizes {
		f.Sizes[i] += o.Sizes[i]
	}
	for i := range o.Ended {
		f.Ended[i].add(&o.Ended[i].Sum)
		f.Ended[i].ActiveMs += o.Ended[i].ActiveMs
		f.Ended[i].IdleMs += o.Ended[i].IdleMs
	}
}
