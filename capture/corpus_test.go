package capture

import (
	"encoding/hex"
	"net"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// corpusFile is one file of testdata: frames that show one quirk.
type corpusFile struct {
	name   string
	link   LinkType
	number uint32 // LINKTYPE
	frames []corpusFrame
}

// corpusFrame is a frame of the corpus, and what it is metered as in a few words.
type corpusFrame struct {
	what string
	data []byte
	wire int // 0: len(data)
}

// corpus is every link type, tag, label, extension header and transport that
// the decoder knows, and the ways in which a frame cannot be read.
func corpus(t testing.TB) []corpusFile {
	b := builder{t}
	files := []corpusFile{
		{name: "ipv4", frames: b.ipv4Frames()},
		{name: "ipv6", frames: b.ipv6Frames()},
		{name: "ipv6-extension-headers", frames: b.extensionFrames()},
		{name: "ipv4-fragments", frames: b.fragments4()},
		{name: "ipv6-fragments", frames: b.fragments6()},
		{name: "vlan-qinq-802.1ad", frames: b.tagFrames()},
		{name: "mpls", frames: b.mplsFrames()},
		{name: "pppoe", frames: b.pppoeFrames()},
		{name: "snap", frames: b.snapFrames()},
		{name: "not-ip", frames: b.nonIPFrames()},
		{name: "undecodable", frames: b.undecodableFrames()},
		{name: "length-0", frames: b.lengthZeroFrames()},
		{name: "snap-length-60", frames: b.cutFrames(60)},
		{name: "raw", link: LinkRaw, number: 101, frames: b.linkFrames("", "")},
		{name: "sll", link: LinkSLL, number: 113, frames: b.linkFrames(sllTo+"0800", sllTo+"86dd")},
		{name: "sll2", link: LinkSLL2, number: 276, frames: b.linkFrames("0800"+sll2To, "86dd"+sll2To)},
		{name: "null-little-endian", link: LinkNull, number: 0, frames: b.linkFrames("02000000", "1e000000")},
		{name: "null-big-endian", link: LinkNull, number: 0, frames: b.linkFrames("00000002", "0000001c")},
		{name: "loop", link: LinkNull, number: 108, frames: b.linkFrames("00000002", "00000018")},
		{name: "ppp", link: LinkPPP, number: 9, frames: b.linkFrames("ff030021", "ff030057")},
		{name: "ppp-unframed", link: LinkPPP, number: 9, frames: b.linkFrames("0021", "0057")},
		{name: "ppp-hdlc", link: LinkPPP, number: 50, frames: b.linkFrames("ff030021", "ff030057")},
		{name: "cisco-hdlc", link: LinkPPP, number: 50, frames: b.linkFrames("0f000800", "8f0086dd")},
		{name: "pppoe-link", link: LinkPPP, number: 51, frames: b.linkFrames("1100000300410021", "1100000300450057")},
	}
	for i := range files {
		if files[i].link == LinkUnknown {
			files[i].link, files[i].number = LinkEthernet, 1
		}
		for j := range files[i].frames {
			f := &files[i].frames[j]
			f.wire = max(f.wire, len(f.data))
		}
	}
	return files
}

// Cooked headers without their protocol: a unicast packet to us from 02:…:01.
const (
	sllTo  = "0000" + "0001" + "0006" + "020000000001" + "0000"
	sll2To = "0000" + "00000002" + "0001" + "00" + "06" + "020000000001" + "0000"
)

// builder makes frames; what does not serialize fails its test.
type builder struct{ t testing.TB }

var fix = gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}

func (b builder) bytes(l ...gopacket.SerializableLayer) []byte {
	b.t.Helper()
	out := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(out, fix, l...); err != nil {
		b.t.Fatal(err)
	}
	return out.Bytes()
}

// raw is a layer from hexadecimal digits; spaces are for the reader.
func (b builder) raw(digits string) gopacket.Payload {
	b.t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

var (
	mac1 = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	mac2 = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	src4 = net.IP{10, 0, 0, 1}
	dst4 = net.IP{192, 0, 2, 2}
	src6 = net.ParseIP("2001:db8::1")
	dst6 = net.ParseIP("2001:db8:ffff::2")
)

func eth(t layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: mac1, DstMAC: mac2, EthernetType: t}
}

func ip4(protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TOS: 0xb8, TTL: 63, Id: 7, Protocol: protocol, SrcIP: src4, DstIP: dst4}
}

func ip6(next layers.IPProtocol) *layers.IPv6 {
	return &layers.IPv6{Version: 6, TrafficClass: 0x28, FlowLabel: 0xabcde, HopLimit: 61, NextHeader: next, SrcIP: src6, DstIP: dst6}
}

// tcp is a segment with all nine flags that gopacket knows, and an option.
func tcp(n gopacket.NetworkLayer) *layers.TCP {
	t := &layers.TCP{
		SrcPort: 443, DstPort: 50000, Seq: 1, SYN: true, ACK: true, ECE: true, NS: true, Window: 1000,
		Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}},
	}
	_ = t.SetNetworkLayerForChecksum(n) // n is an IP layer
	return t
}

func udp(n gopacket.NetworkLayer) *layers.UDP {
	u := &layers.UDP{SrcPort: 40000, DstPort: 3478}
	_ = u.SetNetworkLayerForChecksum(n)
	return u
}

// padded adds Ethernet's padding to 60 octets.
func padded(b []byte) []byte { return append(b, make([]byte, max(0, 60-len(b)))...) }

var payload = gopacket.Payload("payload of a packet")
