package export

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// need skips the test where a tool is missing; in CI it fails.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			leaveOut(t, err.Error())
		}
	}
}

// leaveOut skips a test that cannot run here, and fails it in CI.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("skipping: " + why)
}

// pcap writes datagrams to a capture file, each in an IPv4 and a UDP header to
// port 2055.
type pcap struct {
	f *os.File
	n int64
}

func newPcap(t *testing.T) *pcap {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "export.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	const linkTypeRaw = 101
	h := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	h = append(h, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, linkTypeRaw, 0, 0, 0)
	if _, err := f.Write(h); err != nil {
		t.Fatal(err)
	}
	return &pcap{f: f}
}

func (p *pcap) add(m *Message) {
	size := uint32(28 + len(m.Data))
	at := testEpoch.Add(time.Duration(p.n) * time.Millisecond)
	b := binary.LittleEndian.AppendUint32(nil, uint32(at.Unix()))
	b = binary.LittleEndian.AppendUint32(b, uint32(at.Nanosecond()/1000))
	b = binary.LittleEndian.AppendUint32(b, size)
	b = binary.LittleEndian.AppendUint32(b, size)
	b = append(b, 0x45, 0)
	b = be.AppendUint16(b, uint16(size))
	b = append(b, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 2)
	b = be.AppendUint16(b, 40000)
	b = be.AppendUint16(b, 2055)
	b = be.AppendUint16(b, uint16(8+len(m.Data)))
	b = append(b, 0, 0)
	p.f.Write(append(b, m.Data...))
	p.n++
}
