package render

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

// be is network byte order.
var be = binary.BigEndian

// isText reports whether values of kind k are text in JSON.
func (k Kind) isText() bool {
	switch k {
	case Octets, Text, MAC, IPv4, IPv6:
		return true
	}
	return false
}

// appendValue appends v, as it was on the wire, without quotes. v has a length
// that fits k.
func appendValue(b []byte, k Kind, v []byte) []byte {
	switch k {
	case Unsigned:
		return strconv.AppendUint(b, Uint(v), 10)
	case Signed:
		shift := 64 - 8*len(v)
		return strconv.AppendInt(b, int64(Uint(v)<<shift)>>shift, 10)
	case Float:
		return appendFloat(b, v)
	case Boolean:
		return strconv.AppendBool(b, v[0] == 1)
	case Text:
		return appendText(b, v)
	case MAC:
		return appendMAC(b, v)
	case IPv4, IPv6:
		a, _ := netip.AddrFromSlice(v)
		return a.AppendTo(b)
	case Seconds, Milliseconds:
		return strconv.AppendUint(b, Uint(v), 10)
	case Microseconds:
		return strconv.AppendInt(b, NTP(v)/1000, 10)
	case Nanoseconds:
		return strconv.AppendInt(b, NTP(v), 10)
	}
	return hex.AppendEncode(b, v)
}

// Uint returns an unsigned integer of up to eight octets in network byte order.
func Uint(v []byte) uint64 {
	var n uint64
	for _, o := range v {
		n = n<<8 | uint64(o)
	}
	return n
}

// ntpEpoch is 1970 in seconds since 1900.
const ntpEpoch = 2208988800

// NTP returns an NTP timestamp of eight octets in nanoseconds since 1970. The
// era is the one that ends in 2036, as RFC 7011 §6.1.9 has it.
func NTP(v []byte) int64 {
	secs, fraction := be.Uint32(v), uint64(be.Uint32(v[4:]))
	// Rounded, since the fraction was cut when it was made: 2^32 fractions to
	// 10^9 nanoseconds.
	return (int64(secs)-ntpEpoch)*1e9 + int64((fraction*1e9+1<<31)>>32)
}

// appendFloat writes what JSON has no number for (NaN, infinities) as null.
func appendFloat(b, v []byte) []byte {
	f, bits := float64(math.Float32frombits(uint32(Uint(v)))), 32
	if len(v) == 8 {
		f, bits = math.Float64frombits(Uint(v)), 64
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}

func appendMAC(b, v []byte) []byte {
	const digits = "0123456789abcdef"
	for i, o := range v {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[o>>4], digits[o&15])
	}
	return b
}

// appendText writes a string from the network so that it can stand between
// quotes in JSON, and does no harm on a terminal: the padding is cut, control
// characters are escaped, what is not UTF-8 becomes U+FFFD.
func appendText(b, v []byte) []byte {
	for len(v) > 0 && v[len(v)-1] == 0 {
		v = v[:len(v)-1]
	}
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			b = append(b, `\u00`...)
			b = hex.AppendEncode(b, []byte{byte(r)})
		default:
			b = utf8.AppendRune(b, r)
		}
		v = v[n:]
	}
	return b
}
