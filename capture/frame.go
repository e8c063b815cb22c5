package capture

import "cacheflow/cache/flow"

// LinkType is what a frame begins with.
type LinkType uint8

const (
	LinkUnknown  LinkType = iota
	LinkEthernet          // DLT_EN10MB
	LinkRaw               // DLT_RAW and devices without a link header: IPv4 or IPv6 by its first nibble
	LinkSLL               // DLT_LINUX_SLL, Linux cooked v1
	LinkSLL2              // DLT_LINUX_SLL2, Linux cooked v2
	LinkNull              // DLT_NULL and DLT_LOOP: a protocol family of four octets, in either byte order
	LinkPPP               // DLT_PPP, DLT_PPP_SERIAL, DLT_PPP_ETHER: a PPP protocol number behind HDLC framing, a PPPoE header or nothing, or Cisco HDLC
)

// Frame is one captured frame with what the capture knows besides its octets.
type Frame struct {
	// Data is the captured part; it belongs to the source and is valid during
	// the call only.
	Data []byte
	// Wire is the frame's length in octets when it was on the wire, ≥ len(Data).
	Wire int
	Link LinkType
	Time flow.Time
	// Input and Output are ifIndexes: Input is 0 for a leaving frame, whose
	// input interface a capture cannot know; Output is 0 for an arriving one.
	Input, Output uint32
	Direction     flow.Direction
	// HasTag says that the outer VLAN tag stands in TCI and TPID (host byte
	// order) instead of in Data, as the kernel's ring has it.
	HasTag    bool
	TCI, TPID uint16
	// GSOSize is the payload of each wire segment of a super-packet, in octets,
	// from the virtio net header; 0 for an ordinary frame.
	GSOSize uint16
}
