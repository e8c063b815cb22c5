//go:build linux

package route

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// nestedAttr returns an attribute of attributes.
func nestedAttr(kind uint16, attrs ...[]byte) []byte {
	return attr(kind|unix.NLA_F_NESTED, bytes.Join(attrs, nil)...)
}

// packet returns the key of a packet; protocols but TCP and UDP have no ports.
func packet(protocol uint8, src, dst string) flow.Key {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	k := flow.Key{Protocol: protocol, Version: 4, SrcPort: s.Port(), DstPort: d.Port()}
	if d.Addr().Is6() {
		k.Version = 6
	}
	copy(k.Src[:], s.Addr().AsSlice())
	copy(k.Dst[:], d.Addr().AsSlice())
	return k
}

// ctTuple returns the attribute of a packet's tuple as the kernel answers it.
func ctTuple(kind uint16, k flow.Key) []byte {
	src, dst, size := uint16(nl.CTA_IP_V4_SRC), uint16(nl.CTA_IP_V4_DST), 4
	if k.Version == 6 {
		src, dst, size = nl.CTA_IP_V6_SRC, nl.CTA_IP_V6_DST, 16
	}
	proto := attr(nl.CTA_PROTO_NUM, k.Protocol)
	if k.Protocol == flow.ProtocolTCP || k.Protocol == flow.ProtocolUDP {
		proto = append(proto, attr(nl.CTA_PROTO_SRC_PORT, byte(k.SrcPort>>8), byte(k.SrcPort))...)
		proto = append(proto, attr(nl.CTA_PROTO_DST_PORT, byte(k.DstPort>>8), byte(k.DstPort))...)
	}
	return nestedAttr(kind, nestedAttr(nl.CTA_TUPLE_IP, attr(src, k.Src[:size]...), attr(dst, k.Dst[:size]...)), nestedAttr(nl.CTA_TUPLE_PROTO, proto))
}

// ctMessage returns the payload of the answer about a connection.
func ctMessage(original, reply flow.Key) []byte {
	return bytes.Join([][]byte{
		{unix.AF_INET, 0, 0, 0},
		ctTuple(nl.CTA_TUPLE_ORIG, original), ctTuple(nl.CTA_TUPLE_REPLY, reply),
		attr(nl.CTA_STATUS, 0, 0, 1, 0x8e), attr(nl.CTA_TIMEOUT, 0, 0, 0, 30),
	}, nil)
}

// TestAppendTuple holds a question against its octets in the order of the
// kernel's headers.
func TestAppendTuple(t *testing.T) {
	for _, k := range []flow.Key{
		packet(flow.ProtocolTCP, "192.0.2.1:443", "203.0.113.5:40000"),
		packet(flow.ProtocolUDP, "[2001:db8::1]:53", "[2001:db8:1::5]:40001"),
	} {
		var s tracker
		b := appendTuple(s.beginFor(&k), &k)
		family := map[uint8]byte{4: unix.AF_INET, 6: unix.AF_INET6}[k.Version]
		want := append([]byte{family, 0, 0, 0}, ctTuple(nl.CTA_TUPLE_ORIG, k)...)
		if !bytes.Equal(b[sizeofHeader:], want) {
			t.Errorf("%v: got\n%x, want\n%x", k.DstAddr(), b[sizeofHeader:], want)
		}
	}
}

