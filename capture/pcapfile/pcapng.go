package pcapfile

import (
	"fmt"

	"strings"
	"unicode"
)

// Block types (draft-ietf-opsawg-pcapng §4, §11.1). All others are skipped.
const (
	blockSection   = 0x0a0d0d0a // reads the same in both byte orders
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
)

const (
	byteOrderMagic = 0x1a2b3c4d
	blockOverhead  = 12 // type, length, and the length again at the end
	sectionBody    = 16 // byte order, version, section length
	interfaceBody  = 8  // link type, reserved, snap length
	packetBody     = 20 // interface, stamp, captured length, length on the wire
	simpleBody     = 4  // length on the wire
)

// Options of an interface description (§4.2).
const (
	optionEnd        = 0
	optionName       = 2
	optionResolution = 9
	optionOffset     = 14
)

// ngFormat reads a pcapng file.
type ngFormat struct {
	w     *window
	big   bool // the section's byte order
	ports []ngPort
	// earlier counts the interfaces of earlier sections.
	earlier int
	// size is the whole length of the block that was lent out last.
	size int64
}

// ngPort is an interface of the current section.
type ngPort struct {
	port
	clock stampClock
	snap  uint32 // 0: unlimited
}

func newPcapng(w *window) *ngFormat { return &ngFormat{w: w} }

func (f *ngFormat) next(r *record) error {
	for {
		kind, body, err := f.block()
		if err != nil {
			return err
		}
		switch kind {
		case blockSection:
			err = f.section(body)
		case blockInterface:
			err = f.describe(body)
		case blockEnhanced:
			return f.packet(r, body, uint32At(body, f.big))
		case blockPacket:
			return f.packet(r, body, uint32(uint16At(body, f.big)))
		case blockSimple:
			return f.simple(r, body)
		}
		if err != nil {
			return err
		}
	}
}

// block consumes the last block and returns the type and the body of the next
// that matters. The body has at least the block's fixed part.
func (f *ngFormat) block() (kind uint32, body []byte, err error) {
	for {
		if err := f.w.skip(f.size); err != nil {
			return 0, nil, cut(err)
		}
		f.size = 0
		kind, total, err := f.head()
		if err != nil {
			return 0, nil, err
		}
		fixed, matters := fixedBody(kind)
		if !matters {
			f.size = int64(total)
			continue
		}
		if total < blockOverhead+fixed || total > windowSize {
			return 0, nil, fmt.Errorf("block of type %d with %d octets", kind, total)
		}
		b, err := f.w.peek(int(total))
		if err != nil {
			return 0, nil, cut(err)
		}
		if again := uint32At(b[total-4:], f.big); again != total {
			return 0, nil, fmt.Errorf("block of %d octets that ends with the length %d", total, again)
		}
		f.size = int64(total)
		return kind, b[8 : total-4], nil
	}
}

// head reads the type and the length of the next block, and a section's byte
// order, which the length is in.
func (f *ngFormat) head() (kind, total uint32, err error) {
	h, err := f.w.peek(blockOverhead) // also of the shortest block
	if err != nil {
		if len(h) > 0 {
			err = cut(err)
		}
		return 0, 0, err
	}
	kind = uint32At(h, f.big)
	if kind == blockSection {
		switch uint32(byteOrderMagic) {
		case uint32At(h[8:], false):
			f.big = false
		case uint32At(h[8:], true):
			f.big = true
		default:
			return 0, 0, fmt.Errorf("section without a byte order")
		}
	}
	total = uint32At(h[4:], f.big)
	if total < blockOverhead || total%4 != 0 {
		return 0, 0, fmt.Errorf("block of type %d with %d octets", kind, total)
	}
	return kind, total, nil
}

// fixedBody returns the length of the fixed part of a block's body, and
// whether the block matters.
func fixedBody(kind uint32) (uint32, bool) {
	switch kind {
	case blockSection:
		return sectionBody, true
	case blockInterface:
		return interfaceBody, true
	case blockEnhanced, blockPacket:
		return packetBody, true
	case blockSimple:
		return simpleBody, true
	}
	return 0, false
}

func (f *ngFormat) section(b []byte) error {
	if major := uint16At(b[4:], f.big); major != 1 {
		return fmt.Errorf("pcapng version %d, not 1", major)
	}
	f.earlier += len(f.ports)
	f.ports = nil
	return nil
}

func (f *ngFormat) describe(b []byte) error {
	id := f.earlier + len(f.ports)
	if id >= maxInterfaces {
		return fmt.Errorf("more than %d interfaces", maxInterfaces)
	}
	p := ngPort{
		port:  port{id: id, link: linkType(uint32(uint16At(b, f.big)))},
		snap:  uint32At(b[4:], f.big),
		clock: microseconds,
	}
	var err error
	eachOption(b[interfaceBody:], f.big, func(code uint16, v []byte) {
		switch {
		case code == optionName:
			p.name = clean(v)
		case code == optionResolution && len(v) == 1:
			err = p.clock.setResolution(v[0])
		case code == optionOffset && len(v) == 8:
			p.clock.offset = int64(uint64At(v, f.big))
		}
	})
	f.ports = append(f.ports, p)
	return err
}

// packet reads an enhanced or an obsolete packet block: only the field for the
// interface's id differs.
func (f *ngFormat) packet(r *record, b []byte, id uint32) error {
	if uint64(id) >= uint64(len(f.ports)) {
		return fmt.Errorf("interface %d of %d", id, len(f.ports))
	}
	captured := uint32At(b[12:], f.big)
	if captured > uint32(len(b)-packetBody) {
		return fmt.Errorf("packet of %d octets in a block of %d", captured, f.size)
	}
	if captured > maxPacket {
		return errTooLarge(captured)
	}
	p := &f.ports[id]
	ticks := uint64(uint32At(b[4:], f.big))<<32 | uint64(uint32At(b[8:], f.big))
	r.stamp, r.untimed = p.clock.nanoseconds(ticks), false
	r.wire = lengthOnWire(uint32At(b[16:], f.big))
	r.data = b[packetBody : packetBody+captured]
	r.on = &p.port
	return nil
}

// simple reads a simple packet block (§4.4): it has no stamp and belongs to
// the section's first interface.
func (f *ngFormat) simple(r *record, b []byte) error {
	if len(f.ports) == 0 {
		return fmt.Errorf("interface 0 of 0")
	}
	p := &f.ports[0]
	wire := uint32At(b, f.big)
	captured := min(wire, uint32(len(b)-simpleBody))
	if p.snap != 0 {
		captured = min(captured, p.snap)
	}
	if captured > maxPacket {
		return errTooLarge(captured)
	}
	r.stamp, r.untimed = 0, true
	r.wire = lengthOnWire(wire)
	r.data = b[simpleBody : simpleBody+captured]
	r.on = &p.port
	return nil
}

// eachOption calls f for each option in b, up to the end or the first that is
// longer than what is left (§3.5).
func eachOption(b []byte, big bool, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := uint16At(b, big), int(uint16At(b[2:], big))
		b = b[4:]
		if code == optionEnd || n > len(b) {
			return
		}
		f(code, b[:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// clean makes a name from a file fit to be printed.
func clean(v []byte) string {
	s := strings.ToValidUTF8(string(v[:min(len(v), maxName)]), "")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
