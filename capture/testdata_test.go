package capture

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/pcapgo"

	"cacheflow/cache/flow"
)

var update = flag.Bool("update", false, "write testdata")

// TestCorpusFiles holds the capture files in testdata to the builder, and what
// the decoder says about them to a listing that was read by a person.
func TestCorpusFiles(t *testing.T) {
	var listing strings.Builder
	for _, file := range corpus(t) {
		golden(t, file.name+".pcap", pcapOf(t, &file))
		fmt.Fprintf(&listing, "%s\n", file.name)
		d := NewDecoder(DecoderOptions{})
		for _, f := range file.frames {
			var p flow.Packet
			reason := d.Decode(&Frame{Data: f.data, Wire: f.wire, Link: file.link}, &p)
			fmt.Fprintf(&listing, "  %s: %s\n", f.what, describe(reason, &p))
		}
	}
	golden(t, "corpus.txt", []byte(listing.String()))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	if strings.HasSuffix(name, ".txt") {
		t.Errorf("%s differs (-want +got):\n%s", path, cmp.Diff(string(want), string(got)))
		return
	}
	t.Errorf("%s differs from what the builder makes; -update writes it", path)
}

// pcapOf writes the frames a millisecond apart.
func pcapOf(t *testing.T, file *corpusFile) []byte {
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(65535, 0); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b.Bytes()[20:], file.number) // gopacket's link types have eight bits
	for i, f := range file.frames {
		ci := gopacket.CaptureInfo{
			Timestamp:     time.Unix(1_700_000_000, int64(i)*int64(time.Millisecond)),
			CaptureLength: len(f.data), Length: f.wire,
		}
		if err := w.WritePacket(ci, f.data); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// describe is one line for an observation: what differs from 0.
func describe(reason Reason, p *flow.Packet) string {
	if reason != Decoded {
		return reason.String()
	}
	var s strings.Builder
	fmt.Fprintf(&s, "IPv%d %v > %v", p.Version, netip.AddrPortFrom(p.SrcAddr(), p.SrcPort), netip.AddrPortFrom(p.DstAddr(), p.DstPort))
	fmt.Fprintf(&s, " protocol %d ToS %#02x TTL %d octets %d", p.Protocol, p.ToS, p.MinTTL, p.Octets)
	for _, field := range []struct {
		name  string
		value uint32
	}{
		{"flags", uint32(p.TCPFlags)}, {"label", p.FlowLabel}, {"VLAN", uint32(p.VLAN)}, {"customer", uint32(p.CustomerVLAN)},
	} {
		if field.value != 0 {
			fmt.Fprintf(&s, " %s %#x", field.name, field.value)
		}
	}
	if p.MPLSDepth != 0 {
		fmt.Fprintf(&s, " MPLS %x of %d", p.MPLS[:min(int(p.MPLSDepth), len(p.MPLS))], p.MPLSDepth)
	}
	if p.SrcMAC != [6]byte{} {
		fmt.Fprintf(&s, " from %x", p.SrcMAC)
	}
	if p.Fragment {
		s.WriteString(" fragment")
	}
	return s.String()
}
