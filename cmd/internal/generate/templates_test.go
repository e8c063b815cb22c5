package generate_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// templateFaults are what templates go through, and what it costs a collector: the records of
// datagrams that are due from until, since the start, have no template, or an old one.
var templateFaults = []struct {
	faults      []string
	why         manifest.Undecodable
	from, until time.Duration
}{
	{[]string{"late,to=5s"}, manifest.NoTemplate, 0, 5 * time.Second},
	{[]string{"lost,to=5s"}, manifest.NoTemplate, 0, 11 * time.Second}, // they are due again after ten
	{[]string{"lost,from=2s"}, "", 0, 0},
	{[]string{"changed,from=5s,to=15s"}, "", 0, 0},
	{[]string{"changed,from=5s", "lost,from=5s,to=6s"}, manifest.OldTemplate, 5 * time.Second, 16 * time.Second},
	{[]string{"late,to=5s,exporter=2"}, manifest.NoTemplate, 0, 5 * time.Second},
}

// templateConfig is of two routers that send their templates every ten seconds.
func templateConfig(t *testing.T, p export.Protocol, faults ...string) generate.Config {
	t.Helper()
	c := config(t, "office", p)
	c.Routers, c.Duration, c.Export.TemplateInterval = 2, 25*time.Second, 10*time.Second
	for _, text := range faults {
		f, err := generate.ParseTemplateFault(text)
		if err != nil {
			t.Fatal(err)
		}
		c.Templates = append(c.Templates, f)
	}
	return c
}

// goflow2 decodes what the manifest says can be decoded, and nothing else: what has an old
// template it misreads.
func TestTemplateFaults(t *testing.T) {
	for _, p := range []export.Protocol{export.NetFlow9, export.IPFIX} {
		for _, c := range templateFaults {
			t.Run(p.String()+fmt.Sprint(c.faults), func(t *testing.T) {
				s := run(t, t.Context(), templateConfig(t, p, c.faults...))
				all, _ := truth(t, &s.manifest)
				wantUndecodable(t, all, c.why, start.Add(c.from), start.Add(c.until))
				wantDecodedOnly(t, s, all)
				if n := uint64(len(all)) - decodable(all); s.stats.Undecodable != n || s.stats.Records != uint64(len(all)) {
					t.Errorf("%+v, and %d of %d records cannot be decoded", s.stats, n, len(all))
				}
			})
		}
	}
}

// goflow2 decodes just what the manifest says, too, where templates of one router arrive in several
// datagrams, of which some are lost, and where records or templates overtake each other.
func TestTemplatesOnTheirWay(t *testing.T) {
	for _, p := range []export.Protocol{export.NetFlow9, export.IPFIX} {
		for _, c := range []struct {
			mtu    int
			why    manifest.Undecodable
			change string // of templates; "" for none
			faults []string
		}{
			{256, manifest.NoTemplate, "", []string{"drop=80%,to=1300ms"}},
			{256, manifest.OldTemplate, "changed,from=5s", []string{"drop=50%,from=5s,to=6s"}},
			{0, manifest.OldTemplate, "changed,from=5s", []string{"delay=20%,by=2s"}},
			{0, manifest.OldTemplate, "changed,from=5s", []string{"reorder=100%"}},
			{256, manifest.OldTemplate, "changed,from=5s", []string{"reorder=50%", "delay=50%,by=7s", "duplicate=20%"}},
		} {
			t.Run(fmt.Sprint(p, c.mtu, c.change, c.faults), func(t *testing.T) {
				g := templateConfig(t, p)
				if c.change != "" {
					g = templateConfig(t, p, c.change)
				}
				g.Export.MTU = c.mtu
				for _, text := range c.faults {
					f, err := generate.ParseFault(text)
					if err != nil {
						t.Fatal(err)
					}
					g.Faults = append(g.Faults, f)
				}
				s := run(t, t.Context(), g)
				all, _ := truth(t, &s.manifest)
				n := map[manifest.Undecodable]int{}
				for i := range all {
					n[all[i].Undecodable]++
				}
				if n[c.why] == 0 || n[""] == 0 {
					t.Errorf("records by why they cannot be decoded: %v", n)
				}
				wantDecodedOnly(t, s, all)
			})
		}
	}
}

