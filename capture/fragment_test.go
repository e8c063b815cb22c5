package capture

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// part is a fragment of a UDP datagram from port 1000+id to port 53.
type part struct {
	id     uint16
	offset uint16 // in units of eight octets
	last   bool
	six    bool
	at     flow.Time
	input  uint32
	vlan   uint16
	src    byte // last octet of the source address
}

// frame writes the fragment; of IPv6, the first carries destination options,
// which alone name UDP.
func (f part) frame(t testing.TB) Frame {
	b := builder{t}
	var data []byte
	if f.six {
		data = b.raw(v6Of("0018", "2c") + "3c00 0000 00000000" + "1100 0104 00000000" + "0000 0035 0000 0000")
		binary.BigEndian.PutUint16(data[ipv6Length+2:], f.offset<<3|map[bool]uint16{false: 1}[f.last])
		binary.BigEndian.PutUint32(data[ipv6Length+4:], uint32(f.id))
		binary.BigEndian.PutUint16(data[ipv6Length+16:], 1000+f.id)
		data[23] = f.src
	} else {
		data = b.raw(v4Of("001c", "11") + "0000 0035 0000 0000")
		binary.BigEndian.PutUint16(data[6:], f.offset|map[bool]uint16{false: moreFollow}[f.last])
		binary.BigEndian.PutUint16(data[4:], f.id)
		binary.BigEndian.PutUint16(data[20:], 1000+f.id)
		data[15] = f.src
	}
	link := b.raw(map[bool]string{false: ether4, true: ether6}[f.six])
	data = append(link, data...)
	return Frame{Data: data, Wire: len(data), Link: LinkEthernet, Time: f.at, Input: f.input, HasTag: f.vlan != 0, TCI: f.vlan}
}

func TestFragments(t *testing.T) {
	const second = flow.Time(time.Second)
	for _, c := range []struct {
		name  string
		opt   DecoderOptions
		train []part
		want  []uint16 // source ports
	}{
		{"in order", DecoderOptions{}, []part{{id: 1}, {id: 1, offset: 1}, {id: 1, offset: 2, last: true}}, []uint16{1001, 1001, 1001}},
		{"in reverse order", DecoderOptions{}, []part{{id: 1, offset: 2, last: true}, {id: 1, offset: 1}, {id: 1}}, []uint16{0, 0, 1001}},
		{"interleaved", DecoderOptions{}, []part{{id: 1}, {id: 2}, {id: 2, offset: 1}, {id: 1, offset: 1}, {id: 3, offset: 1}}, []uint16{1001, 1002, 1002, 1001, 0}},
		{"joining is off", DecoderOptions{KeepFragmentsApart: true}, []part{{id: 1}, {id: 1, offset: 1}}, []uint16{1001, 0}},
		{"the oldest of two is replaced", DecoderOptions{FragmentEntries: 2},
			[]part{{id: 1}, {id: 2}, {id: 3}, {id: 1, offset: 1}, {id: 2, offset: 1}, {id: 3, offset: 1}}, []uint16{1001, 1002, 1003, 0, 1002, 1003}},
		{"a table of one", DecoderOptions{FragmentEntries: 1}, []part{{id: 1}, {id: 2}, {id: 1, offset: 1}, {id: 2, offset: 1}}, []uint16{1001, 1002, 0, 1002}},
		{"as old as allowed", DecoderOptions{}, []part{{id: 1}, {id: 1, offset: 1, at: 30 * second}}, []uint16{1001, 1001}},
		{"older", DecoderOptions{}, []part{{id: 1}, {id: 1, offset: 1, at: 30*second + 1}}, []uint16{1001, 0}},
		{"another age", DecoderOptions{FragmentAge: time.Second}, []part{{id: 1}, {id: 1, offset: 1, at: second + 1}}, []uint16{1001, 0}},
		{"a clock that went back a little", DecoderOptions{}, []part{{id: 1, at: 9 * second}, {id: 1, offset: 1}}, []uint16{1001, 1001}},
		{"a clock that went back far", DecoderOptions{}, []part{{id: 1, at: 90 * second}, {id: 1, offset: 1}}, []uint16{1001, 0}},
		{"another source", DecoderOptions{}, []part{{id: 1}, {id: 1, offset: 1, src: 9}}, []uint16{1001, 0}},
		{"another interface", DecoderOptions{}, []part{{id: 1}, {id: 1, offset: 1, input: 2}}, []uint16{1001, 0}},
		{"another VLAN", DecoderOptions{}, []part{{id: 1, vlan: 5}, {id: 1, offset: 1, vlan: 6}}, []uint16{1001, 0}},
		{"another priority in the VLAN", DecoderOptions{}, []part{{id: 1, vlan: 5}, {id: 1, offset: 1, vlan: 0xe005}}, []uint16{1001, 1001}},
		{"IPv6 in order", DecoderOptions{}, []part{{id: 1, six: true}, {id: 1, offset: 1, six: true}, {id: 1, offset: 2, last: true, six: true}}, []uint16{1001, 1001, 1001}},
		{"IPv6 in reverse order", DecoderOptions{}, []part{{id: 1, offset: 1, last: true, six: true}, {id: 1, six: true}}, []uint16{0, 1001}},
		{"IPv4 and IPv6 with one id", DecoderOptions{}, []part{{id: 1, six: true}, {id: 1, offset: 1}}, []uint16{1001, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewDecoder(c.opt)
			for i, f := range c.train {
				frame, p := f.frame(t), flow.Packet{}
				if reason := d.Decode(&frame, &p); reason != Decoded {
					t.Fatal(reason)
				}
				want := flow.Packet{}
				if c.want[i] != 0 {
					want.SrcPort, want.DstPort = c.want[i], 53
				}
				if p.SrcPort != want.SrcPort || p.DstPort != want.DstPort || !p.Fragment {
					t.Errorf("fragment %d: ports %d > %d, fragment %v, want %d > %d", i, p.SrcPort, p.DstPort, p.Fragment, want.SrcPort, want.DstPort)
				}
				protocol := uint8(flow.ProtocolUDP)
				if f.six && c.want[i] == 0 {
					protocol = flow.ProtocolDstOpts // what the fragment header says; the rest is data
				}
				if p.Protocol != protocol {
					t.Errorf("fragment %d: protocol %d, want %d", i, p.Protocol, protocol)
				}
			}
		})
	}
}

