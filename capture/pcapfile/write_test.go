package pcapfile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"testing"
)

// writer makes capture files octet by octet, so that they can be wrong.
type writer struct {
	bytes.Buffer
	order binary.AppendByteOrder
}

func little() *writer { return &writer{order: binary.LittleEndian} }
func big() *writer    { return &writer{order: binary.BigEndian} }

func (w *writer) word(v ...uint32) *writer {
	for _, v := range v {
		w.Write(w.order.AppendUint32(nil, v))
	}
	return w
}

func (w *writer) half(v ...uint16) *writer {
	for _, v := range v {
		w.Write(w.order.AppendUint16(nil, v))
	}
	return w
}

// pcap writes a classic file header.
func (w *writer) pcap(magic, link uint32) *writer {
	return w.word(magic).half(2, 4).word(0, 0, 65535, link)
}

// packet writes a classic packet.
func (w *writer) packet(seconds, fraction uint32, data []byte) *writer {
	w.word(seconds, fraction, uint32(len(data)), uint32(len(data)))
	w.Write(data)
	return w
}

// block writes a pcapng block, padded.
func (w *writer) block(kind uint32, body []byte) *writer {
	body = append(body, make([]byte, -len(body)&3)...)
	total := uint32(len(body) + blockOverhead)
	w.word(kind, total)
	w.Write(body)
	return w.word(total)
}

// body returns a writer of the same byte order for a block's body.
func (w *writer) body() *writer { return &writer{order: w.order} }

func (w *writer) section() *writer {
	return w.block(blockSection, w.body().word(byteOrderMagic).half(1, 0).word(0xffffffff, 0xffffffff).Bytes())
}

// option is a code and a value of a pcapng option.
type option struct {
	code  uint16
	value []byte
}

func (w *writer) describe(link uint16, snap uint32, options ...option) *writer {
	b := w.body().half(link, 0).word(snap)
	for _, o := range options {
		b.half(o.code, uint16(len(o.value)))
		b.Write(append(o.value, make([]byte, -len(o.value)&3)...))
	}
	return w.block(blockInterface, b.Bytes())
}

// enhanced writes a packet with a comment behind it.
func (w *writer) enhanced(on uint32, ticks uint64, data []byte) *writer {
	b := w.body().word(on, uint32(ticks>>32), uint32(ticks), uint32(len(data)), uint32(len(data)))
	b.Write(append(data, make([]byte, -len(data)&3)...))
	b.half(1, 4)
	b.WriteString("note")
	b.half(0, 0)
	return w.block(blockEnhanced, b.Bytes())
}

func (w *writer) obsolete(on uint16, ticks uint64, data []byte) *writer {
	b := w.body().half(on, 0).word(uint32(ticks>>32), uint32(ticks), uint32(len(data)), uint32(len(data)))
	b.Write(data)
	return w.block(blockPacket, b.Bytes())
}

func (w *writer) simple(wire uint32, data []byte) *writer {
	return w.block(blockSimple, append(w.body().word(wire).Bytes(), data...))
}

func gzipped(t testing.TB, b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// udpFrame is an Ethernet frame of 42 octets from the given port.
func udpFrame(port uint16) []byte {
	b := []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00" +
		"\x45\x00\x00\x1c\x00\x01\x00\x00\x40\x11\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02" +
		"\x00\x00\x00\x35\x00\x08\x00\x00")
	binary.BigEndian.PutUint16(b[34:], port)
	return b
}

var arpFrame = append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06"), make([]byte, 46)...)
