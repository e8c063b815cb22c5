package collector

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/render"
	"cacheflow/export"
)

// epoch is a whole second, and headerTime a whole second behind all flows: so
// NetFlow v9, which has no fraction of a second, loses nothing.
var epoch = time.Unix(1_700_000_000, 0)

const headerTime = flow.Time(40 * 24 * time.Hour)

// randomRecord fills in every field within what the cache can hold.
func randomRecord(rng *rand.Rand) *flow.Record {
	r := &flow.Record{End: flow.EndReason(1 + rng.IntN(5)), Expired: headerTime}
	random := func(b []byte) {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
	}
	size := 4
	if r.Version = 4; rng.IntN(3) == 0 {
		r.Version, size = 6, 16
	}
	random(r.Src[:size])
	random(r.Dst[:size])
	r.Protocol = []uint8{1, 6, 6, 17, 17, 58, 47}[rng.IntN(7)]
	r.SrcPort, r.DstPort = uint16(rng.Uint32()), uint16(rng.Uint32())
	if r.IsICMP() {
		r.SrcPort, r.DstPort = 0, uint16(rng.IntN(2)*0x0303)
	}
	r.ToS, r.Input, r.Egress, r.Direction = uint8(rng.Uint32()), rng.Uint32N(65536), rng.Uint32N(65536), flow.Direction(rng.IntN(2))
	r.Packets, r.Octets = uint64(rng.Uint32()), uint64(rng.Uint32())
	r.First = headerTime - flow.Time(rng.Int64N(int64(20*24*time.Hour)))
	r.Last = min(r.First.Add(time.Duration(rng.Int64N(int64(time.Hour)))), headerTime)
	r.MinLength, r.MaxLength, r.MinTTL, r.MaxTTL = rng.Uint32(), rng.Uint32(), uint8(rng.Uint32()), uint8(rng.Uint32())
	r.TCPFlags = uint16(rng.Uint32N(512))
	r.Fragment = rng.IntN(2) == 0
	r.SrcPrefixLen, r.DstPrefixLen, r.Status = uint8(rng.IntN(33)), uint8(rng.IntN(33)), flow.ForwardingStatus(rng.Uint32())
	if r.Version == 6 {
		r.FlowLabel = rng.Uint32N(1 << 20)
	}
	if rng.IntN(2) == 0 {
		random(r.SrcMAC[:])
		random(r.DstMAC[:])
		r.VLAN, r.CustomerVLAN = uint16(rng.Uint32()), uint16(rng.Uint32())
	}
	for i := range rng.IntN(4) {
		random(r.MPLS[i][:])
		r.MPLSDepth++
	}
	if rng.IntN(2) == 0 {
		r.NextHopVersion = max(r.Version, []uint8{4, 6}[rng.IntN(2)])
		random(r.NextHop[:map[uint8]int{4: 4, 6: 16}[r.NextHopVersion]])
	}
	return r
}

// roundTrip returns records as JSON lines twice: as they leave the cache, and
// as the collector decodes what the exporter makes of them.
func roundTrip(t *testing.T, cfg export.Config, records []*flow.Record) (before, after string) {
	t.Helper()
	var b bytes.Buffer
	w := render.New(&b, render.JSON, epoch, nil)
	c := New(Config{})
	cfg.Epoch = func() time.Time { return epoch }
	var out strings.Builder
	s, err := export.NewSession(cfg, func(m *export.Message) { out.WriteString(feed(t, c, exporterA, m.Data)) })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if reason := s.Append(r, headerTime); reason == export.None {
			w.Record(r)
		}
	}
	s.Flush(headerTime)
	w.Flush()
	wantFound(t, c, nil)
	if st := c.Stats(); st.LostDatagrams+st.LostRecords+st.Late+st.Restarts != 0 {
		t.Errorf("%+v", st)
	}
	return b.String(), out.String()
}

func someRecords(n int) (rs []*flow.Record) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range n {
		rs = append(rs, randomRecord(rng))
	}
	return rs
}

// The same flow is the same line before its export and after its reception.
func TestLinesAreTheSame(t *testing.T) {
	for _, p := range []export.Protocol{export.NetFlow9, export.IPFIX} {
		t.Run(p.String(), func(t *testing.T) {
			before, after := roundTrip(t, export.Config{Protocol: p, WideTCPFlags: true, Options: noOptions}, someRecords(2000))
			want, got := strings.Split(before, "\n"), strings.Split(after, "\n")
			if len(want) != 2001 || len(got) != 2001 {
				t.Fatalf("%d and %d lines", len(want), len(got))
			}
			for i := range want {
				if want[i] != got[i] {
					t.Fatalf("line %d is\n%s\nwant\n%s", i, got[i], want[i])
				}
			}
		})
	}
}

// What NetFlow v5 carries is the same; the rest is not there.
func TestNetFlow5CarriesTheSame(t *testing.T) {
	before, after := roundTrip(t, export.Config{Protocol: export.NetFlow5}, someRecords(2000))
	want, got := json.NewDecoder(strings.NewReader(before)), json.NewDecoder(strings.NewReader(after))
	n := 0
	for ; want.More() && got.More(); n++ {
		var b, a map[string]any
		if err := want.Decode(&b); err != nil {
			t.Fatal(err)
		}
		if err := got.Decode(&a); err != nil {
			t.Fatal(err)
		}
		b["tcpControlBits"] = float64(int(b["tcpControlBits"].(float64)) & 0xff)
		for name := range b {
			if _, carried := a[name]; !carried && !in5(name) {
				delete(b, name)
			}
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Fatal(diff)
		}
	}
	if n < 1000 || want.More() || got.More() {
		t.Errorf("%d records compared", n)
	}
}

func in5(name string) bool {
	for i := range fields5 {
		if fields5[i].Name == name {
			return true
		}
	}
	return false
}

// Sampling is announced in each protocol's own way, and understood.
func TestSamplingIsUnderstood(t *testing.T) {
	for _, cfg := range []export.Config{
		{Protocol: export.NetFlow5}, {Protocol: export.NetFlow9}, {Protocol: export.IPFIX},
	} {
		cfg.Sampling.Interval = 128
		c := New(Config{})
		s, err := export.NewSession(cfg, func(m *export.Message) { feed(t, c, exporterA, m.Data) })
		if err != nil {
			t.Fatal(err)
		}
		s.Append(someRecords(1)[0], headerTime)
		s.Flush(headerTime)
		if x := c.Exporters(); len(x) != 1 || x[0].Sampling != 128 {
			t.Errorf("%v: %+v", cfg.Protocol, x)
		}
	}
}

var noOptions = export.OptionIntervals{
	SamplerTable: export.Off, InterfaceTable: export.Off, ExporterStats: export.Off, Reliability: export.Off, FlowKeys: export.Off,
}
