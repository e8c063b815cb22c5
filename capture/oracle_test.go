package capture

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"cacheflow/cache/flow"
)

// opaque stops gopacket behind the transport header: its decoders of what
// follows are not our concern, and some allocate what a packet tells them.
func opaque() {
	for port := range 1 << 16 {
		layers.RegisterUDPPortLayerType(layers.UDPPort(port), gopacket.LayerTypePayload)
		layers.RegisterTCPPortLayerType(layers.TCPPort(port), gopacket.LayerTypePayload)
	}
}

// oracle is what gopacket says about a frame.
type oracle struct {
	flow.Packet
	ip        bool // it found a readable IP header behind a link header that we read as well
	protocol  bool // it knows the protocol behind all extension headers
	transport bool // it read the transport header
	tags      int
	next      layers.EthernetType // behind Ethernet or the last tag
	overlong  bool                // it reads behind the packet's end, which it does behind hop-by-hop options
}

var gopacketLinks = map[LinkType]gopacket.Decoder{
	LinkEthernet: layers.LinkTypeEthernet,
	LinkSLL:      layers.LinkTypeLinuxSLL,
	LinkNull:     layers.LinkTypeNull,
	LinkPPP:      layers.LayerTypePPP,
}

// ask reads data with gopacket, up to the outermost packet's transport header.
func ask(link LinkType, data []byte) (o oracle) {
	var first gopacket.Decoder
	switch {
	case link == LinkRaw && len(data) > 0 && data[0]>>4 == 6:
		first = layers.LayerTypeIPv6
	case link == LinkRaw:
		first = layers.LayerTypeIPv4
	default:
		first = gopacketLinks[link]
	}
	if first == nil {
		return o
	}
	for _, l := range gopacket.NewPacket(data, first, gopacket.NoCopy).Layers() {
		if !o.add(l) {
			break
		}
	}
	return o
}

// add takes one layer in. It returns false behind the last that is of interest.
func (o *oracle) add(l gopacket.Layer) bool {
	if len(l.LayerContents()) == 0 {
		return false // gopacket could not read it
	}
	if o.ip {
		return o.extension(l)
	}
	switch l := l.(type) {
	case *layers.Ethernet:
		copy(o.SrcMAC[:], l.SrcMAC)
		copy(o.DstMAC[:], l.DstMAC)
		o.next = l.EthernetType
		return l.Length == 0 // SNAP: gopacket cuts it at that length
	case *layers.LinuxSLL:
		if l.AddrLen == 6 {
			copy(o.SrcMAC[:], l.Addr)
		}
	case *layers.Dot1Q:
		switch o.tags++; o.tags {
		case 1:
			o.VLAN = binary.BigEndian.Uint16(l.Contents)
		case 2:
			o.CustomerVLAN = binary.BigEndian.Uint16(l.Contents)
		}
		o.next = l.Type
	case *layers.MPLS:
		if o.MPLSDepth < 3 {
			o.MPLS[o.MPLSDepth] = [3]byte(l.Contents)
		}
		o.MPLSDepth++
	case *layers.PPPoE:
		// gopacket reads on, whatever these say.
		return o.next == layers.EthernetTypePPPoESession && l.Version == 1 && l.Type == 1 && l.Code == layers.PPPoECodeSession
	case *layers.Loopback, *layers.PPP:
	case *layers.IPv4:
		o.ipv4(l)
		return o.ip
	case *layers.IPv6:
		o.ipv6(l)
		return o.ip
	default:
		return false
	}
	return true
}

func (o *oracle) ipv4(l *layers.IPv4) {
	// gopacket reports these headers along with its complaint.
	readable := l.IHL >= 5 && l.Length >= ipv4Length && uint16(l.IHL)*4 <= l.Length
	o.ip, o.Version = l.Version == 4 && readable, 4
	copy(o.Src[:], l.SrcIP)
	copy(o.Dst[:], l.DstIP)
	o.Protocol, o.ToS, o.MinTTL = uint8(l.Protocol), l.TOS, l.TTL
	o.Octets = uint64(l.Length)
	o.Fragment = l.FragOffset != 0 || l.Flags&layers.IPv4MoreFragments != 0
	o.protocol = true
}

func (o *oracle) ipv6(l *layers.IPv6) {
	o.ip, o.Version = l.Version == 6, 6
	o.Src, o.Dst = [16]byte(l.SrcIP), [16]byte(l.DstIP)
	o.Protocol, o.ToS, o.MinTTL, o.FlowLabel = uint8(l.NextHeader), l.TrafficClass, l.HopLimit, l.FlowLabel
	if l.Length != 0 || l.NextHeader == layers.IPProtocolNoNextHeader {
		o.Octets = ipv6Length + uint64(l.Length)
	}
	o.protocol = !isExtension(o.Protocol)
	o.overlong = l.HopByHop != nil && l.HopByHop.ActualLength+len(l.Payload) > int(l.Length)
}

