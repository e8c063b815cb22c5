package capture

import "cacheflow/cache/flow"

const (
	labelLength = 4
	// maxLabels bounds the walk; three are kept.
	maxLabels = 16
	// bottomOfStack is the S bit in the third octet of an entry (RFC 3032 §2.1).
	bottomOfStack = 0x01
)

// mpls decodes the packet behind the label stack at off. Nothing in the stack
// names the payload: its first nibble decides (RFC 4928 §3), where 0 is a
// pseudowire's control word (RFC 4385 §3) and 1 its associated channel (§5).
func (d *Decoder) mpls(f *Frame, p *flow.Packet, off int) Reason {
	for bottom := false; !bottom; off += labelLength {
		if p.MPLSDepth == maxLabels {
			return TooManyLabels
		}
		if len(f.Data) < off+labelLength {
			return TruncatedLink
		}
		entry := [3]byte(f.Data[off : off+3])
		if int(p.MPLSDepth) < len(p.MPLS) {
			p.MPLS[p.MPLSDepth] = entry
		}
		p.MPLSDepth++
		bottom = entry[2]&bottomOfStack != 0
	}
	if reason := d.raw(f, p, off); reason != BadVersion {
		return reason
	}
	return NonIP
}
