package generate_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// sequences returns how often each sequence number of each router was sent, and how often one
// came behind a later one.
func sequences(s *sent) (times map[string]int, late int) {
	times, last := map[string]int{}, map[string]uint32{}
	for _, d := range s.datagrams {
		n, from := binary.BigEndian.Uint32(d.Data[12:]), d.From.String()
		times[fmt.Sprint(from, n)]++
		if n < last[from] {
			late++
		}
		last[from] = n
	}
	return times, late
}

// faulty returns the records of the manifest by their fault.
func faulty(t *testing.T, r io.Reader) map[manifest.Fault]int {
	t.Helper()
	all, _ := truth(t, r)
	n := map[manifest.Fault]int{}
	for i := range all {
		n[all[i].Fault]++
	}
	return n
}

// Faults hit their share, of the datagrams that they are about, and the manifest says which.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of traffic is too little for a share of a third of it")
	}
	c := config(t, "office", export.NetFlow9)
	whole := run(t, t.Context(), c)
	n := float64(len(whole.datagrams))
	for _, f := range []struct {
		text     string
		datagram float64 // how many are hit, of those there are
		sent     float64 // how many more or fewer are sent, of those
		late     float64
	}{
		{"drop=10%", 0.1 * n, -0.1 * n, 0},
		{"duplicate=10%", 0.1 * n, 0.1 * n, 0},
		{"reorder=10%", 0.1 * n, 0, 0.1 * n},
		{"delay=10%,by=5s", 0.1 * n, 0, 0.1 * n},
		{"truncate=10%", 0.1 * n, 0, 0},
		{"jump=10%", 0.1 * n, 0, 0},
		{"drop=50%,exporter=2", n / 6, -n / 6, 0},
		{"drop=50%,from=30s,to=1m", n / 6, -n / 6, 0},
	} {
		t.Run(f.text, func(t *testing.T) {
			fault, err := generate.ParseFault(f.text)
			if err != nil {
				t.Fatal(err)
			}
			c := c
			c.Faults = []generate.Fault{fault}
			s := run(t, t.Context(), c)
			near := func(of string, got, want float64) {
				if got < want-0.4*max(want, -want) || got > want+0.4*max(want, -want) {
					t.Errorf("%s: %v instead of about %.0f", of, got, want)
				}
			}
			times, late := sequences(s)
			twice := 0
			for _, k := range times {
				twice += k - 1
			}
			if fault.Kind != manifest.Duplicate && twice > 0 {
				t.Errorf("%d datagrams were sent twice", twice)
			}
			near("datagrams that are hit", float64(s.stats.Faults), f.datagram)
			near("datagrams that are sent", float64(len(s.datagrams))-n, f.sent)
			near("datagrams that come late", float64(late), f.late)
			if hit := faulty(t, &s.manifest); hit[fault.Kind] < 100 || len(hit) != 2 {
				t.Errorf("records by their fault: %v", hit)
			}
			if s.stats.Datagrams != whole.stats.Datagrams || s.stats.Records != whole.stats.Records {
				t.Errorf("%+v instead of %+v", s.stats, whole.stats)
			}
		})
	}
}

// Faults too are the same each time, and change nothing in the datagrams that they leave alone.
func TestFaultsAreTheSame(t *testing.T) {
	c := config(t, "office", export.IPFIX)
	c.Faults = []generate.Fault{{Kind: manifest.Drop, Share: 0.1}, {Kind: manifest.Duplicate, Share: 0.1}, {Kind: manifest.Reorder, Share: 0.1}, {Kind: manifest.Delay, Share: 0.1}}
	first := run(t, t.Context(), c)
	if first.sum() != run(t, t.Context(), c).sum() {
		t.Error("other faults")
	}
	c.Faults = nil
	whole := map[string]bool{}
	for _, d := range run(t, t.Context(), c).datagrams {
		whole[d.From.String()+string(d.Data)] = true
	}
	for _, d := range first.datagrams {
		if !whole[d.From.String()+string(d.Data)] {
			t.Fatal("a datagram that is another without faults")
		}
	}
}

func TestParseFault(t *testing.T) {
	for _, text := range []string{"drop=1%", "duplicate=0.5%,from=10s", "reorder=100%,from=1m0s,to=2m0s,exporter=65535", "truncate=1%", "jump=1%", "delay=1%,by=2s"} {
		if f, err := generate.ParseFault(text); err != nil || f.String() != text {
			t.Errorf("%s: %s, %v", text, f, err)
		}
	}
	if f, err := generate.ParseFault("drop=0.01,to=1h"); err != nil || f != (generate.Fault{Kind: manifest.Drop, Share: 0.01, Scope: generate.Scope{To: time.Hour}}) {
		t.Errorf("%+v, %v", f, err)
	}
	for _, text := range []string{
		"", "drop", "drop=0%", "drop=101%", "drop=half", "lose=1%", "drop=1%,from=soon", "drop=1%,from=2s,to=1s", "drop=1%,exporter=65536",
		"drop=1%,share=2", "drop=NaN", "drop=1%,by=1s", "delay=1%,by=-1s",
	} {
		if f, err := generate.ParseFault(text); err == nil {
			t.Errorf("%q is %s", text, f)
		}
	}
}
