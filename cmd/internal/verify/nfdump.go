package verify

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/manifest"
)

// nfdump prints times as the local time of whoever calls it, without a zone.
const (
	nfdumpSeconds      = "2006-01-02 15:04:05"
	nfdumpMilliseconds = "2006-01-02T15:04:05.000"
)

// row is a line of nfdump's CSV, up to the first error.
type row struct {
	columns map[string]int
	values  []string
	err     error
}

func (r *row) text(name string) string {
	if i, ok := r.columns[name]; ok && i < len(r.values) {
		return strings.TrimSpace(r.values[i])
	}
	if r.err == nil {
		r.err = fmt.Errorf("no column %q", name)
	}
	return ""
}

func (r *row) number(name string, bits int) uint64 {
	n, err := strconv.ParseUint(r.text(name), 10, bits)
	r.fail(err)
	return n
}

func (r *row) address(name string) netip.Addr {
	a, err := netip.ParseAddr(r.text(name))
	r.fail(err)
	return a
}

func (r *row) time(name string) int64 {
	t, err := time.ParseInLocation(nfdumpSeconds, r.text(name), time.Local)
	r.fail(err)
	return t.UnixMilli()
}

func (r *row) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// nfdumpCSV reads the output of nfdump -o csv.
func (s *Stored) nfdumpCSV(in io.Reader, who *exporters) error {
	s.Format, s.Shows.Seconds = "nfdump's CSV", true
	lines := csv.NewReader(in)
	lines.FieldsPerRecord, lines.ReuseRecord = -1, true
	names, err := lines.Read()
	if err != nil {
		return err
	}
	r := row{columns: map[string]int{}}
	for i, name := range names {
		r.columns[name] = i
	}
	for {
		r.values, err = lines.Read()
		if err == io.EOF || len(r.values) == 1 { // the line Summary
			return nil
		}
		if err != nil {
			return err
		}
		record, from := r.record()
		if r.err != nil {
			line, _ := lines.FieldPos(0)
			return fmt.Errorf("line %d: %w", line, r.err)
		}
		s.add(record, who, from)
	}
}

func (r *row) record() (m manifest.Record, from origin) {
	m = manifest.Record{
		Src: r.address("sa"), Dst: r.address("da"), SrcPort: uint16(r.number("sp", 16)), DstPort: nfdumpPort(r.text("dp")),
		ToS: uint8(r.number("stos", 8)), TCPFlags: nfdumpFlags(r.text("flg")), Input: uint32(r.number("in", 32)), Output: uint32(r.number("out", 32)),
		Packets: r.number("ipkt", 64), Octets: r.number("ibyt", 64), Start: r.time("ts"), End: r.time("te"),
		SrcAS: uint32(r.number("sas", 32)), DstAS: uint32(r.number("das", 32)),
	}
	var err error
	m.Protocol, err = protocolNumber(r.text("pr"))
	r.fail(err)
	from.address, _ = netip.ParseAddr(r.text("ra")) // 0.0.0.0 where nfcapd did not store it
	if from.address.IsUnspecified() {
		from.address = netip.Addr{}
	}
	// An engine's type and id, or 16 bits of the Source ID.
	kind, id, ok := strings.Cut(r.text("eng"), "/")
	high, err := strconv.ParseUint(kind, 10, 8)
	low, err2 := strconv.ParseUint(id, 10, 8)
	from.domain, from.hasDomain = uint32(high<<8|low), ok && err == nil && err2 == nil && high|low != 0
	return m, from
}

// nfdumpPort reads a port, which some versions print as type.code for ICMP.
func nfdumpPort(text string) uint16 {
	kind, code, isICMP := strings.Cut(text, ".")
	n, _ := strconv.ParseUint(kind, 10, 16)
	if c, err := strconv.ParseUint(code, 10, 8); isICMP && err == nil {
		n = n<<8 | c
	}
	return uint16(n)
}

