package verify

import (
	"io"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/cmd/internal/recordfile"
	"cacheflow/cmd/internal/render"
)

// own reads lines of JSON as listen and replay print them, or an IPFIX file.
func (s *Stored) own(path string, who *exporters) error {
	f, err := recordfile.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	s.Format = "JSON lines"
	for err == nil {
		err = f.Next(func(r *collector.Record) {
			if r.Version != 0 {
				s.Format = "IPFIX"
			}
			s.decoded(r, who, origin{domain: r.Domain, hasDomain: r.Version != 0})
		})
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// decoded takes a record, unless it is one of options.
func (s *Stored) decoded(r *collector.Record, who *exporters, o origin) {
	if !r.Options {
		s.add(record(r), who, o)
	}
}

func record(r *collector.Record) manifest.Record {
	const ipClassOfService, bgpSourceAsNumber, bgpDestinationAsNumber = 5, 16, 17
	row := r.Row()
	return manifest.Record{
		Src: row.Src, Dst: row.Dst, SrcPort: row.SrcPort, DstPort: row.DstPort, Protocol: row.Protocol,
		ToS: uint8(render.Uint(r.Get(ipClassOfService))), TCPFlags: row.TCPFlags, Input: row.Input, Output: row.Output,
		Packets: row.Packets, Octets: row.Octets, Start: row.Start, End: row.End,
		SrcAS: uint32(render.Uint(r.Get(bgpSourceAsNumber))), DstAS: uint32(render.Uint(r.Get(bgpDestinationAsNumber))),
	}
}
