package export

import (
	"math"

	"cacheflow/cache/flow"
)

// as2 and as4 are the autonomous systems of a flow's ends, in two and in four octets.
var (
	as2 = group{[]field{{bgpSourceAsNumber, 2}, {bgpDestinationAsNumber, 2}}, putAS2}
	as4 = group{
		[]field{{bgpSourceAsNumber, 4}, {bgpDestinationAsNumber, 4}},
		func(b []byte, r *flow.Record, _ int64) []byte {
			return be.AppendUint32(be.AppendUint32(b, r.SrcAS), r.DstAS)
		},
	}
)

func putAS2(b []byte, r *flow.Record, _ int64) []byte {
	return be.AppendUint16(be.AppendUint16(b, AS16(r.SrcAS)), AS16(r.DstAS))
}

// asTrans stands for an AS number that has no room in two octets (AS_TRANS, RFC 6793 §9).
const asTrans = 23456

// AS16 returns an AS number as it goes into two octets.
func AS16(n uint32) uint16 {
	if n > math.MaxUint16 {
		return asTrans
	}
	return uint16(n)
}
