package export

import "cacheflow/cache/flow"

// flowIDs are of what Fields.FlowID says.
var flowIDs = group{
	[]field{{flowID, 8}},
	func(b []byte, r *flow.Record, _ int64) []byte { return be.AppendUint64(b, hashKey(&r.Key)) },
}

// hashKey returns the FNV-1a hash of the Flow Key in the order of its fields, each in
// network byte order. It has no seed, so that others can compute it, and who forges
// packets can make two flows share one.
func hashKey(k *flow.Key) uint64 {
	h := uint64(14695981039346656037)
	add := func(bs ...byte) {
		for _, b := range bs {
			h = (h ^ uint64(b)) * 1099511628211
		}
	}
	add(k.Src[:]...)
	add(k.Dst[:]...)
	add(uint8(k.SrcPort>>8), uint8(k.SrcPort), uint8(k.DstPort>>8), uint8(k.DstPort))
	add(uint8(k.Input>>24), uint8(k.Input>>16), uint8(k.Input>>8), uint8(k.Input))
	add(k.Protocol, k.ToS, k.Version, uint8(k.Direction))
	return h
}
