package pcapfile

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// TestPcapgo reads the corpus with gopacket's reader as well: the same octets,
// lengths and stamps.
func TestPcapgo(t *testing.T) {
	paths, err := filepath.Glob("../testdata/*.pcap")
	if err != nil || len(paths) == 0 {
		t.Fatal(err, "no corpus")
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := pcapgo.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		compareReaders(t, path, data, theirs)
	}
}

// TestPcapgoNg reads a pcapng file that gopacket wrote, with two interfaces of
// different link types and units.
func TestPcapgoNg(t *testing.T) {
	var out bytes.Buffer
	eth := pcapgo.NgInterface{Name: "eth0", LinkType: layers.LinkTypeEthernet, SnapLength: 100}
	w, err := pcapgo.NewNgWriterInterface(&out, eth, pcapgo.DefaultNgWriterOptions)
	if err != nil {
		t.Fatal(err)
	}
	tun, err := w.AddInterface(pcapgo.NgInterface{Name: "tun0", LinkType: layers.LinkTypeRaw})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		frame := udpFrame(uint16(i))
		if i%2 == tun {
			frame = frame[14:]
		}
		frame = append(frame, make([]byte, i)...)
		ci := gopacket.CaptureInfo{
			Timestamp: time.Unix(1_700_000_000, int64(i)*123_456_789), InterfaceIndex: i % 2,
			CaptureLength: len(frame), Length: 2 * len(frame),
		}
		if err := w.WritePacket(ci, frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	theirs, err := pcapgo.NewNgReader(bytes.NewReader(out.Bytes()), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	compareReaders(t, "pcapng", out.Bytes(), theirs)
	r := read(t, open(t, out.Bytes()), 10)
	if r.err != nil || len(r.packets) != 40 || r.counters[0].Metered != 20 || r.counters[1].Name != "tun0" {
		t.Errorf("%d packets, %+v, error %v", len(r.packets), r.counters, r.err)
	}
}

func compareReaders(t *testing.T, name string, data []byte, theirs gopacket.PacketDataSource) {
	t.Helper()
	f := new(file)
	if err := f.begin(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	for i := 1; ; i++ {
		var r record
		err := f.next(&r)
		b, ci, theirErr := theirs.ReadPacketData()
		if err != theirErr {
			t.Fatalf("%s: packet %d: error %v, pcapgo %v", name, i, err, theirErr)
		}
		if err == io.EOF {
			return
		}
		if !bytes.Equal(r.data, b) || r.wire != ci.Length || r.stamp != ci.Timestamp.UnixNano() || r.on.id != ci.InterfaceIndex {
			t.Fatalf("%s: packet %d: %+v, pcapgo %+v", name, i, r, ci)
		}
	}
}
