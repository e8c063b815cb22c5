package daemon

import (
	"encoding/binary"
	"hash/fnv"
	"math/bits"

	"cacheflow/cache"
	"cacheflow/cache/flow"
)

// Rendezvous hashing (Thaler and Ravishankar 1998, "highest random weight"): of those who
// can, the member of a group gets a flow whose name weighs most together with it. So a
// member that goes takes along its own share only, and every gateway decides alike.

// nameSeed is what a member's name adds to its weights.
func nameSeed(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name)) // it has no errors
	return mix(h.Sum64())
}

// conversation hashes what both directions of a conversation have in common: their
// addresses, ports and protocol. Of ICMP and ICMPv6, whose port is a type, it is the
// addresses. Who forges packets can aim them at one member, because there is no seed.
func conversation(k *flow.Key) uint64 {
	srcPort, dstPort := k.SrcPort, k.DstPort
	if k.IsICMP() {
		srcPort, dstPort = 0, 0
	}
	return mix(endpoint(&k.Src, srcPort) + endpoint(&k.Dst, dstPort) + uint64(k.Protocol)<<8 + uint64(k.Version))
}

func endpoint(a *[16]byte, port uint16) uint64 {
	word := binary.BigEndian.Uint64 // the same on every machine
	return mix(mix(word(a[:8]))^word(a[8:])) ^ mix(uint64(port)+1)
}

// mix spreads every bit over the whole word (SplitMix64).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// heaviest returns which of the members, whose bits are set, a conversation belongs to.
func heaviest(conversation uint64, seeds []uint64, members uint64) (member int) {
	var most uint64
	for ; members != 0; members &= members - 1 {
		i := bits.TrailingZeros64(members)
		if w := mix(conversation ^ seeds[i]); w >= most {
			most, member = w, i
		}
	}
	return member
}

// A splitter shares batches of records out to the members of groups. Its memory is fixed.
type splitter struct {
	member [outBatch]uint8 // of each record
	part   []flow.Record
}

// split hands each record of a batch to the one of the takers, which are members of g, that
// it is for, in parts.
func (p *splitter) split(g *group, takers uint64, rs []flow.Record, hand func(member int, part []flow.Record, sum cache.Sum)) {
	if takers&(takers-1) == 0 { // there is one
		hand(bits.TrailingZeros64(takers), rs, sumOf(rs))
		return
	}
	if p.part == nil {
		p.part = make([]flow.Record, 0, outBatch)
	}
	for i := range rs {
		p.member[i] = uint8(heaviest(conversation(&rs[i].Key), g.seeds, takers))
	}
	for ; takers != 0; takers &= takers - 1 {
		member := bits.TrailingZeros64(takers)
		part := p.part[:0]
		for i := range rs {
			if int(p.member[i]) == member {
				part = append(part, rs[i])
			}
		}
		if len(part) > 0 {
			hand(member, part, sumOf(part))
		}
	}
}

// sumOf counts records by what they carry.
func sumOf(rs []flow.Record) cache.Sum {
	s := cache.Sum{Flows: uint64(len(rs))}
	for i := range rs {
		s.Packets += rs[i].Packets
		s.Octets += rs[i].Octets
	}
	return s
}
