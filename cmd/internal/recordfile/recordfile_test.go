package recordfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/render"
	"cacheflow/export"
)

var epoch = time.Unix(1_700_000_000, 0)

// someRecords returns flow records of both versions with a value in every field that a
// Packet carries, but for what stands in no element (the DEI of a VLAN tag).
func someRecords() (rs []flow.Record) {
	r := flow.Record{
		Packet: flow.Packet{
			Key: flow.Key{
				Src: [16]byte{192, 0, 2, 1}, Dst: [16]byte{198, 51, 100, 2}, SrcPort: 40000, DstPort: 443,
				Input: 3, Protocol: flow.ProtocolTCP, ToS: 0xb8, Version: 4, Direction: flow.Egress,
			},
			TCPFlags: flow.SYN | flow.ACK, MinTTL: 57, MaxTTL: 64, Packets: 1234, Octets: 1 << 40,
			First: flow.Time(time.Hour), Last: flow.Time(2 * time.Hour), MinLength: 40, MaxLength: 70000,
			SrcMAC: [6]byte{2, 0, 0, 0, 0, 1}, DstMAC: [6]byte{2, 0, 0, 0, 0, 2},
			VLAN: 5<<13 | 100, CustomerVLAN: 3<<13 | 200,
			MPLS: [3][3]byte{{0x12, 0x34, 0x50}, {0x23, 0x45, 0x62}, {0x34, 0x56, 0x71}}, MPLSDepth: 4, Fragment: true, Egress: 70000,
		},
		Route: flow.Route{NextHop: [16]byte{203, 0, 113, 9}, NextHopVersion: 4, SrcPrefixLen: 24, DstPrefixLen: 16, Status: flow.Forwarded},
		End:   flow.IdleTimeout, Expired: flow.Time(2*time.Hour + 15*time.Second),
	}
	rs = append(rs, r)
	r.NextHop, r.NextHopVersion = [16]byte{0xfe, 0x80, 15: 7}, 6
	r.Direction, r.SrcPort = flow.Ingress, 40001
	rs = append(rs, r)
	r.Protocol, r.SrcPort, r.DstPort, r.TCPFlags = flow.ProtocolICMP, 0, 8<<8, 0
	r.Route, r.Egress = flow.Route{Status: flow.Unroutable}, 0
	rs = append(rs, r)
	r.Version, r.Protocol, r.DstPort = 6, flow.ProtocolICMPv6, 128<<8
	r.Src, r.Dst = [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}, [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 2}
	r.FlowLabel, r.Fragment = 0xabcde, false
	r.Route = flow.Route{NextHop: [16]byte{0xfe, 0x80, 15: 9}, NextHopVersion: 6, SrcPrefixLen: 64, DstPrefixLen: 48, Status: flow.TerminatedHere}
	return append(rs, r)
}

