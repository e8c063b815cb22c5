package capture

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cache/flow"
)

// Headers for tables: the meaning stands beside the octets.
const (
	ether4 = "020000000002 020000000001 0800 "
	ether6 = "020000000002 020000000001 86dd "
	// ToS 0, id 1, TTL 64, 10.0.0.1 to 10.0.0.2; the total length and the
	// protocol are filled in.
	v4 = "45 00 LLLL 0001 0000 40 PP 0000 0a000001 0a000002 "
	v6 = "60000000 LLLL PP 40 20010db8000000000000000000000001 20010db8000000000000000000000002 "
)

func v4Of(length, protocol string) string {
	return strings.NewReplacer("LLLL", length, "PP", protocol).Replace(v4)
}

func v6Of(length, protocol string) string {
	return strings.NewReplacer("LLLL", length, "PP", protocol).Replace(v6)
}

// key4 and key6 are the keys of v4 and v6.
func key4(protocol uint8, src, dst uint16) flow.Key {
	return flow.Key{Src: [16]byte{10, 0, 0, 1}, Dst: [16]byte{10, 0, 0, 2}, SrcPort: src, DstPort: dst, Protocol: protocol, Version: 4}
}

func key6(protocol uint8, src, dst uint16) flow.Key {
	return flow.Key{
		Src: [16]byte{0x20, 1, 0xd, 0xb8, 15: 1}, Dst: [16]byte{0x20, 1, 0xd, 0xb8, 15: 2},
		SrcPort: src, DstPort: dst, Protocol: protocol, Version: 6,
	}
}

// seen is an observation of one packet at time 5, from an Ethernet frame.
func seen(k flow.Key, octets uint32) flow.Packet {
	return flow.Packet{
		Key: k, Packets: 1, Octets: uint64(octets), MinLength: octets, MaxLength: octets,
		MinTTL: 64, MaxTTL: 64, First: 5, Last: 5,
		SrcMAC: [6]byte{2, 5: 1}, DstMAC: [6]byte{2, 5: 2},
	}
}

