package capture

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cache/flow"
)

func TestSuperPacket(t *testing.T) {
	const (
		tcp20  = "03e8 0035 00000000 00000000 5010 0000 0000 0000"
		tcp32  = "03e8 0035 00000000 00000000 8010 0000 0000 0000 0101080a 00000000 00000000"
		udp    = "03e8 0035 0000 0000"
		option = "0104 0000"
	)
	type sum struct {
		packets, octets uint64
		shortest        uint32
		longest         uint32
	}
	for _, c := range []struct {
		name   string
		hex    string // headers, the payload follows
		length int    // IP total length, in its field where that is 0
		size   uint16
		want   sum
	}{
		{"no payload", v4Of("0028", "06") + tcp20, 40, 1000, sum{1, 40, 40, 40}},
		{"less than a segment", v4Of("040f", "06") + tcp20, 1039, 1000, sum{1, 1039, 1039, 1039}},
		{"one segment", v4Of("0410", "06") + tcp20, 1040, 1000, sum{1, 1040, 1040, 1040}},
		{"one octet more", v4Of("0411", "06") + tcp20, 1041, 1000, sum{2, 1081, 41, 1040}},
		{"three segments", v4Of("0be0", "06") + tcp20, 3040, 1000, sum{3, 3120, 1040, 1040}},
		{"a short last one", v4Of("0be1", "06") + tcp20, 3041, 1000, sum{4, 3161, 41, 1040}},
		{"TCP timestamps", v4Of("0bec", "06") + tcp32, 3052, 1000, sum{3, 3156, 1052, 1052}},
		{"data offset below 5", v4Of("0be0", "06") + "03e8 0035 00000000 00000000 1010 0000 0000 0000", 3040, 1000, sum{3, 3120, 1040, 1040}},
		{"TCP cut by the snap length", v4Of("0be0", "06") + "03e8 0035 00000000 00000000", 3040, 1000, sum{3, 3120, 1040, 1040}},
		{"IP options", "46 00 0be4 0001 0000 40 06 0000 0a000001 0a000002 94040000" + tcp20, 3044, 1000, sum{3, 3132, 1044, 1044}},
		{"UDP", v4Of("0bd4", "11") + udp, 3028, 1000, sum{3, 3084, 1028, 1028}},
		{"IPv6", v6Of("0bcc", "06") + tcp20, 3060, 1000, sum{3, 3180, 1060, 1060}},
		{"IPv6 extension header", v6Of("0bd4", "3c") + "0600 0104 00000000" + tcp20, 3068, 1000, sum{3, 3204, 1068, 1068}},
		{"big TCP over IPv4", v4Of("0000", "06") + tcp20, 200_040, 1000, sum{200, 208_000, 1040, 1040}},
		{"big TCP over IPv6", v6Of("0000", "06") + tcp20, 200_060, 1000, sum{200, 212_000, 1060, 1060}},
		{"segments of one octet", v4Of("ffff", "06") + tcp20, 65535, 1, sum{65495, 65495 * 41, 41, 41}},
		{"fragment", "45 00 0be0 0001 2000 40 06 0000 0a000001 0a000002" + tcp20, 3040, 1000, sum{1, 3040, 3040, 3040}},
		// Headers of tunnels: 20 outer IP, then the tunnel's, then 20 + 20 inner.
		{"IPIP", v4Of("0bf4", "04") + v4Of("0be0", "06") + tcp20, 3060, 1000, sum{3, 3180, 1060, 1060}},
		{"IPv6 in IPv4", v4Of("0c08", "29") + v6Of("0bcc", "06") + tcp20, 3080, 1000, sum{3, 3240, 1080, 1080}},
		{"GRE", v4Of("0bf8", "2f") + "0000 0800" + v4Of("0be0", "06") + tcp20, 3064, 1000, sum{3, 3192, 1064, 1064}},
		{"GRE with key and sequence", v4Of("0c00", "2f") + "3000 0800 00000001 00000002" + v4Of("0be0", "06") + tcp20, 3072, 1000, sum{3, 3216, 1072, 1072}},
		{"VXLAN", v4Of("0c12", "11") + "c000 12b5 0000 0000" + "08000000 00000100" + ether4 + v4Of("0be0", "06") + tcp20, 3090, 1000, sum{3, 3270, 1090, 1090}},
		{"Geneve with an option", v4Of("0c16", "11") + "c000 17c1 0000 0000" + "01006558 00000100 00000000" + ether4 + v4Of("0be0", "06") + tcp20, 3094, 1000, sum{3, 3282, 1094, 1094}},
		{"VXLAN cut in its inner frame", v4Of("0c12", "11") + "c000 12b5 0000 0000" + "08000000 00000100" + "0200", 3090, 1000, sum{4, 3090 + 3*36, 90, 1036}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := []byte(builder{t}.raw(c.hex))
			var p flow.Packet
			f := Frame{Data: data, Wire: c.length, Link: LinkRaw, GSOSize: c.size}
			if reason := NewDecoder(DecoderOptions{}).Decode(&f, &p); reason != Decoded {
				t.Fatal(reason)
			}
			if got := (sum{p.Packets, p.Octets, p.MinLength, p.MaxLength}); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// TestSegmentsAddUp cuts super-packets as a device does: the sum of what the
// decoder says about the segments is what it says about the super-packet.
func TestSegmentsAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	d := NewDecoder(DecoderOptions{})
	for range 2000 {
		headers, tcp := segmentHeaders(t, r)
		size, rest := 1+r.IntN(1500), r.IntN(20_000)
		whole := superPacket(headers, rest)
		var want flow.Packet
		for first := true; first || rest > 0; first = false {
			part := superPacket(headers, min(rest, size))
			rest -= min(rest, size)
			var p flow.Packet
			if reason := d.Decode(&Frame{Data: part, Wire: len(part), Link: LinkRaw}, &p); reason != Decoded {
				t.Fatal(reason)
			}
			if first {
				want = p
			} else {
				want.Sum(&p)
			}
		}
		var got flow.Packet
		f := Frame{Data: whole[:len(headers)], Wire: len(whole), Link: LinkRaw, GSOSize: uint16(size)}
		if reason := d.Decode(&f, &got); reason != Decoded {
			t.Fatal(reason)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("tcp %v, size %d, octets %d (-segments +super-packet):\n%s", tcp, size, len(whole), diff)
		}
	}
}

// segmentHeaders returns the IP and transport headers of a random kind.
func segmentHeaders(t *testing.T, r *rand.Rand) (headers []byte, tcp bool) {
	b := builder{t}
	protocol, l4 := "11", "03e8 0035 0000 0000"
	if tcp = r.IntN(2) == 0; tcp {
		protocol = "06"
		l4 = "03e8 0035 00000000 00000000 8010 0000 0000 0000 0101080a 00000000 00000000"
	}
	if r.IntN(2) == 0 {
		return b.raw(v4Of("0000", protocol) + l4), tcp
	}
	return b.raw(v6Of("0000", "3c") + protocol + "00 0104 00000000" + l4), tcp
}

// superPacket appends a payload and sets the length field, as far as it goes.
func superPacket(headers []byte, n int) []byte {
	b := append(append([]byte{}, headers...), make([]byte, n)...)
	if b[0]>>4 == 4 {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	} else {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ipv6Length))
	}
	return b
}
