package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/capture"

	"github.com/google/go-cmp/cmp"
)

// closed returns a ledger that closes: each sum is made from random terms, and
// every term is above 0. shared says that one ring serves all interfaces.
func closed(r *rand.Rand, shared bool) *Ledger {
	n := func() uint64 { return 1 + r.Uint64N(1_000_000) }
	some := func() Sum { // far less than what left the cache
		c := 1 + r.Uint64N(9)
		return Sum{c, c + r.Uint64N(999), 1500*c + r.Uint64N(999)}
	}
	l := &Ledger{Time: time.Date(2026, 11, 23, 20, 7, 0, 0, time.UTC), Quiet: true}
	var ring Interface
	var metered Sum
	for i := range uint32(1 + r.UintN(3)) {
		f := Interface{
			Index: i + 1, Name: fmt.Sprintf("eth%d", i), Mode: "af_packet", InRing: n(), Metered: 1_000_000 + n(),
			Lost: n(), OtherHost: n(), ClockJumps: n(),
			Ignored:     []Frames{{capture.NonIP.String(), n()}, {capture.Leaving.String(), n()}},
			Undecodable: []Frames{{capture.TruncatedIP.String(), n()}},
		}
		f.Packets = f.Metered + n()
		f.Octets = 500*f.Packets + n()
		f.Observations, f.InFirstLevel, f.SampledOut = f.Metered, n(), n()
		part := func() capture.Sum { return capture.Sum{Packets: n(), Octets: n()} }
		f.FirstLevel = capture.FirstLevel{Lost: part(), Content: part(), InRing: part(), HandedOver: part()}
		for _, s := range []capture.Sum{f.FirstLevel.Lost, f.FirstLevel.Content, f.FirstLevel.InRing, f.FirstLevel.HandedOver} {
			f.FirstLevel.Counted.Add(s)
		}
		f.Observed = f.Lost + f.InFirstLevel + f.InRing + f.SampledOut + f.Metered + f.Ignored[0].Frames + f.Ignored[1].Frames + f.Undecodable[0].Frames
		if shared {
			ring.Observed += f.Observed
			ring.Lost += f.Lost
			f.Observed, f.Lost = 0, 0
		}
		metered.Add(Sum{f.Metered, f.Packets, f.Octets})
		l.Interfaces = append(l.Interfaces, f)
	}
	if shared {
		ring.Name, ring.Mode = "ring of 9", "af_packet"
		l.Interfaces = append([]Interface{ring}, l.Interfaces...)
	}
	own := Sum{metered.Count / 3, metered.Packets / 3, metered.Octets / 3}
	l.Ignored = []Term{{"own export", own}}
	l.FirstLevel = &capture.FirstLevelState{Entries: 131072, Used: 99, Octets: 37748736, Flips: 12, Early: 1, Victims: 7}
	l.Cache.Observed = Sum{metered.Count - own.Count, metered.Packets - own.Packets, metered.Octets - own.Octets}
	l.Cache.Content = Sum{1 + r.Uint64N(65536), l.Cache.Observed.Packets / 4, l.Cache.Observed.Octets / 4}
	idle := Sum{100 + r.Uint64N(99_999), l.Cache.Observed.Packets / 2, l.Cache.Observed.Octets / 2}
	full := Sum{100 + r.Uint64N(99_999), l.Cache.Observed.Packets - l.Cache.Content.Packets - idle.Packets,
		l.Cache.Observed.Octets - l.Cache.Content.Octets - idle.Octets}
	l.Cache.Ended = []Term{{"idle timeout", idle}, {"lack of resources", full}}
	l.Cache.Expired = idle.Count
	l.Cache.Added = l.Cache.Content.Count + l.Cache.Expired
	l.Records = total(l.Cache.Ended)
	for i := range 2 {
		e := Exporter{Name: fmt.Sprintf("collector%d", i), Destination: "192.0.2.1:2055", Protocol: "netflow9",
			Handed: l.Records, Made: l.Records, Queued: some(), Building: some(), Dropped: []Term{{"queue full", some()}, {"too large", some()}}}
		e.Sent = Sum{e.Made.Count, e.Made.Packets, e.Made.Octets}
		for _, o := range []Sum{e.Queued, e.Building, e.Dropped[0].Sum, e.Dropped[1].Sum} {
			e.Sent = Sum{e.Sent.Count - o.Count, e.Sent.Packets - o.Packets, e.Sent.Octets - o.Octets}
		}
		l.Exporters = append(l.Exporters, e)
	}
	return l
}

// counters returns the address of each counter below v, with its path.
func counters(v reflect.Value, path string, out map[string]*uint64) {
	switch v.Kind() {
	case reflect.Uint64:
		out[path] = v.Addr().Interface().(*uint64)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			counters(v.Field(i), path+"."+v.Type().Field(i).Name, out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			counters(v.Index(i), fmt.Sprintf("%s[%d]", path, i), out)
		}
	}
}

