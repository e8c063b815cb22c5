package ledger

import (
	"cmp"
	"slices"

	"cacheflow/capture"
)

// Interface is the capture's part for one interface. Observed to Metered are in
// frames; what the kernel lost is known in frames only.
type Interface struct {
	// Index is the ifIndex, or 0 for a ring that serves several interfaces:
	// Observed and Lost of all of them then stand here.
	Index uint32 `json:"index"`
	Name  string `json:"name"`
	Mode  string `json:"mode"`

	Observed uint64 `json:"observed"`
	Lost     uint64 `json:"lost"`
	InRing   uint64 `json:"inRing"`
	// InFirstLevel counts frames whose sum is in the kernel's first-level cache.
	InFirstLevel uint64   `json:"inFirstLevel"`
	SampledOut   uint64   `json:"sampledOut"`  // not chosen by the sampler
	Ignored      []Frames `json:"ignored"`     // left alone on purpose
	Undecodable  []Frames `json:"undecodable"` // IP that could not be read
	Metered      uint64   `json:"metered"`     // handed over as observations

	Packets uint64 `json:"packets"` // wire packets of the metered frames
	Octets  uint64 `json:"octets"`  // and their IP octets
	// Observations is in how many the metered frames were handed over.
	Observations uint64             `json:"observations"`
	FirstLevel   capture.FirstLevel `json:"firstLevel"`

	OtherHost  uint64 `json:"otherHost"`  // of Observed: addressed to another host
	ClockJumps uint64 `json:"clockJumps"` // of Metered: stamps not believed
}

// Frames counts frames that were not metered, by the reason.
type Frames struct {
	Reason string `json:"reason"`
	Frames uint64 `json:"frames"`
}

// Interfaces turns the counters of all sources into the ledger's part: those of
// one interface are added up over the sources, and reasons that never occurred
// are left out. The result is sorted by index.
func Interfaces(counters []capture.Counters) []Interface {
	type key struct {
		index      uint32
		name, mode string
	}
	merged := map[key]*capture.Counters{}
	for _, c := range counters {
		k := key{c.Index, c.Name, c.Mode}
		if m := merged[k]; m != nil {
			m.Add(&c)
		} else {
			merged[k] = &c
		}
	}
	out := make([]Interface, 0, len(merged))
	for _, c := range merged {
		out = append(out, newInterface(c))
	}
	slices.SortFunc(out, func(a, b Interface) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Mode, b.Mode))
	})
	return out
}

func newInterface(c *capture.Counters) Interface {
	i := Interface{
		Index: c.Index, Name: c.Name, Mode: c.Mode,
		Observed: c.Observed, Lost: c.Lost, InRing: c.InRing, InFirstLevel: c.InFirstLevel, SampledOut: c.SampledOut,
		Metered: c.Metered, Packets: c.Packets, Octets: c.Octets, Observations: c.Observations, FirstLevel: c.FirstLevel,
		OtherHost: c.OtherHost, ClockJumps: c.ClockJumps,
	}
	for r, n := range c.NotMetered {
		reason := capture.Reason(r)
		switch {
		case n == 0:
		case reason.IsIgnored():
			i.Ignored = append(i.Ignored, Frames{reason.String(), n})
		default:
			i.Undecodable = append(i.Undecodable, Frames{reason.String(), n})
		}
	}
	return i
}

// Total adds up all interfaces. Its index is 0.
func (l *Ledger) Total() Interface {
	t := Interface{Name: "Total"}
	for n := range l.Interfaces {
		i := &l.Interfaces[n]
		t.Observed += i.Observed
		t.Lost += i.Lost
		t.InRing += i.InRing
		t.InFirstLevel += i.InFirstLevel
		t.SampledOut += i.SampledOut
		t.Observations += i.Observations
		t.FirstLevel.Add(&i.FirstLevel)
		t.Ignored = addFrames(t.Ignored, i.Ignored)
		t.Undecodable = addFrames(t.Undecodable, i.Undecodable)
		t.Metered += i.Metered
		t.Packets += i.Packets
		t.Octets += i.Octets
		t.OtherHost += i.OtherHost
		t.ClockJumps += i.ClockJumps
	}
	return t
}

// addFrames adds the counts of from to those of into, which it owns.
func addFrames(into, from []Frames) []Frames {
	for _, f := range from {
		at := slices.IndexFunc(into, func(g Frames) bool { return g.Reason == f.Reason })
		if at < 0 {
			into = append(into, f)
		} else {
			into[at].Frames += f.Frames
		}
	}
	return into
}

func frames(fs []Frames) (n uint64) {
	for _, f := range fs {
		n += f.Frames
	}
	return n
}

// Unmetered returns what the Metering Process should have metered and could not, as
// RFC 7011 §4.2 has collectors told: the frames lost and those undecodable, and the octets
// of them that are known.
func (l *Ledger) Unmetered() (packets, octets uint64) {
	t := l.Total()
	return t.Lost + frames(t.Undecodable), t.FirstLevel.Lost.Octets
}
