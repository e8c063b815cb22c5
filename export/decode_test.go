package export

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"

	"cacheflow/cache/flow"
)

// collector decodes datagrams with goflow2's decoder, which shares no line with
// this package.
type collector struct {
	t         testing.TB
	templates netflow.NetFlowTemplateSystem
	messages  []decoded
}

// decoded is one datagram as the collector understood it.
type decoded struct {
	size     int
	version  uint16
	count    uint16 // v5, v9
	length   uint16 // IPFIX
	uptime   uint32 // v5, v9
	secs     uint32
	nsecs    uint32 // v5
	sequence uint32
	domain   uint32 // v9, IPFIX
	sets     []any
	v5       netflowlegacy.PacketNetFlowV5
}

func newCollector(t testing.TB) *collector {
	return &collector{t: t, templates: netflow.CreateTemplateSystem()}
}

// session returns a session whose messages the collector decodes. epoch is
// 2023-11-14 22:13:20 UTC.
func (c *collector) session(cfg Config) *Session {
	c.t.Helper()
	if cfg.Epoch == nil {
		cfg.Epoch = func() time.Time { return testEpoch }
	}
	s, err := NewSession(cfg, func(m *Message) {
		if len(m.Data) > cfg.MTU && cfg.MTU > 0 {
			c.t.Errorf("message of %d octets, MTU %d", len(m.Data), cfg.MTU)
		}
		c.receive(m.Data)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

var testEpoch = time.Unix(1_700_000_000, 0)

func (c *collector) receive(b []byte) {
	c.t.Helper()
	b = bytes.Clone(b)
	d := decoded{size: len(b), version: binary.BigEndian.Uint16(b)}
	var err error
	switch buf := bytes.NewBuffer(b); d.version {
	case 5:
		err = netflowlegacy.DecodeMessageVersion(buf, &d.v5)
		p := &d.v5
		d.count, d.uptime, d.secs, d.nsecs, d.sequence = p.Count, p.SysUptime, p.UnixSecs, p.UnixNSecs, p.FlowSequence
	case 9:
		var p netflow.NFv9Packet
		buf.Next(2)
		err = netflow.DecodeMessageNetFlow(buf, c.templates, &p)
		d.count, d.uptime, d.secs, d.sequence, d.domain, d.sets =
			p.Count, p.SystemUptime, p.UnixSeconds, p.SequenceNumber, p.SourceId, p.FlowSets
	case 10:
		var p netflow.IPFIXPacket
		buf.Next(2)
		err = netflow.DecodeMessageIPFIX(buf, c.templates, &p)
		d.length, d.secs, d.sequence, d.domain, d.sets =
			p.Length, p.ExportTime, p.SequenceNumber, p.ObservationDomainId, p.FlowSets
	default:
		c.t.Fatalf("version %d", d.version)
	}
	if err != nil {
		c.t.Fatalf("goflow2: %v\n%x", err, b)
	}
	c.messages = append(c.messages, d)
}

// values are a decoded Data Record: element id to octets. The ids of reverse elements
// have the enterprise bit.
type values map[uint16][]byte

func (v values) uint(id uint16) uint64 {
	n := uint64(0)
	for _, b := range v[id] {
		n = n<<8 | uint64(b)
	}
	return n
}

func (d *decoded) records() (rs []values) {
	for _, s := range d.sets {
		if set, ok := s.(netflow.DataFlowSet); ok {
			for _, r := range set.Records {
				rs = append(rs, fieldsOf(r.Values))
			}
		}
	}
	return rs
}

func (d *decoded) options() (rs []values) {
	for _, s := range d.sets {
		if set, ok := s.(netflow.OptionsDataFlowSet); ok {
			for _, r := range set.Records {
				rs = append(rs, fieldsOf(r.OptionsValues))
			}
		}
	}
	return rs
}

// templateIDs returns the ids that the datagram's templates define.
func (d *decoded) templateIDs() (ids []uint16) {
	for _, s := range d.sets {
		switch set := s.(type) {
		case netflow.TemplateFlowSet:
			for _, r := range set.Records {
				ids = append(ids, r.TemplateId)
			}
		case netflow.NFv9OptionsTemplateFlowSet:
			for _, r := range set.Records {
				ids = append(ids, r.TemplateId)
			}
		case netflow.IPFIXOptionsTemplateFlowSet:
			for _, r := range set.Records {
				ids = append(ids, r.TemplateId)
			}
		}
	}
	return ids
}

// firstTemplates returns the elements of the templates of the first message.
func (c *collector) firstTemplates() (all [][]uint16) {
	for _, s := range c.messages[0].sets {
		if set, ok := s.(netflow.TemplateFlowSet); ok {
			for _, r := range set.Records {
				var ids []uint16
				for _, f := range r.Fields {
					ids = append(ids, f.Type)
				}
				all = append(all, ids)
			}
		}
	}
	return all
}

func fieldsOf(fields []netflow.DataField) values {
	v := values{}
	for _, f := range fields {
		if f.PenProvided && f.Pen == 29305 {
			f.Type |= 0x8000
		}
		v[f.Type], _ = f.Value.([]byte)
	}
	return v
}

// all returns the data records of all datagrams.
func (c *collector) all() (rs []values) {
	for i := range c.messages {
		rs = append(rs, c.messages[i].records()...)
	}
	return rs
}

// sums adds up packets and octets over all datagrams, of any version.
func (c *collector) sums() (n Count) {
	for i := range c.messages {
		for _, r := range c.messages[i].v5.Records {
			n.add(Count{1, uint64(r.DPkts), uint64(r.DOctets)})
		}
		for _, r := range c.messages[i].records() {
			n.add(Count{1, r.uint(packetDeltaCount), r.uint(octetDeltaCount)})
		}
	}
	return n
}

// wantFields returns, for each element that a template for r should have, the
// octets that r demands. It is written from the element definitions of the IANA
// registry, not from the encoder.
func wantFields(p Protocol, r *flow.Record) map[uint16]any {
	ms := func(t flow.Time) uint64 { return uint64(testEpoch.UnixMilli() + int64(math.Floor(float64(t)/1e6))) }
	icmp := uint16(0)
	if r.IsICMP() {
		icmp = r.DstPort
	}
	fragment := byte(0)
	if r.Fragment {
		fragment = 0x20
	}
	w := map[uint16]any{
		1: r.Octets, 2: r.Packets, 4: r.Protocol, 5: r.ToS, 6: byte(r.TCPFlags), 7: r.SrcPort, 11: r.DstPort,
		10: r.Input, 14: r.Egress, 25: r.MinLength, 26: r.MaxLength, 52: r.MinTTL, 53: r.MaxTTL,
		56: r.SrcMAC, 80: r.DstMAC, 58: r.VLAN & 4095, 59: uint16(0), 245: r.CustomerVLAN & 4095,
		244: byte(r.VLAN >> 13), 246: byte(r.CustomerVLAN >> 13), 60: r.Version, 61: byte(r.Direction),
		70: r.MPLS[0], 71: r.MPLS[1], 72: r.MPLS[2], 202: r.MPLSDepth, 89: byte(r.Status), 136: byte(r.End),
		195: r.ToS >> 2, 197: fragment,
	}
	if r.Direction == flow.Egress {
		w[58], w[59] = w[59], w[58]
	}
	if p == IPFIX {
		w[152], w[153] = ms(r.First), ms(r.Last)
	} else {
		w[22], w[21] = uint32(r.First.Milliseconds()), uint32(r.Last.Milliseconds())
	}
	if r.Version == 4 {
		w[8], w[12], w[9], w[13], w[32] = r.Src[:4], r.Dst[:4], r.SrcPrefixLen, r.DstPrefixLen, icmp
	} else {
		w[27], w[28], w[29], w[30], w[139] = r.Src[:], r.Dst[:], r.SrcPrefixLen, r.DstPrefixLen, icmp
		w[31] = r.FlowLabel
		if p == NetFlow9 {
			delete(w, 139)
			w[32] = icmp
			w[31] = []byte{byte(r.FlowLabel >> 16), byte(r.FlowLabel >> 8), byte(r.FlowLabel)}
		}
	}
	if r.Version == 6 || r.NextHopVersion == 6 {
		w[62] = r.NextHop
	} else {
		w[15] = r.NextHop[:4]
	}
	return w
}

// compare checks a decoded record against what r demands, in both directions.
func compare(t testing.TB, p Protocol, r *flow.Record, got values) {
	t.Helper()
	want := wantFields(p, r)
	for id, w := range want {
		b, err := binary.Append(nil, binary.BigEndian, w)
		if err != nil {
			t.Fatal(err)
		}
		if e, _ := ElementByID(id); !bytes.Equal(got[id], b) {
			t.Errorf("%v: %s (%d) = %x, want %x", p, e.Name, id, got[id], b)
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			t.Errorf("%v: unexpected element %d", p, id)
		}
	}
}

// compare5 is compare for NetFlow v5 and an unsplit record.
func compare5(t testing.TB, r *flow.Record, got netflowlegacy.RecordsNetFlowV5) {
	t.Helper()
	addr := func(a []byte) netflowlegacy.IPAddress {
		return netflowlegacy.IPAddress(binary.BigEndian.Uint32(a))
	}
	want := netflowlegacy.RecordsNetFlowV5{
		SrcAddr: addr(r.Src[:]), DstAddr: addr(r.Dst[:]),
		DPkts: uint32(r.Packets), DOctets: uint32(r.Octets),
		First: uint32(r.First.Milliseconds()), Last: uint32(r.Last.Milliseconds()),
		SrcPort: r.SrcPort, DstPort: r.DstPort, TCPFlags: byte(r.TCPFlags), Proto: r.Protocol, Tos: r.ToS,
		SrcMask: r.SrcPrefixLen, DstMask: r.DstPrefixLen,
		SrcAS: 64500, DstAS: 23456, // AS_TRANS (RFC 6793 §9)
	}
	if r.Input < 1<<16 {
		want.Input = uint16(r.Input)
	}
	if r.Egress < 1<<16 {
		want.Output = uint16(r.Egress)
	}
	if r.NextHopVersion == 4 {
		want.NextHop = addr(r.NextHop[:])
	}
	if got != want {
		t.Errorf("netflow5: got %+v\nwant %+v", got, want)
	}
}
