package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/cmd/internal/verify"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// nfcapdHas has nfcapd take what three routers send of which one is changed, and returns it as nfdump's CSV.
func nfcapdHas(t *testing.T, protocol export.Protocol, change func(*generate.Config)) (truth, []byte) {
	t.Helper()
	n := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 8 << 20})
	addresses, _ := generate.ParseSources("127.0.1.0/24", 3)
	sockets, err := generate.Dial(n.Address, addresses, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()
	all := generated(t, protocol, "127.0.1.0/24", sockets.Send, change)
	n.Stop()
	return all, n.Print("csv")
}

// nfcapd has the times that the manifest says, also where sysUpTime wraps and the wall clock steps.
// But in NetFlow v9, nfcapd 1.7.1 puts flows that end before a wrap, and are exported behind it, 49.7
// days too late; that is told from other differences.
func TestClocks(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		for _, text := range []string{"wrap,at=10s", "step=-30s,at=10s", "step=48h,at=10s,exporter=2"} {
			t.Run(protocol.String()+" "+text, func(t *testing.T) {
				clock, err := generate.ParseClock(text)
				if err != nil {
					t.Fatal(err)
				}
				all, stored := nfcapdHas(t, protocol, func(c *generate.Config) { c.Clocks = []generate.Clock{clock} })
				if r := compare(t, all, stored); protocol == export.NetFlow9 && clock.Kind == manifest.Wrap {
					wantWrap(t, r, all)
				} else {
					wantComplete(t, r, all)
				}
			})
		}
	}
}

// wantWrap has no difference but flows that ended before the wrap, 2^32 ms off.
func wantWrap(t *testing.T, r *verify.Result, all truth) {
	t.Helper()
	wrap := time.Date(2026, 1, 1, 11, 0, 10, 0, time.UTC).UnixMilli()
	for i := range r.Differences {
		d := &r.Differences[i]
		if d.Kind != verify.Altered || d.Want.End > wrap || strings.Join(d.Fields, " ") != "flowStartMilliseconds flowEndMilliseconds" {
			t.Fatalf("%s: %s", d.Kind, d)
		}
	}
	var text strings.Builder
	_ = r.WriteText(&text, all.exporters)
	if want := fmt.Sprintf("%d of the altered records are 2^32 ms off", len(r.Differences)); len(r.Differences) < 100 || !strings.Contains(text.String(), want) {
		t.Errorf("no %q: %s", want, &text)
	}
}

// A record that is 2^32 ms off, and whose octets are others, has more than a wrap.
func TestMoreThanAWrap(t *testing.T) {
	all := generated(t, export.NetFlow5, "127.0.1.0/24", func(int, []byte) error { return nil })
	for _, c := range []struct {
		off, octets int64
		want        bool
	}{{1 << 32, 0, true}, {-1 << 32, 0, true}, {1 << 32, 1, false}, {1<<32 + 1000, 0, false}, {1 << 31, 0, false}} {
		stored := slices.Clone(all.records)
		stored[99].Start, stored[99].Octets = stored[99].Start+c.off, stored[99].Octets+uint64(c.octets)
		var text strings.Builder
		_ = verify.Compare(slices.Clone(all.records), stored, verify.Shows{Start: true, End: true}).WriteText(&text, all.exporters)
		if strings.Contains(text.String(), "2^32 ms off") != c.want {
			t.Errorf("%+v: %s", c, &text)
		}
	}
}

// nfcapd has counters at their limits. In NetFlow v5 and v9 it takes a flow that ends before it starts
// for one of 49.7 days, which is told to be by fault.
func TestRecordFaults(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		for _, text := range []string{"limits=5%", "reversed=5%"} {
			t.Run(protocol.String()+" "+text, func(t *testing.T) {
				fault, err := generate.ParseRecordFault(text)
				if err != nil {
					t.Fatal(err)
				}
				all, stored := nfcapdHas(t, protocol, func(c *generate.Config) { c.Records = []generate.RecordFault{fault} })
				r := compare(t, all, stored)
				if protocol == export.IPFIX || fault.Kind == manifest.Limits {
					wantComplete(t, r, all)
					return
				}
				reversed := uint64(0)
				for i := range all.records {
					if all.records[i].Changed == manifest.Reversed {
						reversed++
					}
				}
				var text strings.Builder
				_ = r.WriteText(&text, all.exporters)
				if r.Total.Altered != reversed || reversed < 100 || !r.Explained() || strings.Contains(text.String(), "2^32 ms off") {
					t.Errorf("%d records are reversed: %s", reversed, &text)
				}
			})
		}
	}
}

// A reversed record whose octets are others, too, is not explained by that; one that is missing is.
func TestMoreThanReversed(t *testing.T) {
	all := generated(t, export.IPFIX, "127.0.1.0/24", func(int, []byte) error { return nil })
	all.records[99].Changed = manifest.Reversed
	for _, c := range []struct {
		change func(*manifest.Record)
		want   bool
	}{
		{func(r *manifest.Record) { r.Start -= 3000 }, true},
		{func(r *manifest.Record) { r.Start, r.Octets = r.Start-3000, r.Octets+1 }, false},
		{nil, true},
	} {
		stored := slices.Clone(all.records)
		if c.change != nil {
			c.change(&stored[99])
		} else {
			stored = slices.Delete(stored, 99, 100)
		}
		if r := verify.Compare(slices.Clone(all.records), stored, verify.Shows{Start: true, End: true}); r.Explained() != c.want || r.Complete() {
			t.Errorf("%v: %v", c.want, r.Differences)
		}
	}
}