// TestAtomicFragment: a fragment header that splits nothing is no fragment.
func TestAtomicFragment(t *testing.T) {
	f, p := part{id: 1, last: true, six: true}.frame(t), flow.Packet{}
	if reason := NewDecoder(DecoderOptions{}).Decode(&f, &p); reason != Decoded {
		t.Fatal(reason)
	}
	if p.Fragment || p.SrcPort != 1001 || p.Protocol != flow.ProtocolUDP {
		t.Errorf("fragment %v, protocol %d, source port %d", p.Fragment, p.Protocol, p.SrcPort)
	}
}

// TestFirstWithoutPorts: an identification that is used again by a datagram
// whose ports cannot be read does not inherit the old ports.
func TestFirstWithoutPorts(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	first, again, later := part{id: 1}.frame(t), part{id: 1}.frame(t), part{id: 1, offset: 1}.frame(t)
	again.Data = again.Data[:ethernetLength+ipv4Length+2]
	var p flow.Packet
	for _, f := range []*Frame{&first, &again, &later} {
		d.Decode(f, &p)
	}
	if p.SrcPort != 0 {
		t.Errorf("joined to port %d of the datagram before", p.SrcPort)
	}
}

// TestFragmentTableModel holds the table to a list that is searched from the
// newest, under random operations, and with any seed.
func TestFragmentTableModel(t *testing.T) {
	const entries, age = 50, 1000
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(7, 7)) // the same operations for each seed
		table := newFragmentTable(entries, age, seed*0x9e3779b97f4a7c15+1)
		type first struct {
			datagram
			port uint16
			at   flow.Time
		}
		var model []first // oldest first; a forgotten one keeps its place
		for now := flow.Time(0); now < 50_000; now += flow.Time(r.IntN(4)) {
			k := datagram{id: uint32(r.IntN(100)), version: 4, protocol: 17}
			p := flow.Packet{First: now + flow.Time(r.IntN(20))}
			if r.IntN(2) == 0 {
				p.SrcPort = uint16(1 + r.IntN(60_000))
				table.remember(&k, &p)
				for i := range model {
					if model[i].datagram == k {
						model[i].datagram = datagram{}
					}
				}
				model = append(model, first{k, p.SrcPort, p.First})
				model = model[max(0, len(model)-entries):]
				continue
			}
			want := uint16(0)
			for _, m := range model {
				if gone := p.First - m.at; m.datagram == k && gone <= age && gone >= -age {
					want = m.port
				}
			}
			if table.join(&k, &p); p.SrcPort != want {
				t.Fatalf("seed %d, time %d: joined to %d, want %d", seed, now, p.SrcPort, want)
			}
		}
	}
}
