package cache

import (
	"encoding/binary"
	"math/bits"

	"cacheflow/cache/flow"
)

// seeds keys the hash, so that nobody outside can aim flows at one place of
// the index. They decide where an entry lies, never in which order flows leave.
type seeds [3]uint64

// newSeeds spreads two random words over all seeds (SplitMix64, so that no
// seed is 0 by a weak input).
func newSeeds(seed [2]uint64) seeds {
	var s seeds
	x := seed[0]
	for i := range s {
		x += 0x9e3779b97f4a7c15
		z := x ^ seed[1]
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		s[i] = z ^ z>>31
	}
	return s
}

// hash mixes all octets of the key: two multiplications for IPv4, five for
// IPv6. Words are read in the machine's own order; the result never leaves it.
func (s *seeds) hash(k *flow.Key) uint32 {
	ports := uint64(k.SrcPort) | uint64(k.DstPort)<<16 | uint64(k.Input)<<32
	rest := uint64(k.Protocol) | uint64(k.ToS)<<8 | uint64(k.Version)<<16 | uint64(k.Direction)<<24
	h := uint64(half(k.Src[:])) | uint64(half(k.Dst[:]))<<32
	if k.Version != 4 {
		h ^= mix(word(k.Src[4:])^s[0], word(k.Dst[4:])^s[1])
		h = mix(h^s[2], uint64(half(k.Src[12:]))|uint64(half(k.Dst[12:]))<<32^s[0])
	}
	h = mix(h^s[0], ports^s[1])
	h = mix(h^rest, s[2])
	return uint32(h >> 32)
}

func word(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }
func half(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// mix folds the 128-bit product of a and b, which spreads every input bit over
// the whole result.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
