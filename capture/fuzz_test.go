package capture

import (
	"testing"

	"cacheflow/cache/flow"
)

// FuzzDecode feeds octets to the decoder as a frame of any link type: it never
// panics, names its reasons, and what it meters makes sense.
func FuzzDecode(f *testing.F) {
	for _, file := range corpus(f) {
		for _, frame := range file.frames {
			f.Add(uint8(file.link), frame.data, uint32(frame.wire), uint16(0), uint16(0))
			f.Add(uint8(file.link), frame.data, uint32(frame.wire), uint16(8), uint16(100))
		}
	}
	f.Fuzz(func(t *testing.T, link uint8, data []byte, wire uint32, gso, tci uint16) {
		frame := Frame{
			Data: data, Wire: int(wire), Link: LinkType(link), Time: 1, Input: 2,
			HasTag: tci != 0, TCI: tci, TPID: typeVLAN, GSOSize: gso,
		}
		d := NewDecoder(DecoderOptions{FragmentEntries: 4})
		var p flow.Packet
		reason := d.Decode(&frame, &p)
		if reason >= Reasons || reason == Other {
			t.Fatalf("reason %d", reason)
		}
		if reason != Decoded {
			return
		}
		checkDecoded(t, &frame, &p)
		var again flow.Packet
		if d.Decode(&frame, &again) != Decoded || !again.Fragment && again != p {
			t.Error("the same frame is metered in another way")
		}
	})
}

// checkDecoded holds p to what is true of every observation.
func checkDecoded(t *testing.T, f *Frame, p *flow.Packet) {
	t.Helper()
	header := map[uint8]uint32{4: ipv4Length, 6: ipv6Length}[p.Version]
	switch {
	case header == 0:
		t.Errorf("version %d", p.Version)
	case p.Packets == 0 || f.GSOSize == 0 && p.Packets != 1:
		t.Errorf("%d packets", p.Packets)
	case p.MinLength > p.MaxLength || p.MinLength < header:
		t.Errorf("lengths %d to %d", p.MinLength, p.MaxLength)
	case p.Octets < uint64(p.MinLength)*p.Packets || p.Octets > uint64(p.MaxLength)*p.Packets:
		t.Errorf("%d octets in %d packets of %d to %d", p.Octets, p.Packets, p.MinLength, p.MaxLength)
	case p.Packets == 1 && int(p.Octets) > max(f.Wire, len(f.Data)):
		t.Errorf("%d octets in a frame of %d", p.Octets, max(f.Wire, len(f.Data)))
	case p.TCPFlags > controlBits || p.FlowLabel > 0xfffff || p.MPLSDepth > maxLabels:
		t.Errorf("flags %#x, flow label %#x, %d labels", p.TCPFlags, p.FlowLabel, p.MPLSDepth)
	case p.Version == 4 && (p.FlowLabel != 0 || [12]byte(p.Src[4:]) != [12]byte{} || [12]byte(p.Dst[4:]) != [12]byte{}):
		t.Error("an IPv4 packet with traces of IPv6")
	case p.IsICMP() && p.SrcPort != 0, p.TCPFlags != 0 && p.Protocol != flow.ProtocolTCP:
		t.Error("ports or flags of another protocol")
	case p.First != f.Time || p.Last != f.Time || p.Input != f.Input || p.MinTTL != p.MaxTTL:
		t.Error("time, interface or TTL")
	}
}
