package verify_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/cmd/internal/verify"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// What is expected after faults is what nfcapd has, as nfdump itself adds it up: by exporter, by
// interface in both directions, and by flow; by minute as its JSON has the times.
func TestTotals(t *testing.T) {
	n := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 8 << 20})
	addresses, _ := generate.ParseSources("127.0.1.0/24", 3)
	sockets, err := generate.Dial(n.Address, addresses, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	all := generated(t, export.NetFlow9, "127.0.1.0/24", sockets.Send, func(c *generate.Config) {
		scope := generate.Scope{From: time.Second} // once the templates have arrived
		c.Faults = []generate.Fault{{Kind: manifest.Drop, Share: 0.05, Scope: scope}, {Kind: manifest.Duplicate, Share: 0.05, Scope: scope}}
		c.Duration = 65 * time.Second
	})
	n.Stop()
	totals := verify.NewTotals()
	for i := range all.records {
		totals.Add(&all.records[i])
	}
	if a := totals.All; a.Sent.Records != uint64(len(all.records)) || a.Expected.Records == a.Sent.Records || len(totals.Minutes) < 2 {
		t.Errorf("%+v of %d records, %d minutes", a, len(all.records), len(totals.Minutes))
	}

	exporters, in, out := sums{}, sums{}, sums{}
	for number, s := range totals.Exporters {
		exporters.add(all.exporters[number-1].Address.String(), s.Expected)
	}
	for i, s := range totals.Interfaces {
		if i.Egress {
			out.add(fmt.Sprint(i.Index), s.Expected)
		} else {
			in.add(fmt.Sprint(i.Index), s.Expected)
		}
	}
	wantSums(t, "by exporter", exporters, statistic(t, n, "router"))
	wantSums(t, "in", in, statistic(t, n, "inif"))
	wantSums(t, "out", out, statistic(t, n, "outif"))

	flows, minutes := sums{}, sums{}
	for k, s := range totals.Flows {
		if s.Expected != (manifest.Count{}) {
			flows.add(fmt.Sprint(k), manifest.Count{Packets: s.Expected.Packets, Octets: s.Expected.Octets})
		}
	}
	for m, s := range totals.Minutes {
		minutes.add(fmt.Sprint(m), s.Expected)
	}
	wantSums(t, "by flow", flows, aggregated(t, n))
	wantSums(t, "by minute", minutes, byMinute(n))
}

// sums are counts by whatever there is one for.
type sums map[string]manifest.Count

func (s sums) add(key string, c manifest.Count) {
	sum := s[key]
	sum.Records += c.Records
	sum.Packets += c.Packets
	sum.Octets += c.Octets
	s[key] = sum
}

func wantSums(t *testing.T, name string, got, want sums) {
	t.Helper()
	for key, c := range want {
		if got[key] != c {
			t.Errorf("%s: %s is %+v, and nfdump has %+v", name, key, got[key], c)
		}
	}
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%s: %d sums, and nfdump has %d: %v, %v", name, len(got), len(want), slices.Sorted(maps.Keys(got))[:1], slices.Sorted(maps.Keys(want))[:1])
	}
}

// statistic returns one of nfdump -s.
func statistic(t *testing.T, n *judge.Nfcapd, of string) sums {
	t.Helper()
	all := sums{}
	eachRow(t, n.Print("csv", "-s", of+"/bytes", "-n", "0"), func(row map[string]string) {
		all.add(row["val"], manifest.Count{Records: number(row["fl"]), Packets: number(row["pkt"]), Octets: number(row["byt"])})
	})
	return all
}

// aggregated returns what nfdump -A makes of flows.
func aggregated(t *testing.T, n *judge.Nfcapd) sums {
	t.Helper()
	all := sums{}
	protocols := map[string]uint8{"TCP": 6, "UDP": 17, "ICMP": 1, "ICMP6": 58}
	eachRow(t, n.Print("csv", "-A", "proto,srcip,dstip,srcport,dstport"), func(row map[string]string) {
		k := verify.FlowKey{Src: addrPort(row["sa"], row["sp"]), Dst: addrPort(row["da"], row["dp"]), Protocol: protocols[row["pr"]]}
		all.add(fmt.Sprint(k), manifest.Count{Packets: number(row["ipkt"]), Octets: number(row["ibyt"])})
	})
	return all
}

func byMinute(n *judge.Nfcapd) sums {
	all := sums{}
	for _, f := range n.Flows() {
		minute := strconv.FormatUint(f.Uint("flowStartMilliseconds")/60_000, 10)
		all.add(minute, manifest.Count{Records: 1, Packets: f.Uint("packetDeltaCount"), Octets: f.Uint("octetDeltaCount")})
	}
	return all
}

// eachRow reads nfdump's CSV up to its summary.
func eachRow(t *testing.T, text []byte, do func(row map[string]string)) {
	t.Helper()
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		if row[0] == "Summary" {
			return
		}
		named := map[string]string{}
		for i := range min(len(row), len(rows[0])) {
			named[rows[0][i]] = row[i]
		}
		do(named)
	}
}

func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// addrPort reads a port, or type.code of ICMP.
func addrPort(address, port string) netip.AddrPort {
	a, _ := netip.ParseAddr(address)
	kind, code, isICMP := bytes.Cut([]byte(port), []byte("."))
	p := number(string(kind))
	if isICMP {
		p = p<<8 | number(string(code))
	}
	return netip.AddrPortFrom(a, uint16(p))
}