// TestEveryTermCounts skips one increment of one term, for each term in turn,
// and one too many: the balance must show both.
func TestEveryTermCounts(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		shared := seed%2 == 1
		l := closed(r, shared)
		if !l.Closes() {
			t.Fatalf("seed %d: the account does not close: %+v", seed, l.Balance())
		}
		terms := map[string]*uint64{}
		counters(reflect.ValueOf(l).Elem(), "", terms)
		if len(terms) < 50 {
			t.Fatalf("only %d terms found", len(terms))
		}
		for path, n := range terms {
			informs := strings.HasSuffix(path, ".OtherHost") || strings.HasSuffix(path, ".ClockJumps")
			for _, by := range []uint64{1, ^uint64(0)} {
				*n += by
				if l.Closes() != informs {
					t.Errorf("seed %d: %s is off by %d and the balance says closes: %v", seed, path, int64(by), !informs)
				}
				*n -= by
			}
		}
	}
}

// TestSharedRing shows that the frames of one interface are not judged alone
// where the kernel tells what was observed for the ring only.
func TestSharedRing(t *testing.T) {
	for _, shared := range []bool{false, true} {
		l := closed(rand.New(rand.NewPCG(3, 3)), shared)
		var alone int
		for _, i := range l.Balance() {
			if strings.HasPrefix(i.Scope, "interface ") {
				alone++
			}
		}
		if want := len(l.Interfaces); shared && alone != 0 || !shared && alone != want {
			t.Errorf("shared %v: %d interfaces judged alone, of %d", shared, alone, want)
		}
	}
}

func TestInterfacesMerge(t *testing.T) {
	a := capture.Counters{Index: 2, Name: "eth0", Mode: "af_packet", Observed: 13, Lost: 1, InRing: 1, SampledOut: 3, Metered: 6, Packets: 7, Octets: 700, OtherHost: 1, ClockJumps: 1}
	a.NotMetered[capture.NonIP] = 1
	a.NotMetered[capture.BadVersion] = 1
	b := a
	b.NotMetered[capture.BadVersion], b.NotMetered[capture.Leaving] = 0, 1
	ring := capture.Counters{Name: "ring", Mode: "af_packet", Observed: 5, Lost: 5}
	again := capture.Counters{Index: 7, Name: "eth0", Mode: "af_packet"} // the name came back with another index
	got := Interfaces([]capture.Counters{again, a, ring, b})
	want := []Interface{
		{Name: "ring", Mode: "af_packet", Observed: 5, Lost: 5},
		{Index: 2, Name: "eth0", Mode: "af_packet", Observed: 26, Lost: 2, InRing: 2, SampledOut: 6, Metered: 12, Packets: 14, Octets: 1400, OtherHost: 2, ClockJumps: 2,
			Ignored:     []Frames{{"non-IP", 2}, {"leaving", 1}},
			Undecodable: []Frames{{"bad IP version", 1}}},
		{Index: 7, Name: "eth0", Mode: "af_packet"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNewCache(t *testing.T) {
	s := cache.Stats{Observed: cache.Sum{Flows: 9, Packets: 10, Octets: 1000}}
	s.Ended[1] = cache.Sum{Flows: 2, Packets: 3, Octets: 300}
	s.Families[0].Added, s.Families[1].Added = 3, 4
	s.Families[1].Ended[cache.ICMP].Flows = 2
	s.Families[0].Ended[cache.UDPDNS].Flows = 1
	got := NewCache(&s, cache.Sum{Flows: 4, Packets: 7, Octets: 700})
	if got.Added != 7 || got.Expired != 3 || got.Content.Count != 4 || got.Observed.Octets != 1000 {
		t.Errorf("got %+v", got)
	}
	if len(got.Ended) != 5 || got.Ended[0].Reason != "idle timeout" || got.Ended[0].Packets != 3 || got.Ended[4].Reason != "lack of resources" {
		t.Errorf("end reasons: %+v", got.Ended)
	}
	s.Ended[0].Flows = 1 // a record without a reason is a defect that must show
	if got := NewCache(&s, cache.Sum{}); len(got.Ended) != 6 {
		t.Errorf("a record without a reason is hidden: %+v", got.Ended)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	l := closed(rand.New(rand.NewPCG(5, 5)), false)
	var b bytes.Buffer
	if err := l.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"balance":[{"scope":"interface eth0","unit":"frames"`) {
		t.Errorf("no balance in %s", b.String())
	}
	got := new(Ledger)
	if err := json.Unmarshal(b.Bytes(), got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(l, got); d != "" {
		t.Error(d)
	}
}

func TestText(t *testing.T) {
	quiet := closed(rand.New(rand.NewPCG(8, 8)), false)
	traffic := closed(rand.New(rand.NewPCG(9, 9)), true)
	traffic.Quiet = false
	traffic.Interfaces[0].Observed += 64
	broken := closed(rand.New(rand.NewPCG(8, 8)), false)
	broken.Exporters[0].Sent.Packets--
	for name, l := range map[string]*Ledger{"quiet": quiet, "traffic": traffic, "broken": broken} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := l.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			path := "testdata/" + name + ".golden"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}
