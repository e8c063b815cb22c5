package capture

// Counters account for every frame that reached one interface's Observation
// Point. Each is counted where the thing happens and none is computed from the
// others. At a quiet instant
//
//	Observed = Lost + InFirstLevel + InRing + SampledOut + sum(NotMetered) + Metered
//
// in frames. Where one ring serves several interfaces the kernel tells Observed
// and Lost for all of them together: they then stand in an entry with Index 0.
type Counters struct {
	Index uint32 // ifIndex; in a file, the interface's number from 1
	Name  string
	Mode  string // how it is captured: "tcx", "clsact", "af_packet", "file"

	Observed uint64 // frames, by the first counter on the path
	Lost     uint64 // frames that the ring had no room for; their octets are unknown
	InRing   uint64 // frames that wait in the ring now
	// InFirstLevel counts the frames whose sum is in the kernel's first-level cache
	// now; 0 where there is none.
	InFirstLevel uint64
	FirstLevel   FirstLevel
	SampledOut   uint64 // frames that the sampler did not choose

	NotMetered [Reasons]uint64 // frames, by the reason; NotMetered[Decoded] stays 0

	Metered uint64 // frames handed over in observations
	Packets uint64 // their wire packets (segments of super-packets)
	Octets  uint64 // their IP octets
	// Observations is in how many: each stands for one frame, or for the sum of
	// several that a first-level cache made.
	Observations uint64

	OtherHost  uint64 // of Observed: frames addressed to another host, of those that the sampler chose
	ClockJumps uint64 // of Metered: stamps that cannot be, not believed (in a file: over an hour ahead)
}

// FirstLevel is the account of a first-level cache, which counts packets and octets
// before they are handed over:
//
//	Counted = Lost + Content + InRing + HandedOver
type FirstLevel struct {
	Counted    Sum `json:"counted"` // what was read, by the first counter on the path
	Lost       Sum `json:"lost"`    // what neither the cache nor the ring had room for
	Content    Sum `json:"content"` // what is in the cache now, summed from its entries
	InRing     Sum `json:"inRing"`  // what has left it and waits
	HandedOver Sum `json:"handedOver"`
}

// FirstLevelState tells how a first-level cache does.
type FirstLevelState struct {
	// Entries is how many flows it has room for in one generation, over all CPUs, and
	// Used how many are in it now. Octets is the memory of all of it.
	Entries int   `json:"entries"`
	Used    int   `json:"used"`
	Octets  int64 `json:"octets"`
	// Flips counts the generations that were closed, Early those of them that were
	// closed because they had very many flows.
	Flips int64 `json:"flips"`
	Early int64 `json:"early"`
	// Victims counts what was handed over before its generation was closed: entries that
	// left a full set, and packets that found no room in one.
	Victims int64 `json:"victims"`
}

// Sum counts wire packets and their IP octets.
type Sum struct {
	Packets uint64 `json:"packets"`
	Octets  uint64 `json:"octets"`
}

// Add adds o to s.
func (s *Sum) Add(o Sum) {
	s.Packets += o.Packets
	s.Octets += o.Octets
}

// Add adds the account of o to f.
func (f *FirstLevel) Add(o *FirstLevel) {
	f.Counted.Add(o.Counted)
	f.Lost.Add(o.Lost)
	f.Content.Add(o.Content)
	f.InRing.Add(o.InRing)
	f.HandedOver.Add(o.HandedOver)
}

// Add adds the counters of o to c, whose identity it keeps.
func (c *Counters) Add(o *Counters) {
	c.Observed += o.Observed
	c.Lost += o.Lost
	c.InRing += o.InRing
	c.InFirstLevel += o.InFirstLevel
	c.FirstLevel.Add(&o.FirstLevel)
	c.SampledOut += o.SampledOut
	for i := range o.NotMetered {
		c.NotMetered[i] += o.NotMetered[i]
	}
	c.Metered += o.Metered
	c.Observations += o.Observations
	c.Packets += o.Packets
	c.Octets += o.Octets
	c.OtherHost += o.OtherHost
	c.ClockJumps += o.ClockJumps
}

// Reason tells why a frame was not metered.
type Reason uint8

const (
	Decoded Reason = iota // it was metered

	// Ignored: left alone on purpose.
	NonIP   // ARP, LLDP, spanning tree and whatever else is not IP
	Leaving // a leaving frame where ingress alone is metered; the last that is ignored

	// Undecodable: IP by its type, but it could not be read.
	TruncatedLink   // cut inside the link header, tags, labels or PPPoE header
	TooManyTags     // more VLAN tags than the decoder walks
	TooManyLabels   // an MPLS stack without bottom within the decoder's bound
	TruncatedIP     // cut inside the fixed IP header
	BadVersion      // the version is not what the type promised, or neither 4 nor 6
	BadHeaderLength // IPv4 IHL below 5, or behind the total length
	BadTotalLength  // the IP length field is below the header's
	UnknownLink     // a link type that the decoder does not know
	NoPackets       // in files of flow records: a record that counts no packet
	Other           // none of these: a defect of the decoder, 0 over the corpus

	Reasons // one more than the largest, for arrays indexed by it
)

// IsIgnored reports whether r is a choice; the others are defects of the frame.
func (r Reason) IsIgnored() bool { return r > Decoded && r <= Leaving }

var reasonNames = [Reasons]string{
	Decoded:         "decoded",
	NonIP:           "non-IP",
	Leaving:         "leaving",
	TruncatedLink:   "truncated link header",
	TooManyTags:     "too many tags",
	TooManyLabels:   "too many labels",
	TruncatedIP:     "truncated IP header",
	BadVersion:      "bad IP version",
	BadHeaderLength: "bad header length",
	BadTotalLength:  "bad total length",
	UnknownLink:     "unknown link type",
	NoPackets:       "no packets",
	Other:           "other",
}

// String returns the reason as the ledger prints it.
func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return "other"
}
