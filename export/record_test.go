package export

import (
	"math/rand/v2"

	"cacheflow/cache/flow"
)

// record4 is a TCP flow with a distinct value in every field.
func record4() flow.Record {
	return flow.Record{
		Packet: flow.Packet{
			Key: flow.Key{
				Src: [16]byte{192, 0, 2, 1}, Dst: [16]byte{198, 51, 100, 2}, SrcPort: 40000, DstPort: 443,
				Input: 3, Protocol: flow.ProtocolTCP, ToS: 0xb8, Version: 4, Direction: flow.Egress,
			},
			TCPFlags: flow.SYN | flow.ACK | flow.FIN | flow.NS, MinTTL: 57, MaxTTL: 64,
			Packets: 1234, Octets: 987654, First: 3_600_000_000_000, Last: 3_612_345_678_901,
			MinLength: 40, MaxLength: 1500,
			SrcMAC: [6]byte{2, 0, 0, 0, 0, 1}, DstMAC: [6]byte{2, 0, 0, 0, 0, 2},
			VLAN: 5<<13 | 100, CustomerVLAN: 3<<13 | 1<<12 | 200,
			MPLS:      [3][3]byte{{0x12, 0x34, 0x50}, {0x23, 0x45, 0x62}, {0x34, 0x56, 0x71}},
			MPLSDepth: 4, Fragment: true, Egress: 70000,
		},
		Route: flow.Route{
			NextHop: [16]byte{203, 0, 113, 9}, NextHopVersion: 4,
			SrcPrefixLen: 24, DstPrefixLen: 16, Status: flow.Forwarded,
		},
		End: flow.EndOfFlow, Expired: 3_613_500_000_000, SrcAS: 64500, DstAS: 65550,
	}
}

// record6 is an ICMPv6 flow.
func record6() flow.Record {
	r := record4()
	r.Version, r.Protocol = 6, flow.ProtocolICMPv6
	r.Src = [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}
	r.Dst = [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 2}
	r.SrcPort, r.DstPort = 0, 128<<8
	r.TCPFlags, r.FlowLabel = 0, 0xabcde
	r.NextHop, r.NextHopVersion = [16]byte{0xfe, 0x80, 15: 9}, 6
	r.SrcPrefixLen, r.DstPrefixLen = 64, 48
	return r
}

// record4via6 is an IPv4 flow over an IPv6 gateway.
func record4via6() flow.Record {
	r := record4()
	r.NextHop, r.NextHopVersion = [16]byte{0xfe, 0x80, 15: 7}, 6
	return r
}

// randomRecord draws every field. Counters reach beyond 32 bits now and then,
// and times lie within a day.
func randomRecord(rnd *rand.Rand) flow.Record {
	r := record4()
	switch rnd.IntN(4) {
	case 0:
		r = record6()
	case 1:
		r = record4via6()
	}
	for i := range r.Src[:4] {
		r.Src[i], r.Dst[i] = byte(rnd.Uint32()), byte(rnd.Uint32())
	}
	r.Protocol = byte(rnd.Uint32())
	r.SrcPort, r.DstPort = uint16(rnd.Uint32()), uint16(rnd.Uint32())
	if r.IsICMP() {
		r.SrcPort = 0
	}
	r.ToS, r.TCPFlags = byte(rnd.Uint32()), uint16(rnd.Uint32N(1<<9))
	r.Input, r.Egress = rnd.Uint32()>>rnd.IntN(32), rnd.Uint32()>>rnd.IntN(32)
	r.Packets, r.Octets = rnd.Uint64()>>(24+rnd.IntN(40)), rnd.Uint64()>>(24+rnd.IntN(40))
	r.First = flow.Time(rnd.Int64N(86400e9))
	r.Last = r.First + flow.Time(rnd.Int64N(1800e9))
	r.Expired = r.Last + flow.Time(rnd.Int64N(15e9))
	r.MinLength, r.MaxLength = rnd.Uint32N(70000), rnd.Uint32N(70000)
	r.VLAN, r.CustomerVLAN = uint16(rnd.Uint32()), uint16(rnd.Uint32())
	r.FlowLabel = rnd.Uint32N(1 << 20)
	r.Fragment = rnd.IntN(2) == 0
	r.End = flow.EndReason(1 + rnd.IntN(5))
	r.Direction = flow.Direction(rnd.IntN(2))
	return r
}

// noOptions announces nothing besides flows.
var noOptions = OptionIntervals{Off, Off, Off, Off, Off}
