package render

import (
	"encoding/hex"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// ElementByName returns the IANA element of that name, or nil where the registry has none.
// It is shared: callers do not change it.
func ElementByName(name string) *Element { return byName()[name] }

var byName = sync.OnceValue(func() map[string]*Element {
	m := make(map[string]*Element, len(registry))
	for i := range registry {
		m[registry[i].Name] = &registry[i]
	}
	return m
})

// Parse reads what JSON has of a value of kind k, and returns it as it would be on the wire,
// integers in eight octets; false if it is none.
func (k Kind) Parse(text string) ([]byte, bool) {
	switch k {
	case Octets:
		v, err := hex.DecodeString(text)
		return v, err == nil
	case Text:
		return []byte(text), true
	case MAC:
		v, err := net.ParseMAC(text)
		return v, err == nil && len(v) == 6
	case IPv4, IPv6:
		a, err := netip.ParseAddr(text)
		return a.AsSlice(), err == nil && a.Is4() == (k == IPv4)
	case Boolean:
		b, err := strconv.ParseBool(text)
		if b {
			return []byte{1}, err == nil // RFC 7011 §6.1.5
		}
		return []byte{2}, err == nil
	case Float:
		f, err := strconv.ParseFloat(text, 64)
		return be.AppendUint64(nil, math.Float64bits(f)), err == nil
	case Unsigned, Milliseconds:
		n, err := strconv.ParseUint(text, 10, 64)
		return be.AppendUint64(nil, n), err == nil
	case Seconds:
		n, err := strconv.ParseUint(text, 10, 32)
		return be.AppendUint32(nil, uint32(n)), err == nil
	case Signed:
		n, err := strconv.ParseInt(text, 10, 64)
		return be.AppendUint64(nil, uint64(n)), err == nil
	case Microseconds:
		return parseNTP(text, 1e6)
	case Nanoseconds:
		return parseNTP(text, 1e9)
	}
	return nil, false
}

// parseNTP reads a time since 1970 in parts of a second.
func parseNTP(text string, parts int64) ([]byte, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	secs, rest := n/parts, n%parts
	if rest < 0 {
		secs, rest = secs-1, rest+parts
	}
	v := be.AppendUint32(nil, uint32(secs+ntpEpoch))
	return be.AppendUint32(v, uint32(rest<<32/parts)), err == nil
}
