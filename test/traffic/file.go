package traffic

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"
	"time"
)

// WriteFile writes s.Packets frames to a capture file and returns their truth.
func WriteFile(name string, s Spec) (Truth, error) {
	f, err := os.Create(name)
	if err != nil {
		return Truth{}, err
	}
	t, err := Write(f, s)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return t, err
}

// Write is WriteFile to w: a pcap file with stamps in nanoseconds.
func Write(w io.Writer, s Spec) (Truth, error) {
	g, err := New(s)
	if err != nil {
		return Truth{}, err
	}
	start := s.Start
	if start.IsZero() {
		start = time.Unix(1_700_000_000, 0)
	}
	out := bufio.NewWriterSize(w, 1<<20)
	b := make([]byte, 0, 2048)
	if _, err := out.Write(appendFileHeader(b)); err != nil {
		return Truth{}, err
	}
	for i := range s.Packets {
		b = g.Next(b[:recordLen])
		at := start.Add(time.Duration(i) * s.Interval)
		wire := len(b) - recordLen
		kept := wire
		if s.Snap > 0 {
			kept = min(kept, s.Snap)
		}
		putRecordHeader(b, at, kept, wire)
		if _, err := out.Write(b[:recordLen+kept]); err != nil {
			return Truth{}, err
		}
	}
	return g.Truth(), out.Flush()
}

// The classic file format, draft-ietf-opsawg-pcap §4 and §5, little endian.
const (
	magicNanoseconds = 0xa1b23c4d
	linkEthernet     = 1
	recordLen        = 16
)

func appendFileHeader(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, magicNanoseconds)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 4)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = le.AppendUint32(b, maxFrame)
	return le.AppendUint32(b, linkEthernet)
}

func putRecordHeader(b []byte, at time.Time, kept, wire int) {
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(at.Unix()))
	le.PutUint32(b[4:], uint32(at.Nanosecond()))
	le.PutUint32(b[8:], uint32(kept))
	le.PutUint32(b[12:], uint32(wire))
}