// write writes the records to a file as its name says, and returns its path.
func write(t testing.TB, name string, rs []flow.Record) string {
	t.Helper()
	var b []byte
	cfg := export.Config{
		Protocol: export.IPFIX, MTU: 600, Epoch: func() time.Time { return epoch }, Sampling: export.Sampling{Interval: 10},
	}
	if strings.Contains(name, ".json") {
		cfg.Protocol, cfg.Line, cfg.File.Path = export.JSON, render.AppendJSON, name
	}
	s, err := export.NewSession(cfg, func(m *export.Message) { b = append(b, m.Data...) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range rs {
		s.Append(&rs[i], rs[i].Expired)
	}
	s.Flush(rs[len(rs)-1].Expired)
	if strings.HasSuffix(name, ".gz") {
		b = pack(b)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pack(b []byte) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(b)
	z.Close()
	return packed.Bytes()
}

// TestSource: what a record says comes back as the observation that it was, with its route.
func TestSource(t *testing.T) {
	want := someRecords()
	for _, name := range []string{"flows.ipfix", "flows.ipfix.gz", "flows.json", "flows.json.gz"} {
		path := write(t, name, want)
		if !Is(path) {
			t.Errorf("%s is not recognised", name)
		}
		s, err := OpenAll([]string{path, path})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 * len(want) {
			var p [1]flow.Packet
			n, horizon, err := s.Read(p[:])
			if n != 1 || err != nil {
				t.Fatalf("%s: record %d: %d, %v", name, i, n, err)
			}
			r := want[i%len(want)]
			shift := flow.Time(epoch.Sub(s.Boot()))
			r.First, r.Last = r.First+shift, r.Last+shift
			var route flow.Route
			egress := s.Lookup(&p[0].Key, 0, &route)
			if horizon != r.Last {
				t.Errorf("%s: record %d: horizon %v instead of %v", name, i, horizon, r.Last)
			}
			if p[0].Egress = egress; p[0] != r.Packet || route != r.Route {
				t.Errorf("%s: record %d: %s", name, i, cmp.Diff(r.Packet, p[0], cmp.AllowUnexported(flow.Packet{}))+cmp.Diff(r.Route, route))
			}
		}
		if n, _, err := s.Read(make([]flow.Packet, 1)); n != 0 || err != io.EOF {
			t.Errorf("%s: %d, %v at the end", name, n, err)
		}
		for _, c := range s.AppendCounters(nil) {
			if c.Metered != uint64(len(want)) || c.Packets != uint64(len(want))*1234 || c.Observed != c.Metered {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
}

// TestDamage cuts files at each length: what is whole is read, then the error names the
// place; a cut between two messages is none that a reader could see.
func TestDamage(t *testing.T) {
	for _, name := range []string{"flows.ipfix", "flows.json"} {
		rs := someRecords()
		path := write(t, name, rs)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before := 0
		for cut := 2; cut <= len(whole); cut++ {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			n, octets, err := readAll(t, path)
			if n < before || n > before+len(rs) || octets > int64(cut) || (octets == int64(cut)) != (err == io.EOF) {
				t.Fatalf("%s: %d records of %d octets, %d of them whole, before %d: %v", name, n, cut, octets, before, err)
			}
			if err != io.EOF && (!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "offset")) {
				t.Fatalf("an error without its place: %v", err)
			}
			before = n
		}
		if before != len(rs) {
			t.Errorf("%s: %d records of %d", name, before, len(rs))
		}
	}
}

// readAll returns how many flow records a file has, and how many octets were whole.
func readAll(t testing.TB, path string) (records int, octets int64, err error) {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		err = f.Next(func(r *collector.Record) {
			if !r.Options {
				records++
			}
		})
	}
	return records, f.offset, err
}

// TestForeign: what is no observation is counted with its reason, what is unknown is left
// out, and what is no file of flow records is refused.
func TestForeign(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.json")
	text := `{"sourceMacAddress":"02:00:00:00:00:01","packetDeltaCount":1}
{"sourceIPv4Address":"192.0.2.1","octetDeltaCount":9}

{"options":true,"samplingInterval":10}
{"sourceIPv4Address":"192.0.2.1","packetDeltaCount":1,"enterprise9.1":"00","flowStartMilliseconds":99999999999999999}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenAll([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]flow.Packet, 9)
	if n, _, err := s.Read(p); n != 1 || err != nil || p[0].First > p[0].Last {
		t.Errorf("%d, %v: %v to %v", n, err, p[0].First, p[0].Last)
	}
	c := s.AppendCounters(nil)[0]
	if c.Observed != 3 || c.NotMetered[capture.NonIP] != 1 || c.NotMetered[capture.NoPackets] != 1 || c.Metered != 1 {
		t.Errorf("%+v", c)
	}
	for _, text := range []string{"", "x", "\x00\x09 v9", "\xd4\xc3\xb2\xa1"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, errFormat) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{`{`, `{"sourceIPv4Address":[1]}`, `{"protocolIdentifier":"x"}`, `{"protocolIdentifier":-1}`, `{} {}`, `{"sourceIPv4Address":"::1"}`, `{"a":1`} {
		if _, err := new(line).parse([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// FuzzNext: whatever a file holds, it is read to its end or to an error, in bounded memory
// and time, and what comes of it can be metered.
func FuzzNext(f *testing.F) {
	for _, name := range []string{"flows.ipfix", "flows.json"} {
		b, err := os.ReadFile(write(f, name, someRecords()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(pack(b))
	}
	path := filepath.Join(f.TempDir(), "flows")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenAll([]string{path})
		if err != nil {
			return
		}
		defer s.Close()
		batch := make([]flow.Packet, 7)
		for before := flow.Time(0); ; {
			n, horizon, err := s.Read(batch)
			if horizon < before {
				t.Fatalf("the horizon goes back from %v to %v", before, horizon)
			}
			before = horizon
			for _, p := range batch[:n] {
				if p.First > p.Last || p.Last > horizon || p.Packets == 0 || p.Version != 4 && p.Version != 6 {
					t.Fatalf("%+v", p)
				}
			}
			if (n == 0) != (err != nil) {
				t.Fatalf("%d, %v", n, err)
			}
			if err != nil {
				return
			}
		}
	})
}
