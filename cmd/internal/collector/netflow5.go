package collector

import (
	"bytes"

	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"

	"cacheflow/cmd/internal/render"
)

// A field5 is a field of a NetFlow v5 record as the element it corresponds to.
type field5 struct {
	*render.Element
	size  int
	value func(r *netflowlegacy.RecordsNetFlowV5, m *message) uint64
}

type flow5 = netflowlegacy.RecordsNetFlowV5

// fields5 are in the order of a line.
var fields5 = [...]field5{
	{render.ElementByID(8), 4, func(r *flow5, _ *message) uint64 { return uint64(r.SrcAddr) }},
	{render.ElementByID(12), 4, func(r *flow5, _ *message) uint64 { return uint64(r.DstAddr) }},
	{render.ElementByID(7), 2, func(r *flow5, _ *message) uint64 { return uint64(r.SrcPort) }},
	{render.ElementByID(11), 2, func(r *flow5, _ *message) uint64 { return uint64(r.DstPort) }},
	{render.ElementByID(4), 1, func(r *flow5, _ *message) uint64 { return uint64(r.Proto) }},
	{render.ElementByID(5), 1, func(r *flow5, _ *message) uint64 { return uint64(r.Tos) }},
	{render.ElementByID(6), 1, func(r *flow5, _ *message) uint64 { return uint64(r.TCPFlags) }},
	{render.ElementByID(10), 2, func(r *flow5, _ *message) uint64 { return uint64(r.Input) }},
	{render.ElementByID(14), 2, func(r *flow5, _ *message) uint64 { return uint64(r.Output) }},
	{render.ElementByID(2), 4, func(r *flow5, _ *message) uint64 { return uint64(r.DPkts) }},
	{render.ElementByID(1), 4, func(r *flow5, _ *message) uint64 { return uint64(r.DOctets) }},
	{render.ElementByID(152), 8, func(r *flow5, m *message) uint64 { return uint64(max(0, m.wall(r.First))) }},
	{render.ElementByID(153), 8, func(r *flow5, m *message) uint64 { return uint64(max(0, m.wall(r.Last))) }},
	{render.ElementByID(15), 4, func(r *flow5, _ *message) uint64 { return uint64(r.NextHop) }},
	{render.ElementByID(9), 1, func(r *flow5, _ *message) uint64 { return uint64(r.SrcMask) }},
	{render.ElementByID(13), 1, func(r *flow5, _ *message) uint64 { return uint64(r.DstMask) }},
	{render.ElementByID(16), 2, func(r *flow5, _ *message) uint64 { return uint64(r.SrcAS) }},
	{render.ElementByID(17), 2, func(r *flow5, _ *message) uint64 { return uint64(r.DstAS) }},
}

// records5 takes the records of a v5 datagram, whose length has been checked.
func (d *decoding) records5(datagram []byte) {
	var packet netflowlegacy.PacketNetFlowV5
	if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(datagram), &packet); err != nil {
		d.found(Other)
		return
	}
	r := &d.record
	r.Template, r.Options = 0, false
	d.session.sampling = d.message.sampling
	for i := range packet.Records {
		d.units++
		d.stats.Records++
		d.fields5(&packet.Records[i])
		d.emit(r)
	}
}

func (d *decoding) fields5(f *flow5) {
	r := &d.record
	r.Fields, r.raw = r.Fields[:0], r.raw[:0]
	for i := range fields5 {
		r.raw = be.AppendUint64(r.raw, fields5[i].value(f, &d.message))
		value := r.raw[len(r.raw)-fields5[i].size:]
		field := render.Field{Element: fields5[i].Element, Value: value}
		if !field.Omitted(4, f.Proto) {
			r.Fields = append(r.Fields, field)
		}
	}
}