func TestTranslate(t *testing.T) {
	const tcp, esp = flow.ProtocolTCP, flow.ProtocolESP
	for _, c := range []struct {
		name            string
		original, reply flow.Key
		packet          flow.Key
		to              string // "" where the packet is for this host
	}{
		{"masqueraded, reply", packet(tcp, "10.0.0.9:5000", "192.0.2.1:80"), packet(tcp, "192.0.2.1:80", "203.0.113.5:6000"),
			packet(tcp, "192.0.2.1:80", "203.0.113.5:6000"), "10.0.0.9:5000"},
		{"redirected to a server, first", packet(tcp, "192.0.2.1:5000", "203.0.113.5:80"), packet(tcp, "10.0.0.9:8080", "192.0.2.1:5000"),
			packet(tcp, "192.0.2.1:5000", "203.0.113.5:80"), "10.0.0.9:8080"},
		{"to this host", packet(tcp, "192.0.2.1:5000", "203.0.113.5:22"), packet(tcp, "203.0.113.5:22", "192.0.2.1:5000"),
			packet(tcp, "192.0.2.1:5000", "203.0.113.5:22"), ""},
		{"to another port of this host", packet(tcp, "192.0.2.1:5000", "203.0.113.5:80"), packet(tcp, "203.0.113.5:8080", "192.0.2.1:5000"),
			packet(tcp, "192.0.2.1:5000", "203.0.113.5:80"), ""},
		{"from this host, reply", packet(tcp, "203.0.113.5:5000", "192.0.2.1:80"), packet(tcp, "192.0.2.1:80", "203.0.113.5:5000"),
			packet(tcp, "192.0.2.1:80", "203.0.113.5:5000"), ""},
		// A host that comes to itself by the outer address: only ports tell the
		// directions apart.
		{"hairpin, first", packet(tcp, "10.0.0.9:5000", "203.0.113.5:80"), packet(tcp, "10.0.0.9:8080", "203.0.113.5:6000"),
			packet(tcp, "10.0.0.9:5000", "203.0.113.5:80"), "10.0.0.9:8080"},
		{"hairpin, reply", packet(tcp, "10.0.0.9:5000", "203.0.113.5:80"), packet(tcp, "10.0.0.9:8080", "203.0.113.5:6000"),
			packet(tcp, "10.0.0.9:8080", "203.0.113.5:6000"), "10.0.0.9:5000"},
		{"without ports, reply", packet(esp, "10.0.0.9:0", "192.0.2.1:0"), packet(esp, "192.0.2.1:0", "203.0.113.5:0"),
			packet(esp, "192.0.2.1:0", "203.0.113.5:0"), "10.0.0.9:0"},
		{"without ports that conntrack knows, first", packet(esp, "192.0.2.1:0", "203.0.113.5:0"), packet(esp, "10.0.0.9:0", "192.0.2.1:0"),
			packet(esp, "192.0.2.1:1", "203.0.113.5:2"), "10.0.0.9:2"},
		{"IPv6, reply", packet(tcp, "[fd00::9]:5000", "[2001:db8::1]:80"), packet(tcp, "[2001:db8::1]:80", "[2001:db8:1::5]:6000"),
			packet(tcp, "[2001:db8::1]:80", "[2001:db8:1::5]:6000"), "[fd00::9]:5000"},
	} {
		var conn connection
		if !conn.parse(ctMessage(c.original, c.reply)) {
			t.Errorf("%s: not read", c.name)
		}
		k, to := c.packet, ""
		if conn.translate(&k) {
			to = netip.AddrPortFrom(k.DstAddr(), k.DstPort).String()
		}
		if to != c.to {
			t.Errorf("%s: to %q instead of %q", c.name, to, c.to)
		}
	}
}

func TestParseEntries(t *testing.T) {
	b := append([]byte{0, 0, 0, 0}, attr(ctGlobalEntries, 0, 0, 1, 2)...)
	b = append(b, attr(2, 0, 4, 0, 0)...) // CTA_STATS_GLOBAL_MAX_ENTRIES
	if n := parseEntries(b); n != 258 {
		t.Errorf("%d entries", n)
	}
	if n := parseEntries(b[:6]); n != 0 {
		t.Errorf("%d entries in a message cut short", n)
	}
}

// FuzzConnection reads answers of any content. None makes it fail, and what it
// accepts has both tuples.
func FuzzConnection(f *testing.F) {
	whole := ctMessage(packet(flow.ProtocolTCP, "10.0.0.9:5000", "192.0.2.1:80"), packet(flow.ProtocolTCP, "192.0.2.1:80", "203.0.113.5:6000"))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		var c connection
		if c.parse(b) && len(b) < nl.SizeofNfgenmsg+2*sizeofAttr {
			t.Errorf("read a connection from %x", b)
		}
		parseEntries(b)
		k := packet(flow.ProtocolTCP, "192.0.2.1:80", "203.0.113.5:6000")
		c.translate(&k)
	})
}
