package pcapfile

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"

	"cacheflow/cache/flow"
)

// BenchmarkRead reads and decodes files of 500 000 smallest TCP frames.
func BenchmarkRead(b *testing.B) {
	const packets = 500_000
	for _, c := range []struct {
		name          string
		head          []byte
		before, after func(i uint32) []byte
	}{
		{"pcap", pcapHead(1), func(i uint32) []byte { return pcapPacketHead(i, 60) }, func(uint32) []byte { return nil }},
		{"pcapng", ngHead(1), func(i uint32) []byte { return ngPacketHead(i, 60) }, func(uint32) []byte { return words(32 + 60) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			data := c.head
			frame := tcpFrame()
			for i := range uint32(packets) {
				binary.BigEndian.PutUint32(frame[26:], i*2654435761)
				data = append(data, c.before(i)...)
				data = append(data, frame...)
				data = append(data, c.after(i)...)
			}
			path := filepath.Join(b.TempDir(), c.name)
			if err := os.WriteFile(path, data, 0o600); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if n := readAll(b, path); n != packets {
					b.Fatalf("read %d packets", n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packets, "ns/packet")
		})
	}
}

func readAll(b *testing.B, path string) (packets int) {
	s, err := Open(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	batch := make([]flow.Packet, 256)
	for {
		n, _, err := s.Read(batch)
		if err == io.EOF {
			return packets
		}
		if err != nil {
			b.Fatal(err)
		}
		packets += n
	}
}

// words returns 32-bit words in little-endian order.
func words(w ...uint32) (b []byte) {
	for _, v := range w {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func pcapHead(link uint32) []byte { return words(magicMicro, 2|4<<16, 0, 0, 65535, link) }

func pcapPacketHead(i, n uint32) []byte {
	return words(1_700_000_000+i/1_000_000, i%1_000_000, n, n)
}

func ngHead(link uint32) []byte {
	return words(blockSection, 28, byteOrderMagic, 1, 0xffffffff, 0xffffffff, 28,
		blockInterface, 20, link, 65535, 20)
}

func ngPacketHead(i, n uint32) []byte {
	t := 1_700_000_000_000_000 + uint64(i)
	return words(blockEnhanced, 32+n, 0, uint32(t>>32), uint32(t), n, n)
}

// tcpFrame is Ethernet, IPv4, TCP and six octets of padding.
func tcpFrame() []byte {
	return []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00" +
		"\x45\x00\x00\x28\x00\x00\x40\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02" +
		"\x01\xbb\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x50\x10\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00")
}
