package generate_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// records reads what --records has.
func records(t *testing.T, texts ...string) (all []generate.RecordFault) {
	t.Helper()
	for _, text := range texts {
		f, err := generate.ParseRecordFault(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// changed returns the records of a manifest that were changed on purpose, in one way.
func changed(all []manifest.Record, how manifest.RecordFault) (some []manifest.Record) {
	for i := range all {
		if all[i].Changed == how {
			some = append(some, all[i])
		}
	}
	return some
}

// Records are changed by their share, within their time, and goflow2 decodes what the manifest says.
func TestRecordFaults(t *testing.T) {
	for _, x := range []export.Config{
		{Protocol: export.NetFlow5}, {Protocol: export.NetFlow9}, {Protocol: export.IPFIX},
		{Protocol: export.NetFlow9, Fields: export.Fields{Layout: export.LayoutASR9000}},
		{Protocol: export.IPFIX, Fields: export.Fields{Counters: export.CountersReduced}},
	} {
		t.Run(fmt.Sprint(x.Protocol, x.Fields), func(t *testing.T) {
			c := config(t, "office", x.Protocol)
			c.Profile.IPv6, c.Export.Fields = 0, x.Fields
			straight := run(t, t.Context(), c)
			c.Records = records(t, "limits=5%,exporter=2", "reversed=5%,from=10s,to=25s")
			s := run(t, t.Context(), c)
			all, _ := truth(t, bytes.NewReader(s.manifest.Bytes()))
			wantDecoded(t, s, all)
			wantReversed(t, changed(all, manifest.Reversed))
			wantLimits(t, changed(all, manifest.Limits), s.stats.NotCarried[export.TooLarge])
			if got := uint64(len(all) - len(changed(all, ""))); s.stats.Changed != got || s.stats.Records+s.stats.NotCarried[export.TooLarge] < straight.stats.Records {
				t.Errorf("%+v, and %d records are marked", s.stats, got)
			}
		})
	}
}

// A flow that starts and ends as its router boots has nothing before it: it is left alone, and
// not marked.
func TestReversedAtBoot(t *testing.T) {
	all := frames(t, 6000) // 12 s
	for i := range all {
		if all[i].data[12] == 8 && i >= 1000 { // IPv4
			alone := frame{at: 10 * time.Second, data: bytes.Clone(all[i].data)}
			copy(alone.data[26:], []byte{203, 0, 113, 9})
			all = slices.Insert(all, 5000, alone)
			break
		}
	}
	c := captured(t, export.IPFIX, write(t, all))
	c.Routers, c.Records = 1, records(t, "reversed=100%")
	c.Restarts = []generate.Restart{{At: 10 * time.Second}}
	s := run(t, t.Context(), c)
	sent, _ := truth(t, bytes.NewReader(s.manifest.Bytes()))
	wantDecoded(t, s, sent)
	wantReversed(t, changed(sent, manifest.Reversed))
	boot, left := start.Add(10*time.Second).UnixMilli(), 0
	for _, r := range changed(sent, "") {
		left++
		if r.Start != boot || r.End != boot {
			t.Errorf("a flow from %s to %s is left alone", time.UnixMilli(r.Start).UTC(), time.UnixMilli(r.End).UTC())
		}
	}
	if left == 0 {
		t.Error("no flow starts and ends at the boot")
	}
}

func wantReversed(t *testing.T, reversed []manifest.Record) {
	t.Helper()
	for i := range reversed {
		r := &reversed[i]
		if r.End >= r.Start || r.Start < start.UnixMilli()-1000 {
			t.Fatalf("a flow from %s to %s", time.UnixMilli(r.Start).UTC(), time.UnixMilli(r.End).UTC())
		}
	}
	if n := len(reversed); n < 100 {
		t.Errorf("%d records are reversed", n)
	}
}

// wantLimits has as many records at each of the limits, or those missing that counters of four octets cannot carry.
func wantLimits(t *testing.T, limits []manifest.Record, notCarried uint64) {
	t.Helper()
	at := map[uint64]uint64{}
	for i := range limits {
		r := &limits[i]
		if r.Exporter != 2 || r.Packets != r.Octets {
			t.Fatalf("a record at a limit: %+v", r)
		}
		at[r.Octets]++
	}
	n := at[math.MaxUint32]
	switch {
	case n < 10:
		t.Errorf("%d records of 2^32-1 octets", n)
	case notCarried > 0: // 2^32 is sent in halves
		if half := at[1<<31]; len(at) != 2 || (half+1)/2-n > 1 && n-half/2 > 1 || notCarried-n > n || notCarried < 2*(n-1) {
			t.Errorf("%v, and %d are not carried", at, notCarried)
		}
	case len(at) != 4 || n-at[1<<32] > 1 || n-at[1<<63] > 1 || n-at[math.MaxUint64] > 1:
		t.Errorf("%v", at)
	}
}

func TestParseRecordFault(t *testing.T) {
	for _, text := range []string{"limits=1%", "reversed=0.5%,from=10s", "limits=100%,from=1m0s,to=2m0s,exporter=65535"} {
		if f, err := generate.ParseRecordFault(text); err != nil || f.String() != text {
			t.Errorf("%s: %s, %v", text, f, err)
		}
	}
	for _, text := range []string{"", "limits", "limits=0%", "limits=101%", "limits=NaN", "drop=1%", "limits=1%,by=1s", "limits=%", "reversed=1%,from=2s,to=1s"} {
		if f, err := generate.ParseRecordFault(text); err == nil {
			t.Errorf("%q is %s", text, f)
		}
	}
}