// extension takes in a layer behind the IP header.
func (o *oracle) extension(l gopacket.Layer) bool {
	next := func(p layers.IPProtocol) bool {
		o.Protocol = uint8(p)
		o.protocol = !isExtension(o.Protocol)
		return true
	}
	if o.Version == 4 && isExtension(o.Protocol) {
		return false // there it is a protocol, of which gopacket reads more
	}
	switch l := l.(type) {
	case *layers.IPv6HopByHop:
		return next(l.NextHeader)
	case *layers.IPv6Routing:
		return next(l.NextHeader)
	case *layers.IPv6Destination:
		return next(l.NextHeader)
	case *layers.IPSecAH:
		return next(l.NextHeader)
	case *layers.IPv6Fragment: // gopacket reads no further
		o.Fragment = l.FragmentOffset != 0 || l.MoreFragments
		o.protocol = false
	case *layers.TCP:
		o.SrcPort, o.DstPort, o.transport = uint16(l.SrcPort), uint16(l.DstPort), true
		o.TCPFlags = binary.BigEndian.Uint16(l.Contents[12:]) & controlBits
	case *layers.UDP:
		o.SrcPort, o.DstPort, o.transport = uint16(l.SrcPort), uint16(l.DstPort), true
	case *layers.UDPLite:
		o.SrcPort, o.DstPort, o.transport = uint16(l.SrcPort), uint16(l.DstPort), true
	case *layers.SCTP:
		o.SrcPort, o.DstPort, o.transport = uint16(l.SrcPort), uint16(l.DstPort), true
	case *layers.ICMPv4:
		o.DstPort, o.transport = uint16(l.TypeCode), o.Version == 4
	case *layers.ICMPv6:
		o.DstPort, o.transport = uint16(l.TypeCode), o.Version == 6
	}
	return false
}

// TestOracle compares the decoder with gopacket over the corpus and mutations
// of it: wherever gopacket finds an IP packet, the two agree.
func TestOracle(t *testing.T) {
	opaque()
	r := rand.New(rand.NewPCG(3, 4))
	d := NewDecoder(DecoderOptions{KeepFragmentsApart: true})
	var asked, found, transports int
	for _, file := range corpus(t) {
		for _, f := range file.frames {
			for i := range 120 {
				data := append([]byte{}, f.data...)
				if i > 0 {
					mutate(r, data)
				}
				n := len(data)
				if i > 80 {
					n = r.IntN(n + 1)
				}
				data = data[:n:n] // gopacket reads on into the capacity
				o := ask(file.link, data)
				asked++
				if !o.ip {
					continue
				}
				found++
				if o.transport {
					transports++
				}
				compareOracle(t, d, &o, Frame{Data: data, Wire: len(data), Link: file.link})
				if t.Failed() {
					t.Fatalf("%s, %s: %x", file.name, f.what, data)
				}
			}
		}
	}
	t.Logf("gopacket found IP in %d of %d frames, and %d transport headers", found, asked, transports)
	if found < asked/2 || transports < asked/10 {
		t.Errorf("gopacket found IP in %d of %d frames, and %d transport headers: too few to compare", found, asked, transports)
	}
}

// mutate changes up to three octets, more often those in front.
func mutate(r *rand.Rand, data []byte) {
	for range 1 + r.IntN(3) {
		if len(data) > 0 {
			data[r.IntN(1+r.IntN(len(data)))] = byte(r.Uint32())
		}
	}
}

func compareOracle(t *testing.T, d *Decoder, o *oracle, f Frame) {
	t.Helper()
	var p flow.Packet
	if reason := d.Decode(&f, &p); reason != Decoded {
		// gopacket knows no bounds, and an MPLS payload by its first octet.
		if reason != TooManyTags && reason != TooManyLabels {
			t.Errorf("%v, but gopacket reads %s", reason, describe(Decoded, &o.Packet))
		}
		return
	}
	want := o.Packet
	// What the frame does not hold is not counted; 0 is all that it holds.
	if room := uint64(p.MaxLength); want.Octets > room || want.Octets == 0 {
		want.Octets = room
	}
	want.MaxTTL = want.MinTTL
	want.Packets, want.MinLength, want.MaxLength = 1, uint32(want.Octets), uint32(want.Octets)
	if !o.protocol || o.overlong {
		want.Protocol = p.Protocol
		want.Fragment = want.Fragment || p.Fragment // by a header that gopacket does not reach
	}
	if !o.transport || o.overlong {
		want.SrcPort, want.DstPort, want.TCPFlags = p.SrcPort, p.DstPort, p.TCPFlags
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-gopacket +ours):\n%s", diff)
	}
}
