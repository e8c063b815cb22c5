package capture

import (
	"time"

	"cacheflow/cache/flow"
)

// DecoderOptions are the choices of a Decoder. The zero value joins fragments.
type DecoderOptions struct {
	// KeepFragmentsApart switches the joining of fragments off: a later fragment
	// then has ports 0, as on a router.
	KeepFragmentsApart bool
	// FragmentEntries is how many fragmented datagrams are remembered at once,
	// 80 octets each; 0 means DefaultFragmentEntries.
	FragmentEntries int
	// FragmentAge is how long, by the frames' time, later fragments may follow
	// their first; 0 means DefaultFragmentAge.
	FragmentAge time.Duration
	// Seed keys the hash of the fragment table. It never changes what is
	// decoded, only where a datagram lies in memory.
	Seed uint64
}

// Defaults of the fragment table.
const (
	DefaultFragmentEntries = 8192
	// DefaultFragmentAge is Linux's ipfrag_time (Documentation/networking/ip-sysctl.rst).
	DefaultFragmentAge = 30 * time.Second
)

// Decoder turns frames into observations: one walk over the headers, bounded,
// without allocation. It is not safe for concurrent use: each worker has one.
type Decoder struct {
	fragments *fragmentTable // nil where fragments are kept apart
}

// NewDecoder returns a Decoder with a fragment table of its own.
func NewDecoder(opt DecoderOptions) *Decoder {
	d := new(Decoder)
	if !opt.KeepFragmentsApart {
		d.fragments = newFragmentTable(opt.FragmentEntries, opt.FragmentAge, opt.Seed)
	}
	return d
}

// Decode reads the outermost IP packet of f and writes all of *p. It returns
// Decoded, or why the frame is not metered; what *p holds then means nothing.
//
// The packet is metered as it is on the wire: tunnels are not opened. Of an IP
// packet nothing but its fixed header must be readable: what lies behind the
// snap length, or behind the packet's own end, leaves ports and flags at 0.
func (d *Decoder) Decode(f *Frame, p *flow.Packet) Reason {
	*p = flow.Packet{}
	p.Input, p.Egress, p.Direction = f.Input, f.Output, f.Direction
	p.First, p.Last = f.Time, f.Time
	p.Packets = 1
	switch f.Link {
	case LinkEthernet:
		return d.ethernet(f, p)
	case LinkRaw:
		return d.raw(f, p, 0)
	case LinkSLL:
		return d.sll(f, p)
	case LinkSLL2:
		return d.sll2(f, p)
	case LinkNull:
		return d.null(f, p)
	case LinkPPP:
		return d.ppp(f, p)
	}
	return UnknownLink
}

// raw decodes an IP packet at off whose first nibble alone tells its version.
func (d *Decoder) raw(f *Frame, p *flow.Packet, off int) Reason {
	if len(f.Data) <= off {
		return TruncatedIP
	}
	switch f.Data[off] >> 4 {
	case 4:
		return d.ipv4(f, p, off)
	case 6:
		return d.ipv6(f, p, off)
	}
	return BadVersion
}

// room returns how many octets the frame had on the wire from off on: the
// captured ones at least.
func room(f *Frame, off int) int { return max(f.Wire, len(f.Data)) - off }

// within returns b[from:to] as far as there is such a thing.
func within(b []byte, from, to int) []byte {
	to = min(to, len(b))
	if from >= to {
		return nil
	}
	return b[from:to]
}