func TestDecode(t *testing.T) {
	udp := "03e8 0035 0008 0000"
	tagged := seen(key4(17, 1000, 53), 28)
	tagged.VLAN = 0x2064
	twice := tagged
	twice.CustomerVLAN = 0x0065
	leaving := seen(key4(17, 1000, 53), 28)
	leaving.Input, leaving.Direction, leaving.Egress = 0, flow.Egress, 4
	arriving := seen(key4(17, 1000, 53), 28)
	arriving.Input = 3
	flags := seen(key4(6, 1000, 53), 40)
	flags.TCPFlags = 0xfff
	for _, c := range []struct {
		name string
		hex  string
		set  Frame // what it has besides Data; Wire 0 is the data's length
		want flow.Packet
	}{
		{"UDP", ether4 + v4Of("001c", "11") + udp, Frame{}, seen(key4(17, 1000, 53), 28)},
		{"arriving", ether4 + v4Of("001c", "11") + udp, Frame{Input: 3}, arriving},
		{"leaving", ether4 + v4Of("001c", "11") + udp, Frame{Output: 4, Direction: flow.Egress}, leaving},
		{"tag in the ring", ether4 + v4Of("001c", "11") + udp, Frame{HasTag: true, TCI: 0x2064, TPID: 0x8100}, tagged},
		{"tag in the ring and another", strings.Replace(ether4, "0800", "8100 0065 0800", 1) + v4Of("001c", "11") + udp,
			Frame{HasTag: true, TCI: 0x2064, TPID: 0x88a8}, twice},
		{"all control bits", ether4 + v4Of("0028", "06") + "03e8 0035 00000000 00000000 5fff 0000 0000 0000", Frame{}, flags},
		{"control bits behind the snap length", ether4 + v4Of("0028", "06") + "03e8 0035 00000000 00000000 50", Frame{Wire: 54}, seen(key4(6, 1000, 53), 40)},
		{"padding is not ports", ether4 + v4Of("0016", "11") + udp, Frame{}, seen(key4(17, 0, 0), 22)},
		{"half of the ports captured", ether4 + v4Of("001c", "11") + "03e8", Frame{Wire: 60}, seen(key4(17, 0, 0), 28)},
		{"more octets claimed than there were", ether4 + v4Of("ffff", "11") + udp, Frame{}, seen(key4(17, 1000, 53), 28)},
		{"more octets claimed than captured", ether4 + v4Of("05dc", "11") + udp, Frame{Wire: 1514}, seen(key4(17, 1000, 53), 1500)},
		{"length 0 before segmentation", ether4 + v4Of("0000", "11") + udp, Frame{Wire: 70_014}, seen(key4(17, 1000, 53), 70_000)},
		{"a wire length that lies", ether4 + v4Of("001c", "11") + udp, Frame{Wire: 1}, seen(key4(17, 1000, 53), 28)},
		{"ICMP without a code", ether4 + v4Of("0015", "01") + "08", Frame{}, seen(key4(1, 0, 0), 21)},
		{"ICMP over IPv6 has no type", ether6 + v6Of("0008", "01") + "0800 0000 00000000", Frame{}, seen(key6(1, 0, 0), 48)},
		{"ICMPv6 over IPv4 has no type", ether4 + v4Of("001c", "3a") + "8000 0000 00000000", Frame{}, seen(key4(58, 0, 0), 28)},
		{"protocol 0 over IPv4", ether4 + v4Of("001c", "00") + udp, Frame{}, seen(key4(0, 0, 0), 28)},
		{"no next header, padded", ether6 + v6Of("0000", "3b") + "000000000000", Frame{}, seen(key6(59, 0, 0), 40)},
		{"big TCP", ether6 + v6Of("0000", "06") + "03e8 0035 00000000 00000000 5010 0000 0000 0000", Frame{Wire: 100_054}, func() flow.Packet {
			p := seen(key6(6, 1000, 53), 100_040)
			p.TCPFlags = flow.ACK
			return p
		}()},
		{"extension header cut at two octets", ether6 + v6Of("0010", "00") + "1100", Frame{Wire: 70}, seen(key6(0, 0, 0), 56)},
		{"extension header whose data is cut", ether6 + v6Of("0018", "00") + "1101 0000 00000000", Frame{Wire: 78}, seen(key6(17, 0, 0), 64)},
		{"extension header in the padding", ether6 + v6Of("0004", "00") + "1100 0104 00000000" + udp, Frame{}, seen(key6(0, 0, 0), 44)},
		{"extension header longer than the packet", ether6 + v6Of("0010", "3c") + "11ff 0000 00000000" + udp, Frame{}, seen(key6(17, 0, 0), 56)},
		{"more extension headers than are walked", ether6 + v6Of("0090", "3c") + strings.Repeat("3c00 0104 00000000", maxExtensions) + "1100 0104 00000000" + udp,
			Frame{}, seen(key6(60, 0, 0), 184)},
		{"as many extension headers as are walked", ether6 + v6Of("0088", "3c") + strings.Repeat("3c00 0104 00000000", maxExtensions-1) + "1100 0104 00000000" + udp,
			Frame{}, seen(key6(17, 1000, 53), 176)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := c.set
			f.Data, f.Link, f.Time = builder{t}.raw(c.hex), LinkEthernet, 5
			if f.Wire == 0 {
				f.Wire = len(f.Data)
			}
			got := flow.Packet{TCPFlags: 0xffff, Fragment: true, MPLSDepth: 9} // must be written all
			if reason := NewDecoder(DecoderOptions{}).Decode(&f, &got); reason != Decoded {
				t.Fatal(reason)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		name string
		link LinkType
		hex  string
		want Reason
	}{
		{"no link type", LinkUnknown, ether4 + v4Of("0014", "11"), UnknownLink},
		{"a later link type", LinkPPP + 1, ether4 + v4Of("0014", "11"), UnknownLink},
		{"empty Ethernet", LinkEthernet, "", TruncatedLink},
		{"empty raw", LinkRaw, "", TruncatedIP},
		{"empty SLL", LinkSLL, "", TruncatedLink},
		{"empty SLL2", LinkSLL2, "", TruncatedLink},
		{"empty null", LinkNull, "", TruncatedLink},
		{"empty PPP", LinkPPP, "", TruncatedLink},
		{"raw version 5", LinkRaw, "55", BadVersion},
		{"null AppleTalk", LinkNull, "00000010 00", NonIP},
		{"null with nothing behind", LinkNull, "02000000", TruncatedIP},
		{"null that promised IPv6", LinkNull, "0000001e" + v4Of("0014", "11") + strings.Repeat("00", 20), BadVersion},
		{"PPP cut inside a number", LinkPPP, "ff0300", TruncatedLink},
		{"PPP cut before a number", LinkPPP, "ff03", TruncatedLink},
		{"PPP compressed number", LinkPPP, "21 00", TruncatedIP},
		{"PPP LCP", LinkPPP, "c021 0101", NonIP},
		{"PPP address without control", LinkPPP, "ff04 0021", NonIP},
		{"Cisco HDLC keepalive", LinkPPP, "8f00 8035 0000", NonIP},
		{"Cisco HDLC cut", LinkPPP, "0f0008", TruncatedLink},
		{"PPPoE version 2", LinkEthernet, macs + "8864 21 00 0003 0016 0021" + v4Of("0014", "11"), NonIP},
		{"PPPoE cut before the protocol", LinkEthernet, macs + "8864 11 00 0003 0016", TruncatedLink},
		{"SLL netlink", LinkSLL, "0004 0338 0000 0000000000000000 0000 00", NonIP},
		{"SNAP cut", LinkEthernet, macs + "0008 aaaa03 0000", NonIP},
		{"label with nothing behind", LinkEthernet, macs + "8847 00064140", TruncatedIP},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := []byte(builder{t}.raw(c.hex))
			var p flow.Packet
			got := NewDecoder(DecoderOptions{}).Decode(&Frame{Data: data, Wire: len(data), Link: c.link}, &p)
			if got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestTruncation cuts each frame of the corpus at every octet. What is captured
// never changes what the packet is: from the end of its fixed IP header on it is
// metered with the same addresses and length, and ports are right or 0.
func TestTruncation(t *testing.T) {
	for _, file := range corpus(t) {
		for _, f := range file.frames {
			decode := func(n int) (p flow.Packet, r Reason) {
				d := NewDecoder(DecoderOptions{KeepFragmentsApart: true})
				r = d.Decode(&Frame{Data: f.data[:n:n], Wire: f.wire, Link: file.link}, &p)
				return p, r
			}
			whole, reason := decode(len(f.data))
			for n := range f.data {
				p, r := decode(n)
				if r == Decoded && reason != Decoded || r >= Other {
					t.Fatalf("%s, %s: %v of %d octets, %v of all", file.name, f.what, r, n, reason)
				}
				if r != Decoded {
					continue
				}
				if p.Src != whole.Src || p.Dst != whole.Dst || p.Octets != whole.Octets || p.ToS != whole.ToS || p.MPLS != whole.MPLS || p.VLAN != whole.VLAN {
					t.Fatalf("%s, %s: %d octets change the packet: %s", file.name, f.what, n, describe(r, &p))
				}
				if ports := [2]uint16{p.SrcPort, p.DstPort}; ports != [2]uint16{} && ports != [2]uint16{whole.SrcPort, whole.DstPort} {
					t.Fatalf("%s, %s: %d octets change the ports: %v", file.name, f.what, n, ports)
				}
				if _, next := decode(n + 1); next != Decoded {
					t.Fatalf("%s, %s: %d octets are enough, one more is not", file.name, f.what, n)
				}
			}
		}
	}
}

// TestNoAllocation holds for every kind of frame, the fragment table included.
func TestNoAllocation(t *testing.T) {
	d := NewDecoder(DecoderOptions{FragmentEntries: 2})
	for _, file := range corpus(t) {
		for _, f := range file.frames {
			frame := Frame{Data: f.data, Wire: f.wire, Link: file.link, GSOSize: 7}
			var p flow.Packet
			if n := testing.AllocsPerRun(10, func() { d.Decode(&frame, &p) }); n != 0 {
				t.Errorf("%s, %s: %v allocations", file.name, f.what, n)
			}
		}
	}
	if size := unsafe.Sizeof(fragmentEntry{}) + unsafe.Sizeof(int32(0)); size > 80 {
		t.Errorf("a fragmented datagram takes %d octets, not 80", size)
	}
}

// TestReasonNames keeps the names apart: the ledger prints them.
func TestReasonNames(t *testing.T) {
	names := map[string]Reason{}
	for r := range Reasons {
		if other, taken := names[r.String()]; taken || r.String() == "" {
			t.Errorf("reasons %d and %d are both %q", other, r, r)
		}
		names[r.String()] = r
	}
	if got := Reasons.String(); got != Other.String() {
		t.Errorf("an unknown reason is %q", got)
	}
}