// nfdumpFlags reads eight letters, the highest bit first.
func nfdumpFlags(text string) (bits uint16) {
	for _, letter := range text {
		bits <<= 1
		if letter != '.' {
			bits |= 1
		}
	}
	return bits
}

// protocolNumber reads a number, or the name that nfdump or goflow2 has for it.
func protocolNumber(text string) (uint8, error) {
	switch text {
	case "TCP":
		return flow.ProtocolTCP, nil
	case "UDP":
		return flow.ProtocolUDP, nil
	case "ICMP":
		return flow.ProtocolICMP, nil
	case "ICMP6", "IPv6-ICMP":
		return flow.ProtocolICMPv6, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	return uint8(n), err
}

// nfdumpObject is a record of nfdump -o json.
type nfdumpObject struct {
	First    string     `json:"first"`
	Last     string     `json:"last"`
	Packets  uint64     `json:"in_packets"`
	Octets   uint64     `json:"in_bytes"`
	Protocol uint8      `json:"proto"`
	Flags    string     `json:"tcp_flags"`
	SrcPort  uint16     `json:"src_port"`
	DstPort  uint16     `json:"dst_port"`
	Type     uint8      `json:"icmp_type"`
	Code     uint8      `json:"icmp_code"`
	ToS      uint8      `json:"src_tos"`
	Src4     netip.Addr `json:"src4_addr"`
	Dst4     netip.Addr `json:"dst4_addr"`
	Src6     netip.Addr `json:"src6_addr"`
	Dst6     netip.Addr `json:"dst6_addr"`
	Input    uint32     `json:"input_snmp"`
	Output   uint32     `json:"output_snmp"`
	SrcAS    uint32     `json:"src_as"`
	DstAS    uint32     `json:"dst_as"`
	Router4  netip.Addr `json:"ip4_router"`
	Router6  netip.Addr `json:"ip6_router"`
}

// nfdumpJSON reads the output of nfdump -o json, which has brackets around it, or with -q none.
func (s *Stored) nfdumpJSON(in *bufio.Reader, who *exporters) error {
	s.Format = "nfdump's JSON"
	begins, _ := in.Peek(1)
	var r io.Reader = in
	if slices.Equal(begins, []byte("{")) {
		r = io.MultiReader(strings.NewReader("["), in, strings.NewReader("]"))
	}
	d := json.NewDecoder(r)
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		var o nfdumpObject
		if err := d.Decode(&o); err != nil {
			return err
		}
		m, from, err := o.record()
		if err != nil {
			return fmt.Errorf("record %d: %w", len(s.Records)+1, err)
		}
		s.add(m, who, from)
	}
	_, err := d.Token()
	return err
}

func (o *nfdumpObject) record() (m manifest.Record, from origin, err error) {
	m = manifest.Record{
		Src: o.Src4, Dst: o.Dst4, SrcPort: o.SrcPort, DstPort: o.DstPort, Protocol: o.Protocol, ToS: o.ToS,
		TCPFlags: nfdumpFlags(o.Flags), Input: o.Input, Output: o.Output, Packets: o.Packets, Octets: o.Octets,
		SrcAS: o.SrcAS, DstAS: o.DstAS,
	}
	if o.Src6.IsValid() {
		m.Src, m.Dst = o.Src6, o.Dst6
	}
	if m.Protocol == flow.ProtocolICMP || m.Protocol == flow.ProtocolICMPv6 {
		m.SrcPort, m.DstPort = 0, uint16(o.Type)<<8|uint16(o.Code)
	}
	for _, t := range []struct {
		text string
		into *int64
	}{{o.First, &m.Start}, {o.Last, &m.End}} {
		at, err := time.ParseInLocation(nfdumpMilliseconds, t.text, time.Local)
		if err != nil {
			return m, from, err
		}
		*t.into = at.UnixMilli()
	}
	from.address = o.Router4
	if o.Router6.IsValid() {
		from.address = o.Router6
	}
	return m, from, nil
}
