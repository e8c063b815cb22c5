package export

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// choices are the forms that records can have, beside the default, and who carries them.
var choices = []struct {
	Fields
	protocols []Protocol
}{
	{Fields{Timestamps: TimestampsSysUpTime}, bothTemplated},
	{Fields{Timestamps: TimestampsMilliseconds}, bothTemplated},
	{Fields{Timestamps: TimestampsMicroseconds}, []Protocol{IPFIX}},
	{Fields{Timestamps: TimestampsNanoseconds}, []Protocol{IPFIX}},
	{Fields{Counters: CountersReduced}, bothTemplated},
	{Fields{FlowID: true}, bothTemplated},
	{Fields{ASNumbers: true}, bothTemplated},
	{Fields{Timestamps: TimestampsNanoseconds, Counters: CountersReduced, FlowID: true}, []Protocol{IPFIX}},
}

// eachChoice runs f for each form in each protocol that carries it.
func eachChoice(t *testing.T, f func(t *testing.T, cfg Config)) {
	for _, c := range choices {
		for _, p := range c.protocols {
			t.Run(fmt.Sprintf("%v %+v", p, c.Fields), func(t *testing.T) {
				f(t, Config{Protocol: p, SourceID: 7, Fields: c.Fields, Epoch: func() time.Time { return oddEpoch }})
			})
		}
	}
}

// oddEpoch is no whole millisecond, as it is after the clock was disciplined.
var oddEpoch = testEpoch.Add(123_456 * time.Nanosecond)

// wantForm is wantFields for a choice of fields.
func wantForm(cfg *Config, r *flow.Record) map[uint16]any {
	w := wantFields(cfg.Protocol, r)
	if cfg.Fields.Counters == CountersReduced && max(r.Packets, r.Octets) < 1<<32 {
		w[1], w[2] = uint32(r.Octets), uint32(r.Packets)
	}
	if cfg.Fields.ASNumbers {
		w[16], w[17] = r.SrcAS, r.DstAS
	}
	if cfg.Fields.FlowID {
		h := fnv.New64a()
		binary.Write(h, binary.BigEndian, r.Key)
		w[148] = h.Sum64()
	}
	if f := cfg.Fields.Timestamps; f != "" {
		for _, id := range []uint16{21, 22, 152, 153} {
			delete(w, id)
		}
		switch f {
		case TimestampsSysUpTime:
			w[22], w[21] = uint32(r.First.Milliseconds()), uint32(r.Last.Milliseconds())
		case TimestampsMilliseconds:
			w[152], w[153] = uint64(wall(r.First)), uint64(wall(r.Last))
		}
	}
	return w
}

// TestFieldByFieldForms: goflow2 finds each field of each form as it was put in; NTP's
// stamps are read as RFC 7011 §6.1.9 has them.
func TestFieldByFieldForms(t *testing.T) {
	eachChoice(t, func(t *testing.T, cfg Config) {
		records := []flow.Record{record4(), record6(), record4via6()}
		rnd := rand.New(rand.NewPCG(5, 6))
		for range 300 {
			records = append(records, randomRecord(rnd))
		}
		c := newCollector(t)
		s := c.session(cfg)
		now := flow.Time(0)
		for i := range records {
			now = max(now, records[i].Expired)
			if why := s.Append(&records[i], now); why != None {
				t.Fatal(why)
			}
		}
		s.Flush(now)
		got := c.all()
		if len(got) != len(records) {
			t.Fatalf("%d records decoded, want %d", len(got), len(records))
		}
		for i := range got {
			start, end, unit := uint16(154), uint16(155), time.Microsecond
			if cfg.Fields.Timestamps == TimestampsNanoseconds {
				start, end, unit = 156, 157, time.Nanosecond
			}
			if cfg.Fields.Timestamps.isNTP() {
				compareNTP(t, got[i].uint(start), records[i].First, unit)
				compareNTP(t, got[i].uint(end), records[i].Last, unit)
				delete(got[i], start)
				delete(got[i], end)
			}
			compareTo(t, wantForm(&cfg, &records[i]), got[i])
		}
	})
}

// compareNTP holds a stamp to the instant of at: read in units and rounded down, and
// rounded to the nearest one.
func compareNTP(t *testing.T, stamp uint64, at flow.Time, unit time.Duration) {
	t.Helper()
	if unit == time.Microsecond && stamp&0x7ff != 0 {
		t.Errorf("stamp %#x: the lowest 11 bits of microseconds are not 0", stamp)
	}
	want := oddEpoch.Add(time.Duration(at)).Truncate(unit)
	secs, fraction := int64(stamp>>32)-2_208_988_800, float64(stamp&(1<<32-1))/(1<<32)*float64(time.Second/unit)
	for _, units := range []int64{int64(fraction), int64(fraction + 0.5)} {
		if got := time.Unix(secs, units*int64(unit)); !got.Equal(want) {
			t.Errorf("stamp %#x is %v, want %v", stamp, got.UTC(), want.UTC())
		}
	}
}

