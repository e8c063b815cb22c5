package top

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/render"
)

func someFlows() *Top {
	top := New(Config{MaxFlows: 3})
	a := flowOf(1, 123456789, 1_500_000_000_000, 0, 10)
	a.Output = 3
	b := flowOf(2, 7, 420, 0, 0)
	b.Src, b.Dst = netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:5678"), netip.MustParseAddr("2001:db8:1234:5678:9abc:def0:1234:9abc")
	b.Status = flow.TerminatedHere
	c := flowOf(3, 1, 84, 0, 0)
	c.Protocol, c.SrcPort, c.DstPort, c.Status = 1, 0, 8<<8, flow.Unroutable
	for _, r := range []*render.Row{a, b, c, flowOf(4, 2, 80, 0, 0), flowOf(5, 2, 80, 0, 0)} {
		top.Add(r, t0)
	}
	return top
}

func view(out *bytes.Buffer, width, height int) *View {
	return &View{
		Top: someFlows(), Out: out,
		Size:   func() (int, int, bool) { return width, height, width > 0 },
		Names:  func(i uint32) string { return map[uint32]string{2: "eth0", 3: "wlan0"}[i] },
		Stats:  func() collector.Stats { return collector.Stats{Records: 5, Datagrams: 2, LostRecords: 1} },
		Status: func() string { return "ledger: closes at 0\n" },
	}
}

func TestPlain(t *testing.T) {
	var out bytes.Buffer
	if err := view(&out, 0, 0).Plain(t0); err != nil {
		t.Fatal(err)
	}
	const want = `Top flows by octets in the last 1m0s, 22:13:20 UTC: 3 flows, 5 records, 123456801 packets, 1500000000664 octets
Collector: 5 records in 2 datagrams; lost 0 datagrams, 1 records; refused 0
ledger: closes at 0

Proto  Source → Destination                                                 In→Out             Packets     Octets  Bit/s
TCP    10.0.0.1:40000 → 192.0.2.1:443                                       eth0→wlan0         123456K   1500000M  1200G
TCP    [2001:db8:1234:5678:9abc:def0:1234:5678]:40000                       eth0→Local               7        420   3360
       → [2001:db8:1234:5678:9abc:def0:1234:9abc]:443
ICMP   10.0.0.3 → 192.0.2.1 (8/0)                                           eth0→Null                1         84    672
       others, 2 records                                                                             4        160

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// On a terminal nothing is wider or higher than it, down to the smallest.
func TestDrawFitsTheTerminal(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 8}, {20, 3}, {1, 1}, {300, 100}} {
		var out bytes.Buffer
		if err := view(&out, size[0], size[1]).draw(t0); err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(home, "", eraseLine, "", erasePage, "").Replace(out.String())
		lines := strings.Split(text, "\r\n")
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > size[0] {
				t.Errorf("%v: %d characters: %s", size, n, line)
			}
		}
	}
	var out bytes.Buffer
	view(&out, 80, 24).draw(t0)
	if want := "TCP    10.0.0.1:40000 → 192.0.2.1:443                  123456K   1500000M  1200G"; !strings.Contains(out.String(), want) {
		t.Errorf("80 columns:\n%s", out.String())
	}
}

func TestRun(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		v := view(&out, 0, 0)
		if terminal {
			v = view(&out, 80, 24)
		}
		v.Interval = 20 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), 110*time.Millisecond)
		if err := v.Run(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		got := out.String()
		if n := strings.Count(got, "Top flows by"); n < 3 || n > 8 {
			t.Errorf("terminal %v: %d tables", terminal, n)
		}
		if screen := strings.HasPrefix(got, enter) && strings.Contains(got, leave+"Top"); screen != terminal {
			t.Errorf("terminal %v: %q", terminal, got)
		}
		if !terminal && strings.Contains(got, "\x1b") {
			t.Error("control sequences where there is no terminal")
		}
	}
}
