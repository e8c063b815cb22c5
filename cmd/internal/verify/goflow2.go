package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"

	"cacheflow/cmd/internal/manifest"
)

// goflow2Object is a line of goflow2's JSON, in the names of its version 2.
type goflow2Object struct {
	Sampler  netip.Addr      `json:"sampler_address"`
	Start    int64           `json:"time_flow_start_ns"`
	End      int64           `json:"time_flow_end_ns"`
	Octets   uint64          `json:"bytes"`
	Packets  uint64          `json:"packets"`
	Src      netip.Addr      `json:"src_addr"`
	Dst      netip.Addr      `json:"dst_addr"`
	Protocol json.RawMessage `json:"proto"` // a name, or a number where it has none
	SrcPort  uint16          `json:"src_port"`
	DstPort  uint16          `json:"dst_port"` // of ICMP too; icmp_type stays 0 in NetFlow v5
	Input    uint32          `json:"in_if"`
	Output   uint32          `json:"out_if"`
	SrcAS    uint32          `json:"src_as"`
	DstAS    uint32          `json:"dst_as"`
	ToS      uint8           `json:"ip_tos"`
	TCPFlags uint16          `json:"tcp_flags"`
	Domain   *uint32         `json:"observation_domain_id"`
}

func (s *Stored) goflow2(in io.Reader, who *exporters) error {
	s.Format = "goflow2's JSON"
	d := json.NewDecoder(in)
	for {
		var o goflow2Object
		err := d.Decode(&o)
		if err == io.EOF {
			return nil
		}
		var m manifest.Record
		if err == nil {
			m, err = o.record()
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", len(s.Records)+1, err)
		}
		from := origin{address: o.Sampler}
		if o.Domain != nil && *o.Domain != 0 { // 0 is that of NetFlow v5, which has none there
			from.domain, from.hasDomain = *o.Domain, true
		}
		s.add(m, who, from)
	}
}

func (o *goflow2Object) record() (m manifest.Record, err error) {
	m = manifest.Record{
		Src: o.Src, Dst: o.Dst, SrcPort: o.SrcPort, DstPort: o.DstPort, ToS: o.ToS, TCPFlags: o.TCPFlags,
		Input: o.Input, Output: o.Output, Packets: o.Packets, Octets: o.Octets, SrcAS: o.SrcAS, DstAS: o.DstAS,
		Start: o.Start / int64(time.Millisecond), End: o.End / int64(time.Millisecond),
	}
	var name string
	if json.Unmarshal(o.Protocol, &name) != nil {
		name = string(o.Protocol)
	}
	m.Protocol, err = protocolNumber(name)
	return m, err
}
