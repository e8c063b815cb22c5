package pcapfile

import (
	"encoding/binary"
	"fmt"

	"cacheflow/capture"
)

// The classic format (draft-ietf-opsawg-pcap): a file header of 24 octets, and
// a header of 16 before each packet, in the byte order that the magic shows.
const (
	magicMicro       = 0xa1b2c3d4
	magicNano        = 0xa1b23c4d
	pcapHeader       = 24
	pcapPacketHeader = 16
)

// pcapFormat reads a classic file.
type pcapFormat struct {
	w     *window
	big   bool  // big-endian
	scale int64 // nanoseconds of a unit of the stamp's fraction
	port  port
	// size is the whole length of the packet that was lent out last.
	size int64
}

// pcapMagic returns the byte order and the scale of the stamps that the first
// four octets of a classic file tell; ok is false for any other file.
func pcapMagic(b []byte) (big bool, scale int64, ok bool) {
	for _, big := range []bool{false, true} {
		switch uint32At(b, big) {
		case magicMicro:
			return big, 1000, true
		case magicNano:
			return big, 1, true
		}
	}
	return false, 0, false
}

func newPcap(w *window) (*pcapFormat, error) {
	b, err := w.peek(pcapHeader)
	if err != nil {
		return nil, cut(err)
	}
	f := &pcapFormat{w: w, size: pcapHeader}
	f.big, f.scale, _ = pcapMagic(b)
	major, minor := uint16At(b[4:], f.big), uint16At(b[6:], f.big)
	if major != 2 || minor != 4 {
		return nil, fmt.Errorf("pcap version %d.%d, not 2.4", major, minor)
	}
	// The upper half of the last word tells of a frame check sequence (draft-ietf-
	// opsawg-pcap §4). The snap length is not looked at: many writers exceed it.
	f.port.link = linkType(uint32At(b[20:], f.big) & 0xffff)
	return f, nil
}

func (f *pcapFormat) next(r *record) error {
	if err := f.w.skip(f.size); err != nil {
		return cut(err)
	}
	f.size = 0 // whatever fails now, nothing is skipped twice
	h, err := f.w.peek(pcapPacketHeader)
	if err != nil {
		if len(h) > 0 {
			err = cut(err)
		}
		return err
	}
	captured := uint32At(h[8:], f.big)
	if captured > maxPacket {
		return errTooLarge(captured)
	}
	r.stamp = int64(uint32At(h, f.big))*1e9 + int64(uint32At(h[4:], f.big))*f.scale
	r.untimed = false
	r.wire = lengthOnWire(uint32At(h[12:], f.big))
	r.on = &f.port
	size := pcapPacketHeader + int(captured)
	b, err := f.w.peek(size)
	if err != nil {
		return cut(err)
	}
	f.size = int64(size)
	r.data = b[pcapPacketHeader:]
	return nil
}

// linkType translates a LINKTYPE value (https://www.tcpdump.org/linktypes.html)
// or the DLT value that some systems write instead.
func linkType(n uint32) capture.LinkType {
	switch n {
	case 1:
		return capture.LinkEthernet
	case 12, 14, 101, 228, 229: // DLT_RAW, OpenBSD's DLT_RAW, RAW, IPV4, IPV6
		return capture.LinkRaw
	case 0, 108: // NULL, LOOP
		return capture.LinkNull
	case 9, 50, 51: // PPP, PPP_HDLC, PPP_ETHER
		return capture.LinkPPP
	case 113:
		return capture.LinkSLL
	case 276:
		return capture.LinkSLL2
	}
	return capture.LinkUnknown
}

func uint16At(b []byte, big bool) uint16 {
	if big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func uint32At(b []byte, big bool) uint32 {
	if big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func uint64At(b []byte, big bool) uint64 {
	if big {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}
