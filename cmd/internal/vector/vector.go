package vector

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Vector is one edge case.
type Vector struct {
	Name string // the section of RFC 5471, or a name of ours
	// Is says what is sent, and Shows what a collector should make of it.
	Is, Shows string
	// Beware says which collector it takes down; "" for none that is known.
	Beware string

	messages func(*session)
}

// All returns the vectors, those of RFC 5471 first.
func All() []Vector { return slices.Concat(rfc5471, ours) }

// Find returns the vector of a name, and its number from 1.
func Find(name string) (v Vector, number int, err error) {
	all := All()
	i := slices.IndexFunc(all, func(v Vector) bool { return v.Name == name })
	if i < 0 {
		return v, 0, fmt.Errorf("no vector %q: --list has all", name)
	}
	return all[i], i + 1, nil
}

// firstDomain is the Observation Domain before that of the first vector. Each has one of its own, with
// a Source ID and an engine, so that it meets no templates or sequence numbers of another.
const firstDomain = 5471_000

// Messages returns the vector's messages, by the number that All has it under from 1. They are of a
// router that exports at a time. The last one, its Marker, is correct.
func (v *Vector) Messages(number int, at time.Time) [][]byte {
	s := &session{at: at.Truncate(time.Second), domain: firstDomain + uint32(number)}
	v.messages(s)
	s.ipfix(1, flowTemplate, s.flow(uint16(number), 1, uint64(number), -time.Second, 0))
	return s.all
}

// Marker is what a collector shows of the correct flow behind a vector, which has as many octets as
// the vector's number, in one packet.
type Marker struct {
	Src, Dst netip.AddrPort
	Octets   uint64
}

// MarkerOf returns that of the vector of a number.
func MarkerOf(number int) Marker {
	return Marker{netip.AddrPortFrom(source, uint16(number)), netip.AddrPortFrom(destination, 443), uint64(number)}
}

// Ends of flows, of the networks for documentation (RFC 5737).
var (
	source      = netip.AddrFrom4([4]byte{192, 0, 2, 1})
	destination = netip.AddrFrom4([4]byte{198, 51, 100, 1})
)
