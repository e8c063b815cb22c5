package manifest

import (
	"net/netip"
	"strconv"
)

// appendDatagram appends d as a line.
func appendDatagram(b []byte, d *Datagram) []byte {
	b = strconv.AppendUint(append(b, `{"datagram":`...), d.Number, 10)
	b = strconv.AppendUint(append(b, `,"exporter":`...), uint64(d.Exporter), 10)
	b = strconv.AppendUint(append(b, `,"sequence":`...), uint64(d.Sequence), 10)
	b = strconv.AppendInt(append(b, `,"time":`...), d.Time, 10)
	b = strconv.AppendInt(append(b, `,"octets":`...), int64(d.Octets), 10)
	b = strconv.AppendInt(append(b, `,"records":`...), int64(d.Records), 10)
	if d.Fault != "" {
		b = append(append(append(b, `,"fault":"`...), d.Fault...), '"')
	}
	if d.Templates != "" {
		b = append(append(append(b, `,"templates":"`...), d.Templates...), '"')
	}
	return append(b, "}\n"...)
}

// appendRecord appends r as a line.
func appendRecord(b []byte, r *Record) []byte {
	b = append(b, '[')
	b = appendNumber(b, uint64(r.Exporter))
	b = appendNumber(b, r.Datagram)
	b = appendAddress(b, r.Src)
	b = appendAddress(b, r.Dst)
	b = appendNumber(b, uint64(r.SrcPort))
	b = appendNumber(b, uint64(r.DstPort))
	b = appendNumber(b, uint64(r.Protocol))
	b = appendNumber(b, uint64(r.ToS))
	b = appendNumber(b, uint64(r.TCPFlags))
	b = appendNumber(b, uint64(r.Input))
	b = appendNumber(b, uint64(r.Output))
	b = appendNumber(b, r.Packets)
	b = appendNumber(b, r.Octets)
	b = append(strconv.AppendInt(b, r.Start, 10), ',')
	b = append(strconv.AppendInt(b, r.End, 10), ',')
	b = appendAddress(b, r.NextHop)
	b = appendNumber(b, uint64(r.SrcPrefixLen))
	b = appendNumber(b, uint64(r.DstPrefixLen))
	b = appendNumber(b, uint64(r.SrcAS))
	b = appendNumber(b, uint64(r.DstAS))
	b = strconv.AppendUint(b, uint64(r.Reason), 10)
	if r.Changed != "" {
		b = append(append(append(b, `,"`...), r.Changed...), '"')
	}
	if r.Undecodable != "" {
		b = append(append(append(b, `,"`...), r.Undecodable...), '"')
	}
	return append(b, "]\n"...)
}

func appendNumber(b []byte, n uint64) []byte { return append(strconv.AppendUint(b, n, 10), ',') }

// appendAddress appends "" for the zero Addr.
func appendAddress(b []byte, a netip.Addr) []byte {
	b = append(b, '"')
	if a.IsValid() {
		b = a.AppendTo(b)
	}
	return append(b, `",`...)
}