// A record is expected as often as its datagram's faults let it arrive, and lists are in order.
func TestTotalsOfFaults(t *testing.T) {
	record := func(octets uint64, change func(*manifest.Record)) manifest.Record {
		r := manifest.Record{
			Exporter: 1, Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("10.0.0.2"), SrcPort: 1, DstPort: 2, Protocol: 6,
			Input: 1, Output: 2, Packets: 1, Octets: octets, Start: 1_767_225_661_000,
		}
		change(&r)
		return r
	}
	totals := verify.NewTotals()
	for _, r := range []manifest.Record{
		record(1, func(*manifest.Record) {}),
		record(10, func(r *manifest.Record) { r.Fault = manifest.Drop }),
		record(100, func(r *manifest.Record) { r.Fault = manifest.Truncate }),
		record(1000, func(r *manifest.Record) { r.Undecodable = manifest.NoTemplate }),
		record(10_000, func(r *manifest.Record) { r.Fault, r.Undecodable = manifest.Duplicate, manifest.OldTemplate }),
		record(100_000, func(r *manifest.Record) { r.Fault = manifest.Duplicate }),
		record(1_000_000, func(r *manifest.Record) { r.Fault, r.DstPort, r.Start = manifest.Delay, 3, r.Start+60_000 }),
	} {
		totals.Add(&r)
	}
	var text, object bytes.Buffer
	if err := totals.WriteText(&text, nil, 1); err != nil {
		t.Fatal(err)
	}
	const want = "" +
		"                                         sent                                      expected\n" +
		"     records        packets            octets       records        packets           octets\n" +
		"           7              7           1111111             4              4          1200001  all\n" +
		"           7              7           1111111             4              4          1200001  exporter 1\n" +
		"           7              7           1111111             4              4          1200001  exporter 1, interface 1, in\n" +
		"           7              7           1111111             4              4          1200001  exporter 1, interface 2, out\n" +
		"           6              6            111111             3              3           200001  minute 2026-01-01T00:01Z\n" +
		"           1              1           1000000             1              1          1000000  minute 2026-01-01T00:02Z\n" +
		"           1              1           1000000             1              1          1000000  flow 10.0.0.1:1 > 10.0.0.2:3 protocol 6\n"
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &text, want)
	}
	if err := totals.WriteJSON(&object, 1); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(object.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	const share = `"sent":{"records":7,"packets":7,"octets":1111111},"expected":{"records":4,"packets":4,"octets":1200001}`
	for _, part := range []string{
		`{` + share + `,"exporters":[{"exporter":1,` + share + `}]`, `{"exporter":1,"ingressInterface":1,` + share + `},{"exporter":1,"egressInterface":2,` + share + `}`,
		`"minutes":[{"minute":"2026-01-01T00:01:00Z","sent":{"records":6,`, `"flows":[{"sourceAddress":"10.0.0.1","destinationAddress":"10.0.0.2","sourceTransportPort":1,"destinationTransportPort":3,`,
	} {
		if !bytes.Contains(object.Bytes(), []byte(part)) {
			t.Errorf("%s is not in %s", part, &object)
		}
	}
}

// There are no sums by what the records do not carry, and that is said; so is a sum beyond 64 bits.
func TestTotalsOfLimits(t *testing.T) {
	for _, c := range []struct {
		lacks               []string
		in, out, minutes    bool
		octets              uint64
		line, field, absent string
	}{
		{nil, true, true, true, 1, "", `"exporters"`, `"lacks"`},
		{[]string{"ipNextHop", "egressInterface"}, true, false, true, 1, "no sums by egressInterface, which", `"lacks":["egressInterface"]`, `"wrapped"`},
		{[]string{"ingressInterface", "flowStartMilliseconds"}, false, true, false, 1, "no sums by ingressInterface, flowStartMilliseconds, which", `"lacks":["ingressInterface","flowStartMilliseconds"]`, "1970"},
		{nil, true, true, true, 1<<64 - 1, "sums are modulo 2^64", `"wrapped":true`, `"lacks"`},
	} {
		totals := verify.NewTotals()
		for range 2 {
			totals.Add(&manifest.Record{Exporter: 1, Input: 3, Output: 4, Packets: 1, Octets: c.octets})
		}
		totals.Limit(c.lacks)
		var text, object bytes.Buffer
		if err := errors.Join(totals.WriteText(&text, nil, 0), totals.WriteJSON(&object, 0)); err != nil {
			t.Fatal(err)
		}
		for row, want := range map[string]bool{"interface 3, in": c.in, "interface 4, out": c.out, "minute": c.minutes} {
			if strings.Contains(text.String(), row) != want {
				t.Errorf("%v: %q is there, or is not: %s", c.lacks, row, &text)
			}
		}
		last := strings.Count(text.String(), "no sums") + strings.Count(text.String(), "modulo")
		if !strings.Contains(text.String(), c.line) || last > 0 != (c.line != "") {
			t.Errorf("%v: %q is not what is said: %s", c.lacks, c.line, &text)
		}
		if !strings.Contains(object.String(), c.field) || strings.Contains(object.String(), c.absent) {
			t.Errorf("%v: no %s, or %s: %s", c.lacks, c.field, c.absent, &object)
		}
	}
}
