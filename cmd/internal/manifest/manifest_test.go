package manifest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/manifest"
)

var header = manifest.Header{Profile: "office", Seed: 1, Protocol: "netflow9", Start: time.Unix(1_767_225_600, 0).UTC(), Duration: "1h0m0s"}

var exporters = []manifest.Exporter{
	{Exporter: 1, Address: netip.MustParseAddr("127.0.0.2"), Domain: 1, Boot: time.Unix(1_767_000_000, 0).UTC()},
	{Exporter: 2, Domain: 2, Boot: time.Unix(1_767_000_001, 0).UTC()},
}

func record(exporter uint32, datagram uint64) manifest.Record {
	return manifest.Record{
		Exporter: exporter, Datagram: datagram, Src: netip.MustParseAddr("10.0.0.1"), Dst: netip.MustParseAddr("2001:db8::1"),
		SrcPort: 49152, DstPort: 443, Protocol: 6, ToS: 184, TCPFlags: 0x11b, Input: 1, Output: 70000, Packets: 7, Octets: 1 << 40,
		Start: 1_767_225_600_123, End: 1_767_225_660_456, NextHop: netip.MustParseAddr("fe80::1"), SrcPrefixLen: 24, DstPrefixLen: 64,
		SrcAS: 64500, DstAS: 65536,
		Reason: flow.EndOfFlow,
	}
}