func decodable(all []manifest.Record) (n uint64) {
	for i := range all {
		if all[i].Undecodable == "" {
			n++
		}
	}
	return n
}

// wantUndecodable holds why records cannot be decoded, that there are such, and that none is of a
// flow that ended behind that time.
func wantUndecodable(t *testing.T, all []manifest.Record, why manifest.Undecodable, from, until time.Time) {
	t.Helper()
	n := 0
	for i := range all {
		r := &all[i]
		switch end := time.UnixMilli(r.End); {
		case r.Undecodable == "":
			continue
		case r.Undecodable != why || end.After(until):
			t.Fatalf("%q: %+v", r.Undecodable, r)
		}
		n++
	}
	if n < 50 == (why != "") {
		t.Errorf("%d records cannot be decoded between %s and %s", n, from, until)
	}
}

// wantDecodedOnly compares with what goflow2 decodes.
func wantDecodedOnly(t *testing.T, s *sent, all []manifest.Record) {
	t.Helper()
	flows, _ := judge.Goflow2(s.datagrams)                                                           // its errors are those of missing templates
	flows = slices.DeleteFunc(flows, func(f judge.Flow) bool { return f["packetDeltaCount"] == "" }) // options
	got := map[string]int{}
	for _, f := range flows {
		k := flowKey(0, f)
		got[k]++
	}
	misread := 0
	for i := range all {
		k, times := key(0, &all[i]), 1
		switch all[i].Fault {
		case manifest.Drop:
			times = 0
		case manifest.Duplicate:
			times = 2
		}
		switch all[i].Undecodable {
		case manifest.NoTemplate:
			continue
		case manifest.OldTemplate:
			misread += times
			continue
		}
		if got[k] -= times; got[k] < 0 {
			t.Fatalf("goflow2 does not have %s", k)
		}
	}
	left := 0
	for _, n := range got {
		left += n
	}
	if left != misread {
		t.Errorf("goflow2 decodes %d more records, and %d are misread", left, misread)
	}
}

// A withdrawal costs what a collector that obeys it cannot decode until templates come again.
// goflow2 2.2.6 is no judge of it: with data behind a withdrawal its decoder never returns, and
// takes all memory there is.
func TestWithdrawal(t *testing.T) {
	s := run(t, t.Context(), templateConfig(t, export.IPFIX, "withdrawn,from=5s,to=9s"))
	all, _ := truth(t, &s.manifest)
	wantUndecodable(t, all, manifest.NoTemplate, start.Add(5*time.Second), start.Add(9*time.Second))
	withdrawal := []byte{0, 2, 0, 16, 0, 1, 0, 0} // RFC 7011 §8.1; ids are the router's
	n := 0
	for _, d := range s.datagrams {
		if set := d.Data[16:]; len(set) >= 16 && bytes.Equal(set[:4], withdrawal[:4]) && bytes.Equal(set[6:8], withdrawal[6:]) {
			n++
		}
	}
	if n < 2 { // one of each router
		t.Errorf("%d withdrawals of three templates", n)
	}
}

func TestParseTemplateFault(t *testing.T) {
	for _, text := range []string{"late,to=10s", "lost", "changed,from=10s", "withdrawn,from=1m0s,to=2m0s,exporter=2"} {
		if f, err := generate.ParseTemplateFault(text); err != nil || f.String() != text {
			t.Errorf("%s: %s, %v", text, f, err)
		}
	}
	for _, text := range []string{"", "late", "early,to=1s", "lost,from=1500ms", "lost,from=soon", "changed,from=2s,to=1s", "lost,by=1s", "lost=1%"} {
		if f, err := generate.ParseTemplateFault(text); err == nil {
			t.Errorf("%q is %s", text, f)
		}
	}
	for p, kind := range map[export.Protocol]manifest.TemplateFault{export.NetFlow5: manifest.Lost, export.NetFlow9: manifest.Withdrawn} {
		c := config(t, "office", p)
		c.Templates = []generate.TemplateFault{{Kind: kind}}
		if _, err := generate.Run(t.Context(), c); err == nil {
			t.Errorf("%s has templates that are %s", p, kind)
		}
	}
}
