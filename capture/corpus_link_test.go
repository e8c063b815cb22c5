package capture

import (
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// packets are an IPv4 and an IPv6 packet without a link header.
func (b builder) packets() (four, six []byte) {
	n, m := ip4(6), ip6(17)
	return b.bytes(n, tcp(n), payload), b.bytes(m, udp(m), payload)
}

// both puts a header before an IPv4 and another before an IPv6 packet.
func (b builder) both(what, before4, before6 string) []corpusFrame {
	four, six := b.packets()
	return []corpusFrame{
		{what: what + "IPv4", data: append([]byte(b.raw(before4)), four...)},
		{what: what + "IPv6", data: append([]byte(b.raw(before6)), six...)},
	}
}

const macs = "020000000002 020000000001 "

func (b builder) tagFrames() (frames []corpusFrame) {
	for _, tags := range []string{
		"8100 6064",                     // priority 3, id 100
		"88a8 00c8",                     // 802.1ad alone
		"9100 00c8",                     // QinQ alone
		"8100 0000",                     // priority tag: id 0
		"8100 0065 8100 0066",           // two customer tags
		"88a8 00c8 8100 3064",           // 802.1ad, DEI set
		"9100 00c8 8100 0064",           // QinQ
		"88a8 00c8 8100 0064 8100 0065", // three
		"88a8 00c8 88a8 00c9 8100 0064 8100 0065",
	} {
		frames = append(frames, b.both(tags+" ", macs+tags+"0800", macs+tags+"86dd")...)
	}
	return append(frames, b.both("label behind a tag ", macs+"8100 0064 8847 00064140", macs+"8100 0064 8847 00064140")...)
}

func (b builder) mplsFrames() (frames []corpusFrame) {
	// Label, experimental bits and TTL differ; the second form has the S bit.
	stack := [][2]string{{"00064040", "00064140"}, {"000c823f", "000c833f"}, {"0012c43e", "0012c53e"}, {"0019063d", "0019073d"}}
	above := ""
	for _, entry := range stack {
		labels := macs + "8847" + above + entry[1]
		frames = append(frames, b.both("unicast ", labels, labels)...)
		above += entry[0]
	}
	frames = append(frames, b.both("upstream label ", macs+"8848 00064140", macs+"8848 00064140")...)
	four, _ := b.packets()
	inner := b.bytes(eth(layers.EthernetTypeIPv4))
	return append(frames,
		corpusFrame{what: "pseudowire with control word", data: append(append([]byte(b.raw(macs+"8847 00064140 00000000")), inner...), four...)},
		corpusFrame{what: "associated channel", data: []byte(b.raw(macs + "8847 00064140 10000007 0000000000000000"))})
}

func (b builder) pppoeFrames() []corpusFrame {
	frames := b.both("session ", macs+"8864 11 00 0003 0041 0021", macs+"8864 11 00 0003 0045 0057")
	frames = append(frames, b.both("session behind a tag ", macs+"8100 0007 8864 11 00 0003 0041 0021", macs+"8100 0007 8864 11 00 0003 0045 0057")...)
	return append(frames,
		corpusFrame{what: "LCP", data: padded([]byte(b.raw(macs + "8864 11 00 0003 000a c021 09 01 0008 00000000")))},
		corpusFrame{what: "discovery", data: padded([]byte(b.raw(macs + "8863 11 09 0000 0004 0101 0000")))})
}

func (b builder) snapFrames() []corpusFrame {
	return b.both("802.3 ", macs+"0053 aaaa03 000000 0800", macs+"0053 aaaa03 000000 86dd")
}

func (b builder) nonIPFrames() (frames []corpusFrame) {
	for _, f := range []struct{ what, hex string }{
		{"ARP", macs + "0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002"},
		{"LLDP", "0180c200000e 020000000001 88cc 0207 04 020000000001 0403 05 6531 0602 0078 0000"},
		{"spanning tree", "0180c2000000 020000000001 0026 424203 0000 00 00 00 8000020000000001 00000000 8000020000000001 8001 0000 1400 0200 0f00"},
		{"CDP", "01000ccccccc 020000000001 0010 aaaa03 00000c 2000 02b40000 00010004"},
		{"EAPOL", "0180c2000003 020000000001 888e 0101 0000"},
		{"wake on LAN", macs + "0842 ffffffffffff"},
		{"ARP behind a tag", macs + "8100 0064 0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002"},
	} {
		frames = append(frames, corpusFrame{what: f.what, data: padded([]byte(b.raw(f.hex)))})
	}
	return frames
}

// undecodableFrames are IP by their type; what names the reason.
func (b builder) undecodableFrames() (frames []corpusFrame) {
	const addresses = "0a000001 c0000202"
	for _, f := range []struct {
		reason Reason
		hex    string
	}{
		{TruncatedLink, macs + "08"},
		{TruncatedLink, macs + "8100 0064"},
		{TruncatedLink, macs + "8847 000640"},
		{TruncatedLink, macs + "8864 11 00 0003"},
		{TooManyTags, macs + strings.Repeat("8100 0064", maxTags+1) + "0800 4500"},
		{TooManyLabels, macs + "8847" + strings.Repeat("00064040", maxLabels+1) + "4500"},
		{TruncatedIP, macs + "0800 4500 0028 0000 0000 4006 0000 0a000001 c00002"},
		{TruncatedIP, macs + "86dd 60000000 0008 11 40 20010db8"},
		{BadVersion, macs + "0800 6500 0028 0000 0000 4006 0000" + addresses},
		{BadVersion, macs + "86dd 45000000 0008 11 40" + strings.Repeat("00", 32)},
		{BadHeaderLength, macs + "0800 4400 0028 0000 0000 4006 0000" + addresses},
		{BadHeaderLength, macs + "0800 4f00 0028 0000 0000 4006 0000" + addresses + strings.Repeat("00", 40)},
		{BadTotalLength, macs + "0800 4500 0013 0000 0000 4006 0000" + addresses},
	} {
		frames = append(frames, corpusFrame{what: f.reason.String(), data: []byte(b.raw(f.hex))})
	}
	return frames
}

// lengthZeroFrames have no IP length: segmentation offload puts it in later.
func (b builder) lengthZeroFrames() []corpusFrame {
	frames := b.both("", macs+"0800", macs+"86dd")
	copy(frames[0].data[16:], []byte{0, 0})
	copy(frames[1].data[18:], []byte{0, 0})
	return frames
}

// cutFrames are long packets of which n octets were captured.
func (b builder) cutFrames(n int) []corpusFrame {
	long := make([]byte, 1000)
	v4, v6 := ip4(6), ip6(17)
	frames := []corpusFrame{
		{what: "TCP", data: b.bytes(eth(layers.EthernetTypeIPv4), v4, tcp(v4), gopacket.Payload(long))},
		{what: "UDP over IPv6", data: b.bytes(eth(layers.EthernetTypeIPv6), v6, udp(v6), gopacket.Payload(long))},
	}
	for i := range frames {
		frames[i].wire = len(frames[i].data)
		frames[i].data = frames[i].data[:n]
	}
	return frames
}

func (b builder) linkFrames(before4, before6 string) []corpusFrame {
	return b.both("", before4, before6)
}