// write returns a manifest of so many datagrams, of two records each, in turns of both exporters.
func write(t *testing.T, datagrams int, plain bool) []byte {
	t.Helper()
	var out bytes.Buffer
	w := manifest.NewWriter(&out, plain, header, exporters)
	for i := range datagrams {
		d := manifest.Datagram{Number: uint64(i/2 + 1), Exporter: uint32(i%2 + 1), Sequence: uint32(i), Time: 1_767_225_661_000, Octets: 200, Records: 2}
		rs := []manifest.Record{record(d.Exporter, d.Number), record(d.Exporter, d.Number)}
		rs[1].NextHop, rs[1].Input = netip.Addr{}, 2
		if err := w.Datagram(&d, rs); err != nil {
			t.Fatal(err)
		}
	}
	w.NotCarried(2, 5)
	if err := w.Close(manifest.Complete); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A line is JSON to others as well, and says what the package's comment says.
func TestLines(t *testing.T) {
	z, err := gzip.NewReader(bytes.NewReader(write(t, 2, false)))
	if err != nil {
		t.Fatal(err)
	}
	var lines []any
	for s := bufio.NewScanner(z); s.Scan(); {
		var v any
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		lines = append(lines, v)
	}
	object := func(text string) (v any) {
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	columns := lines[0].(map[string]any)["columns"].([]any)
	delete(lines[0].(map[string]any), "columns")
	want := []string{
		`{"manifest":1,"profile":"office","seed":1,"protocol":"netflow9","start":"2026-01-01T00:00:00Z","duration":"1h0m0s"}`,
		`{"exporter":1,"address":"127.0.0.2","domain":1,"boot":"2025-12-29T09:20:00Z"}`,
		`{"exporter":2,"address":"","domain":2,"boot":"2025-12-29T09:20:01Z"}`,
		`{"datagram":1,"exporter":1,"sequence":0,"time":1767225661000,"octets":200,"records":2}`,
		`[1,1,"10.0.0.1","2001:db8::1",49152,443,6,184,283,1,70000,7,1099511627776,1767225600123,1767225660456,"fe80::1",24,64,64500,65536,3]`,
		`[1,1,"10.0.0.1","2001:db8::1",49152,443,6,184,283,2,70000,7,1099511627776,1767225600123,1767225660456,"",24,64,64500,65536,3]`,
		`{"datagram":1,"exporter":2,"sequence":1,"time":1767225661000,"octets":200,"records":2}`,
		`[2,1,"10.0.0.1","2001:db8::1",49152,443,6,184,283,1,70000,7,1099511627776,1767225600123,1767225660456,"fe80::1",24,64,64500,65536,3]`,
		`[2,1,"10.0.0.1","2001:db8::1",49152,443,6,184,283,2,70000,7,1099511627776,1767225600123,1767225660456,"",24,64,64500,65536,3]`,
		`{"total":"exporter","exporter":1,"datagrams":1,"notCarried":0,"records":2,"packets":14,"octets":2199023255552}`,
		`{"total":"exporter","exporter":2,"datagrams":1,"notCarried":5,"records":2,"packets":14,"octets":2199023255552}`,
		`{"total":"interface","exporter":1,"ingressInterface":1,"records":1,"packets":7,"octets":1099511627776}`,
		`{"total":"interface","exporter":1,"ingressInterface":2,"records":1,"packets":7,"octets":1099511627776}`,
		`{"total":"interface","exporter":2,"ingressInterface":1,"records":1,"packets":7,"octets":1099511627776}`,
		`{"total":"interface","exporter":2,"ingressInterface":2,"records":1,"packets":7,"octets":1099511627776}`,
		`{"total":"minute","exporter":1,"minute":"2026-01-01T00:00:00Z","records":2,"packets":14,"octets":2199023255552}`,
		`{"total":"minute","exporter":2,"minute":"2026-01-01T00:00:00Z","records":2,"packets":14,"octets":2199023255552}`,
		`{"end":"complete","datagrams":2,"records":4,"packets":28,"octets":4398046511104}`,
	}
	for i := range max(len(lines), len(want)) {
		if i >= len(lines) || i >= len(want) || !reflect.DeepEqual(lines[i], object(want[i])) {
			t.Fatalf("line %d: %v\nwant %v", i+1, lines[min(i, len(lines)-1)], want[min(i, len(want)-1)])
		}
	}
	if n := len(lines[4].([]any)); n != len(columns) {
		t.Errorf("%d columns are named, and a record has %d", len(columns), n)
	}
}

// What is written is read back, and is the same octets each time, across many gzip members.
func TestRoundTrip(t *testing.T) {
	const datagrams = 30_000
	text := write(t, datagrams, false)
	if !bytes.Equal(text, write(t, datagrams, false)) {
		t.Error("the same traffic makes another manifest")
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, write(t, datagrams, true)) {
		t.Errorf("a plain manifest is another (%v)", err)
	}
	m, err := manifest.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m.Exporters, exporters) || m.Header.Profile != "office" || m.Header.Seed != 1 {
		t.Errorf("%+v, %+v", m.Header, m.Exporters)
	}
	var r manifest.Record
	for i := range 2 * datagrams {
		if err := m.Next(&r); err != nil {
			t.Fatal(err)
		}
		want := record(uint32(i/2%2+1), uint64(i/4+1))
		if i%2 == 1 {
			want.NextHop, want.Input = netip.Addr{}, 2
		}
		if r != want {
			t.Fatalf("record %d is %+v instead of %+v", i, r, want)
		}
	}
	if err := m.Next(&r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if last := m.Last(); last.End != manifest.Complete || last.Datagrams != datagrams || last.Records != 2*datagrams {
		t.Errorf("the last line: %+v", last)
	}
}

// What was done to a record on purpose, and why it cannot be decoded, are its last columns.
func TestMarks(t *testing.T) {
	var out bytes.Buffer
	w := manifest.NewWriter(&out, true, header, exporters)
	d, rs := manifest.Datagram{Number: 1, Exporter: 1, Records: 4}, []manifest.Record{record(1, 1), record(1, 1), record(1, 1), record(1, 1)}
	rs[0].Changed, rs[2].Changed = manifest.Limits, manifest.Reversed
	rs[2].Undecodable, rs[3].Undecodable = manifest.OldTemplate, manifest.NoTemplate
	if err := errors.Join(w.Datagram(&d, rs), w.Close(manifest.Complete)); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{`,65536,3,"limits"]`, `,65536,3,"reversed","old template"]`, `,65536,3,"no template"]`} {
		if !strings.Contains(out.String(), end) {
			t.Errorf("no %s in %s", end, &out)
		}
	}
	m, err := manifest.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rs {
		var r manifest.Record
		if err := m.Next(&r); err != nil || r != rs[i] {
			t.Errorf("%+v instead of %+v: %v", r, rs[i], err)
		}
	}
}

// A manifest that is cut off or changed is told from a whole one.
func TestDamage(t *testing.T) {
	z, err := gzip.NewReader(bytes.NewReader(write(t, 2, false)))
	if err != nil {
		t.Fatal(err)
	}
	whole, _ := io.ReadAll(z)
	lines := strings.SplitAfter(string(whole), "\n")
	for _, c := range []struct{ text, want string }{
		{strings.Join(lines[:len(lines)-2], ""), "cut off"},
		{strings.Join(append(lines[:4:4], lines[5:]...), ""), "3 records, and the last line says 4"},
		{strings.Replace(string(whole), `[1,1,"10.0.0.1"`, `[1,1,10.0.0.1`, 1), "instead of an address"},
		{strings.Replace(string(whole), `,3]`, `,3,0]`, 1), "more columns"},
		{strings.Replace(string(whole), `,3]`, `,3,"limits",0]`, 1), "more columns"},
		{strings.Replace(string(whole), `,3]`, `,3,"limits","reversed"]`, 1), "more columns"},
		{strings.Replace(string(whole), `,65536,3]`, `]`, 1), "fewer columns"},
		{strings.Replace(string(whole), `,443,`, `,65536,`, 1), "out of range"},
		{string(whole) + lines[4], "behind the last"},
	} {
		m, err := manifest.NewReader(strings.NewReader(c.text))
		var r manifest.Record
		for err == nil {
			err = m.Next(&r)
		}
		if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%v instead of %q", err, c.want)
		}
	}
	for _, text := range []string{"", "{}", "web.pcap", `{"manifest":2}`} {
		if _, err := manifest.NewReader(strings.NewReader(text)); err == nil {
			t.Errorf("%q is taken for a manifest", text)
		}
	}
}

// An error of the file is told.
func TestFullDisk(t *testing.T) {
	full := errors.New("no space")
	r, w := io.Pipe()
	r.CloseWithError(full)
	m := manifest.NewWriter(w, false, header, exporters)
	d, rs := manifest.Datagram{Number: 1, Exporter: 1, Records: 2}, []manifest.Record{record(1, 1), record(1, 1)}
	var err error
	for range 100_000 {
		if err = m.Datagram(&d, rs); err != nil {
			break
		}
	}
	if !errors.Is(err, full) || !errors.Is(m.Close(manifest.Complete), full) {
		t.Errorf("while writing: %v", err)
	}
}

// A record allocates nothing but its part of a block.
func TestRecordsAllocateNothing(t *testing.T) {
	m := manifest.NewWriter(io.Discard, false, header, exporters)
	d, rs := manifest.Datagram{Number: 1, Exporter: 1, Records: 2}, []manifest.Record{record(1, 1), record(1, 1)}
	if n := testing.AllocsPerRun(1000, func() { _ = m.Datagram(&d, rs) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err := m.Close(manifest.Complete); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkRecord writes records, 15 a datagram; the compressed ones on all CPUs.
func BenchmarkRecord(b *testing.B) {
	for _, plain := range []bool{false, true} {
		b.Run(fmt.Sprintf("plain=%v", plain), func(b *testing.B) { benchRecord(b, manifest.NewWriter(io.Discard, plain, header, exporters)) })
	}
}

func benchRecord(b *testing.B, m *manifest.Writer) {
	rs := make([]manifest.Record, 15)
	for i := range rs {
		rs[i] = record(1, 1)
	}
	for i := 0; i < b.N; i += len(rs) {
		d := manifest.Datagram{Number: uint64(i), Exporter: 1, Sequence: uint32(i), Time: int64(i), Octets: 1400, Records: len(rs)}
		for k := range rs {
			x := uint32(i*15+k) * 2654435761 // scattered
			rs[k].Src = netip.AddrFrom4([4]byte{10, byte(x >> 24), byte(x >> 16), byte(x >> 8)})
			rs[k].SrcPort, rs[k].Octets, rs[k].Start, rs[k].Datagram = uint16(x), uint64(x>>20), 1_767_225_600_000+int64(i/100), d.Number
			rs[k].End = rs[k].Start + int64(x>>22)
		}
		if err := m.Datagram(&d, rs); err != nil {
			b.Fatal(err)
		}
	}
	if err := m.Close(manifest.Complete); err != nil {
		b.Fatal(err)
	}
}
