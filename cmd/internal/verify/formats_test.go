package verify_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"cacheflow/cmd/internal/manifest"
	"cacheflow/cmd/internal/verify"
)

// unpack returns a file of testdata.
func unpack(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// goflow2 has what was sent. The files are what goflow2 2.2.6 made of two routers' datagrams, by its
// own decoder, producer and formatter.
func TestGoflow2(t *testing.T) {
	for _, protocol := range []string{"netflow5", "netflow9", "ipfix"} {
		t.Run(protocol, func(t *testing.T) {
			all := read(t, bytes.NewReader(unpack(t, "goflow2/"+protocol+".manifest.gz")))
			stored := unpack(t, "goflow2/"+protocol+".json.gz")
			if r := compare(t, all, stored); !r.Complete() || r.Total.Complete < 300 {
				t.Errorf("%+v: %v", r.Total, r.Differences)
			}
			lines := bytes.SplitAfter(stored, []byte("\n"))
			lines[100] = bytes.Replace(lines[100], []byte(`"packets":`), []byte(`"packets":9`), 1)
			if r := compare(t, all, bytes.Join(lines[1:], nil)); r.Total.Missing != 1 || r.Total.Altered != 1 || len(r.Differences) != 2 {
				t.Errorf("one removed and one altered: %+v: %v", r.Total, r.Differences)
			}
		})
	}
}

// A report has the counts and the records, for people and for programs.
func TestReport(t *testing.T) {
	all := read(t, bytes.NewReader(unpack(t, "goflow2/ipfix.manifest.gz")))
	lines := bytes.SplitAfter(unpack(t, "goflow2/ipfix.json.gz"), []byte("\n"))
	lines[100] = bytes.Replace(lines[100], []byte(`"packets":`), []byte(`"packets":9`), 1)
	r := compare(t, all, bytes.Join(append(lines[1:], lines[50]), nil))
	var text, object bytes.Buffer
	if err := r.WriteText(&text, all.exporters); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"exporter                       sent   complete    missing duplicated    altered   by fault\n",
		"all                             506        504          1          1          1          0\n",
		"missing: exporter 1, datagram 2: 10.1.1.81:49358 > 198.18.0.9:443 protocol 6, 6 packets, 826 octets, 2026-01-01T12:00:00.027Z to 2026-01-01T12:00:00.138Z\n",
		"; packetDeltaCount is 9", "duplicated: exporter",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
	if err := r.WriteJSON(&object); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Complete    *bool
		Sent        int
		Differences []struct {
			Kind         string
			Sent, Stored map[string]any
			Fields       []string
		}
	}
	if err := json.Unmarshal(object.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, d := range got.Differences {
		kinds[d.Kind]++
		if d.Kind == "altered" && (d.Sent["packetDeltaCount"] == d.Stored["packetDeltaCount"] || strings.Join(d.Fields, "") != "packetDeltaCount") {
			t.Errorf("%+v", d)
		}
	}
	if got.Complete == nil || *got.Complete || got.Sent != 506 || kinds["missing"] != 1 || kinds["altered"] != 1 || kinds["duplicated"] != 1 {
		t.Errorf("%s", &object)
	}
}

// Damage is an error with the place, and no file is taken for what it is not.
func TestDamage(t *testing.T) {
	const header = "ts,te,sa,da,sp,dp,pr,flg,stos,ipkt,ibyt,in,out,sas,das,ra,eng\n"
	const row = "2026-01-01 12:00:00,2026-01-01 12:00:00,10.0.0.1,10.0.0.2,1,2,TCP,......S.,0,1,40,1,2,0,0,127.0.0.1,0/1\n"
	for _, c := range []struct{ text, want string }{
		{"", "none of"},
		{"time,packets\n", "none of"},
		{strings.Replace(header, ",ibyt", "", 1) + row, "line 2: "},
		{header + strings.Replace(row, "10.0.0.1", "here", 1), "line 2: "},
		{header + row + strings.Replace(row, "12:00:00", "noon", 1), "line 3: "},
		{header + strings.Replace(row, "TCP", "XTP", 1), "line 2: "},
		{`{"first" : "noon", "in_packets" : 1}`, "record 1: "},
		{`{"first" : "2026-01-01T12:00:00.000", "in_packets" : 1`, "invalid character"},
		{`{"sampler_address":"127.0.0.1","proto":"XTP"}`, "record 1: "},
		{`{"sampler_address":"127.0.0.1","packets":-1}`, "record 1: "},
		{"\x00\x0a\x00\x20", "unexpected EOF"},
	} {
		_, err := verify.ReadFile(store(t, []byte(c.text)), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v instead of %q", c.text, err, c.want)
		}
	}
	s, err := verify.ReadFile(store(t, []byte(header+row+row+"Summary\nflows,bytes\n2,80\n")), nil)
	if err != nil || len(s.Records) != 2 {
		t.Errorf("with a summary: %v", err)
	}
}

// FuzzRead has no file crash.
func FuzzRead(f *testing.F) {
	f.Add([]byte("ts,te,sa,da,sp,dp,pr,flg,stos,ipkt,ibyt,in,out,sas,das,ra,eng\n2026-01-01 12:00:00,2026-01-01 12:00:00,10.0.0.1,10.0.0.2,1,2.1,TCP,......S.,0,1,40,1,2,0,0,127.0.0.1,0/1\n"))
	f.Add([]byte(`[{"first" : "2026-01-01T12:00:00.000", "last" : "2026-01-01T12:00:00.000", "in_packets" : 1, "src4_addr" : "10.0.0.1"}]`))
	f.Add([]byte(`{"sampler_address":"127.0.0.1","proto":"TCP","packets":1,"observation_domain_id":1}` + "\n"))
	f.Add([]byte(`{"sourceIPv4Address":"10.0.0.1","packetDeltaCount":1}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := verify.ReadFile(store(t, text), []manifest.Exporter{{Exporter: 1, Domain: 1}})
		if err != nil {
			return
		}
		r := verify.Compare(nil, s.Records, s.Shows)
		if r.Unexpected != uint64(len(s.Records)) {
			t.Errorf("%d of %d records are unexpected where nothing was sent", r.Unexpected, len(s.Records))
		}
	})
}
