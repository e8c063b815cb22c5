package export

import (
	"encoding/binary"
	"testing"

	"cacheflow/cache/flow"
)

// FuzzEncodeDecode: whatever stands in records, goflow2 decodes what was put
// in, and packets and octets add up.
func FuzzEncodeDecode(f *testing.F) {
	f.Add(uint8(5), uint16(1400), []byte{4, 6, 4, 6})
	f.Add(uint8(9), uint16(256), []byte("an octet chooses where the others go, and these are they"))
	f.Add(uint8(10), uint16(1500), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, version uint8, mtu uint16, data []byte) {
		p := []Protocol{NetFlow5, NetFlow9, IPFIX}[version%3]
		c := newCollector(t)
		cfg := Config{Protocol: p, MTU: MinMTU + int(mtu)%2000}
		s := c.session(cfg)
		var now flow.Time
		var sent []flow.Record
		want := Count{}
		for len(data) > 0 && len(sent) < 100 {
			r := fuzzRecord(&data)
			now = max(now, r.Expired)
			s.Tick(now)
			why := s.Append(&r, now)
			if (why == None) != (r.Version == 4 || r.Version == 6 && p != NetFlow5) {
				t.Fatalf("version %d: %v", r.Version, why)
			}
			if why == None {
				sent = append(sent, r)
				want.add(Count{1, r.Packets, r.Octets})
			}
		}
		s.Flush(now)
		got := c.sums()
		if got.Records -= s.Splits(); got != want {
			t.Fatalf("decoded %+v, want %+v", got, want)
		}
		if p != NetFlow5 {
			for i, v := range c.all() {
				compare(t, p, &sent[i], v)
			}
		}
	})
}

// fuzzRecord eats up to 64 octets of data, and spreads them over a record.
func fuzzRecord(data *[]byte) flow.Record {
	var b [64]byte
	*data = (*data)[copy(b[:], *data):]
	r := record4()
	switch b[0] & 3 {
	case 0:
		r = record6()
	case 1:
		r = record4via6()
	case 2:
		r.Version = b[0]
	}
	copy(r.Src[:4], b[1:])
	copy(r.Dst[:4], b[3:])
	u := binary.BigEndian.Uint64
	r.Packets, r.Octets = u(b[8:])>>30, u(b[16:])>>28
	r.First, r.Last = flow.Time(u(b[24:])>>12), flow.Time(u(b[32:])>>12)
	r.Expired = r.Last
	r.SrcPort, r.DstPort = uint16(b[40])<<8, uint16(b[41])
	r.Protocol, r.ToS, r.TCPFlags = b[42], b[43], uint16(b[44])<<1
	r.Input, r.Egress = uint32(u(b[45:])), uint32(u(b[49:]))
	r.VLAN, r.CustomerVLAN = uint16(u(b[53:])), uint16(u(b[54:]))
	r.End, r.Status = flow.EndReason(b[62]), flow.ForwardingStatus(b[63])
	return r
}
