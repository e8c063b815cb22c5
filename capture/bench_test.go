package capture

import (
	"testing"

	"cacheflow/cache/flow"
)

func BenchmarkDecode(b *testing.B) {
	frame := append([]byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00"+
		"\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02"+
		"\x01\xbb\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x50\x10\x00\x00\x00\x00\x00\x00"), make([]byte, 6)...)
	d := NewDecoder(DecoderOptions{})
	f := Frame{Data: frame, Wire: len(frame), Link: LinkEthernet, Input: 2}
	var p flow.Packet
	b.ReportAllocs()
	for b.Loop() {
		d.Decode(&f, &p)
	}
}

// BenchmarkFragment decodes later fragments of 4096 datagrams.
func BenchmarkFragment(b *testing.B) {
	d := NewDecoder(DecoderOptions{})
	var p flow.Packet
	frames := make([]Frame, 4096)
	for i := range frames {
		first := part{id: uint16(i)}.frame(b)
		d.Decode(&first, &p)
		frames[i] = part{id: uint16(i), offset: 1}.frame(b)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if d.Decode(&frames[i%len(frames)], &p); p.SrcPort == 0 {
			b.Fatal("not joined")
		}
	}
}