// TestNTPEra: seconds are modulo 2^32 from 7 February 2036 on (RFC 7011 §6.1.9), and
// what lies before 1970 is 1970.
func TestNTPEra(t *testing.T) {
	last := time.Date(2036, 2, 7, 6, 28, 15, 999_999_999, time.UTC)
	for _, k := range []struct {
		at   time.Time
		secs uint64
	}{{last, 1<<32 - 1}, {last.Add(1), 0}, {last.Add(time.Hour), 3599}, {time.Unix(-5, 0), 2_208_988_800}} {
		for _, stamp := range []uint64{ntpNanoseconds(k.at.UnixNano()), ntpMicroseconds(k.at.UnixNano())} {
			if stamp>>32 != k.secs {
				t.Errorf("%v: NTP second %d, want %d", k.at, stamp>>32, k.secs)
			}
		}
	}
}

// TestSystemInitTime: IPFIX's sysUpTime goes out with the instant that it counts from,
// before the first record and with all templates, and nothing else has it.
func TestSystemInitTime(t *testing.T) {
	c := newCollector(t)
	feed(c.session(Config{Protocol: IPFIX, SourceID: 7, TemplatePackets: 3, Fields: Fields{Timestamps: TimestampsSysUpTime}, Options: noOptions}), 100)
	n := 0
	for i, m := range c.messages {
		for _, o := range m.options() {
			n++
			if o.uint(160) != uint64(testEpoch.UnixMilli()) {
				t.Errorf("options record %v", o)
			}
		}
		if len(m.records()) > 0 && n == 0 {
			t.Fatalf("message %d has records, and no boot instant came before", i)
		}
	}
	scopes, fields := optionFields(t, &c.messages[0])
	if len(scopes) != 1 || scopes[0].Type != 149 || scopes[0].Length != 4 || len(fields) != 1 || fields[0].Type != 160 || fields[0].Length != 8 || n < 3 {
		t.Errorf("scope %v, fields %v, sent %d times", scopes, fields, n)
	}
	for _, cfg := range []Config{{Protocol: IPFIX, Options: noOptions}, {Protocol: NetFlow9, Options: noOptions, Fields: Fields{Timestamps: TimestampsSysUpTime}}} {
		c := newCollector(t)
		feed(c.session(cfg), 1)
		if o := c.messages[0].options(); len(o) > 0 {
			t.Errorf("%v announces %v", cfg.Protocol, o)
		}
	}
}

// TestReducedCounters: four octets hold what fits, and all else has eight, to the bit.
func TestReducedCounters(t *testing.T) {
	for _, p := range bothTemplated {
		for _, k := range []struct {
			packets, octets uint64
			size            int
		}{{1, 1<<32 - 1, 4}, {1<<32 - 1, 1<<32 - 1, 4}, {1, 1 << 32, 8}, {1 << 32, 1, 8}, {1 << 63, 1 << 63, 8}} {
			for _, r := range []flow.Record{record4(), record6(), record4via6()} {
				c := newCollector(t)
				s := c.session(Config{Protocol: p, Fields: Fields{Counters: CountersReduced}})
				r.Packets, r.Octets = k.packets, k.octets
				s.Append(&r, r.Expired)
				s.Flush(r.Expired)
				got := c.all()[0]
				if got.uint(2) != k.packets || got.uint(1) != k.octets || len(got[1]) != k.size || len(got[2]) != k.size || s.Splits() != 0 {
					t.Errorf("%v: %d, %d became %x, %x", p, k.packets, k.octets, got[2], got[1])
				}
			}
		}
	}
}

// TestFieldsRefused: what a protocol has no room for is refused, with the reason.
func TestFieldsRefused(t *testing.T) {
	for _, k := range []struct {
		cfg  Config
		want string
	}{
		{Config{Fields: Fields{Timestamps: "seconds"}}, `timestamps: "seconds": must be default, sysuptime, milliseconds, microseconds, nanoseconds`},
		{Config{Fields: Fields{Counters: "short"}}, `counters: "short": must be long, reduced`},
		{Config{Protocol: NetFlow5, Fields: Fields{Timestamps: TimestampsSysUpTime}}, "timestamps: netflow5 has sysUpTime and nothing else"},
		{Config{Protocol: NetFlow5, Fields: Fields{Counters: CountersReduced}}, "counters: netflow5 has four octets, and splits records that need more"},
		{Config{Protocol: NetFlow5, Fields: Fields{FlowID: true}}, "flow-id: netflow5 has no room for it"},
		{Config{Protocol: NetFlow9, Fields: Fields{Timestamps: TimestampsMicroseconds}}, "timestamps: microseconds are of ipfix only"},
		{Config{Fields: Fields{Timestamps: TimestampsNanoseconds}}, "timestamps: nanoseconds are of ipfix only"},
		{Config{Fields: Fields{Layout: "crs"}}, `layout: "crs": must be default, netflow-original, isr, asr1000, asr9000`},
		{Config{Protocol: NetFlow5, Fields: Fields{Layout: LayoutISR}}, "layout: netflow5 has one layout"},
		{Config{Protocol: IPFIX, Fields: Fields{Layout: LayoutASR9000}}, "layout: asr9000 is of netflow9 only: ipfix has no samplerId of several octets"},
		{Config{Fields: Fields{Layout: LayoutISR, Timestamps: TimestampsMilliseconds}}, "timestamps: the layout isr has its own"},
		{Config{Fields: Fields{Layout: LayoutISR, Counters: CountersLong}}, "counters: the layout isr has its own, of four octets"},
		{Config{Fields: Fields{Layout: LayoutASR1000, FlowID: true}}, "flow-id: the layout asr1000 has none"},
		{Config{Fields: Fields{Layout: LayoutASR1000}, WideTCPFlags: true}, "wide-tcp-flags: the layout asr1000 has its own"},
		{Config{Fields: Fields{Biflow: true}}, "biflow: ipfix only has elements of the reverse direction"},
		{Config{Protocol: NetFlow5, Fields: Fields{Biflow: true}}, "biflow: ipfix only has elements of the reverse direction"},
		{Config{Protocol: IPFIX, Fields: Fields{Biflow: true, Layout: LayoutISR}}, "biflow: the layout isr has none"},
		{Config{Protocol: IPFIX, MTU: 511, Fields: Fields{Biflow: true}}, "mtu: 511: a biflow's template needs 512 octets"},
	} {
		_, err := NewSession(k.cfg, nil)
		if e := (*FieldsError)(nil); !errors.As(err, &e) || err.Error() != k.want {
			t.Errorf("%+v: %v, want %s", k.cfg.Fields, err, k.want)
		}
	}
}

