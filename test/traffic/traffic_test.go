package traffic

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// TestTruth has gopacket read a file and sum it up.
func TestTruth(t *testing.T) {
	for name, s := range map[string]Spec{
		"lifelike mix": {Packets: 20_000, Flows: 900, Zipf: 1.1, IPv6: 20, Lifelike: true, Seed: 7, Interval: 500 * time.Microsecond},
		"uniform":      {Packets: 5_000, Flows: 5_000, Size: 60},
		"in turn":      {Packets: 5_000, Flows: 5_000, InTurn: true, Size: 1514, IPv6: 100},
		"one flow":     {Packets: 10, Size: 74, Snap: 54},
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			truth, err := Write(&file, s)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, &file, s.Snap == 0); got != truth {
				t.Errorf("gopacket sums up %+v, the generator %+v", got, truth)
			}
			if truth.Total().Packets != uint64(s.Packets) {
				t.Errorf("%d packets of %d", truth.Total().Packets, s.Packets)
			}
			if s.InTurn && truth.Total().Flows != uint64(s.Flows) {
				t.Errorf("%d flows of %d", truth.Total().Flows, s.Flows)
			}
		})
	}
}

type identity struct {
	net, transport gopacket.Flow
	tos            uint8
}

func read(t *testing.T, r io.Reader, whole bool) (truth Truth) {
	file, err := pcapgo.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[identity]bool{}
	for {
		data, _, err := file.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return truth
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.NoCopy)
		if whole {
			verify(t, p)
		}
		id := identity{net: p.NetworkLayer().NetworkFlow(), transport: p.TransportLayer().TransportFlow()}
		sum := &truth.IPv4
		switch ip := p.NetworkLayer().(type) {
		case *layers.IPv4:
			sum.Octets += uint64(ip.Length)
			id.tos = ip.TOS
		case *layers.IPv6:
			sum = &truth.IPv6
			sum.Octets += uint64(ip.Length) + 40
			id.tos = ip.TrafficClass
		}
		sum.Packets++
		if !seen[id] {
			seen[id] = true
			sum.Flows++
		}
	}
}

// verify compares the frame with gopacket's serialisation of what it decoded,
// which computes lengths and checksums anew.
func verify(t *testing.T, p gopacket.Packet) {
	t.Helper()
	var all []gopacket.SerializableLayer
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.TCP:
			l.SetNetworkLayerForChecksum(p.NetworkLayer())
		case *layers.UDP:
			l.SetNetworkLayerForChecksum(p.NetworkLayer())
			all = append(all, l, gopacket.Payload(l.Payload))
			continue
		}
		if s, ok := l.(gopacket.SerializableLayer); ok && (len(all) == 0 || all[len(all)-1].LayerType() != gopacket.LayerTypePayload) {
			all = append(all, s)
		}
	}
	out := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), p.Data()) {
		t.Fatalf("made\n%x\ngopacket would\n%x", p.Data(), out.Bytes())
	}
}

func TestSameSpecSameOctets(t *testing.T) {
	s := Spec{Packets: 2_000, Flows: 300, Zipf: 1.2, IPv6: 50, Lifelike: true, Seed: 3, Interval: time.Millisecond}
	var a, b, c bytes.Buffer
	for _, w := range []*bytes.Buffer{&a, &b} {
		if _, err := Write(w, s); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two files of one Spec differ")
	}
	s.Seed++
	if _, err := Write(&c, s); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Error("files of two seeds are the same")
	}
}

func TestRefusesWhatItCannotMake(t *testing.T) {
	for _, s := range []Spec{{Flows: -1}, {Flows: MaxFlows + 1}, {Zipf: 1}, {Size: 59}, {Size: 1 << 17}, {IPv6: 101}} {
		if _, err := New(s); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	g, err := New(Spec{Flows: 1000, Zipf: 1.1, IPv6: 20, Lifelike: true})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 0, maxFrame)
	if n := testing.AllocsPerRun(1000, func() { b = g.Next(b[:0]) }); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkNext(b *testing.B) {
	g, err := New(Spec{Flows: 500_000, Zipf: 1.1, IPv6: 20, Lifelike: true})
	if err != nil {
		b.Fatal(err)
	}
	frame := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		frame = g.Next(frame[:0])
	}
}