// TestFormsAllocate: no form of a record allocates.
func TestFormsAllocate(t *testing.T) {
	for _, cfg := range everyLayout() {
		s, err := NewSession(cfg, func(*Message) {})
		if err != nil {
			t.Fatal(err)
		}
		four, six := record4(), record6()
		if n := testing.AllocsPerRun(100, func() {
			s.Append(&four, four.Expired)
			s.Append(&six, six.Expired)
		}); n > 0 {
			t.Errorf("%v %+v: %v allocations", cfg.Protocol, cfg.Fields, n)
		}
	}
}

// TestTsharkForms: tshark finds no fault in any form, and reads what was put in.
func TestTsharkForms(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	eachChoice(t, func(t *testing.T, cfg Config) {
		t.Parallel()
		w := newPcap(t)
		cfg.TemplatePackets = 8
		s, err := NewSession(cfg, w.add)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		rnd := rand.New(rand.NewPCG(11, 12))
		now := flow.Time(90000e9)
		for range 100 {
			r := randomRecord(rnd)
			now += 10e6
			s.Tick(now)
			s.Append(&r, now)
			want = append(want, fmt.Sprint(tsharkWantForm(&cfg, &r)))
		}
		s.Flush(now)
		compareTshark(t, w, want, func(r map[string]string) { wholeMicroseconds(&cfg, r) })
	})
}

// tsharkWantForm is tsharkWant for a choice of fields.
func tsharkWantForm(cfg *Config, r *flow.Record) map[string]string {
	w := tsharkWant(cfg.Protocol, r)
	if cfg.Fields.ASNumbers {
		w["srcas"], w["dstas"] = "64500", "65550"
	}
	if cfg.Fields.FlowID {
		w["flow_id"] = fmt.Sprint(hashKey(&r.Key))
	}
	if cfg.Fields.Timestamps == "" {
		return w
	}
	for _, k := range []string{"timestart", "timeend", "abstimestart", "abstimeend"} {
		delete(w, k)
	}
	if cfg.Fields.Timestamps == TimestampsSysUpTime {
		v9 := tsharkWant(NetFlow9, r)
		w["timestart"], w["timeend"] = v9["timestart"], v9["timeend"]
		return w
	}
	for k, at := range map[string]flow.Time{"abstimestart": r.First, "abstimeend": r.Last} {
		instant := testEpoch.Add(time.Duration(at)).Truncate(time.Millisecond)
		if cfg.Fields.Timestamps.isNTP() {
			instant = oddEpoch.Add(time.Duration(at))
		}
		w[k] = instant.UTC().Format("Jan _2, 2006 15:04:05.000000000 UTC")
	}
	wholeMicroseconds(cfg, w)
	return w
}

// wholeMicroseconds cuts off what tshark prints of microseconds beyond them.
func wholeMicroseconds(cfg *Config, r map[string]string) {
	for _, k := range []string{"abstimestart", "abstimeend"} {
		if v, ok := r[k]; ok && cfg.Fields.Timestamps == TimestampsMicroseconds {
			r[k] = v[:len(v)-len("000 UTC")]
		}
	}
}

// compareTo checks a decoded record against what it should be, in both directions.
func compareTo(t testing.TB, want map[uint16]any, got values) {
	t.Helper()
	for id, w := range want {
		b, err := binary.Append(nil, binary.BigEndian, w)
		if err != nil {
			t.Fatal(err)
		}
		if e, _ := ElementByID(id &^ 0x8000); !bytes.Equal(got[id], b) {
			t.Errorf("%s (%#x) = %x, want %x", e.Name, id, got[id], b)
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			t.Errorf("unexpected element %#x", id)
		}
	}
}
