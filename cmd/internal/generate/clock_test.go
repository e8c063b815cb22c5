package generate_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// clocks reads what --clock has.
func clocks(t *testing.T, texts ...string) (all []generate.Clock) {
	t.Helper()
	for _, text := range texts {
		c, err := generate.ParseClock(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// lines returns those of a manifest that begin with a key.
func lines[T any](t *testing.T, text []byte, key string) (all []T) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(z); s.Scan(); {
		if !bytes.HasPrefix(s.Bytes(), []byte(`{"`+key+`":`)) {
			continue
		}
		var v T
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// uptimes returns the headers' sysUpTime of a router's datagrams, counted from 0.
func uptimes(s *sent, router int) (all []uint32) {
	for _, d := range s.datagrams {
		if int(d.From.Addr().As4()[3]) == router+1 {
			all = append(all, binary.BigEndian.Uint32(d.Data[4:]))
		}
	}
	return all
}

// sysUpTime wraps when it is told to, in headers and in records, and the manifest has the times of
// the traffic all the same. The other router's does not.
func TestUptimeWraps(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9} {
		t.Run(protocol.String(), func(t *testing.T) {
			c := config(t, "office", protocol)
			c.Profile.IPv6, c.Routers = 0, 2
			c.Clocks = clocks(t, "wrap,at=10s,exporter=1")
			s := run(t, t.Context(), c)
			all, _ := truth(t, bytes.NewReader(s.manifest.Bytes()))
			wantDecoded(t, s, all)
			wantTimes(t, all, 0)

			wraps := func(up []uint32) bool { return slices.Min(up) < 60_000 && slices.Max(up) > 1<<32-60_000 }
			if up := uptimes(s, 0); !wraps(up) || wraps(uptimes(s, 1)) {
				t.Errorf("sysUpTime from %d to %d", slices.Min(up), slices.Max(up))
			}
			across := 0
			for i := range all {
				at := start.Add(10 * time.Second).UnixMilli()
				if all[i].Exporter == 1 && all[i].Start < at && all[i].End > at {
					across++
				}
			}
			if across < 10 {
				t.Errorf("%d flows live while sysUpTime wraps", across)
			}
			told := lines[manifest.Clock](t, s.manifest.Bytes(), "clock")
			if at := start.Add(10 * time.Second); len(told) != 1 || told[0] != (manifest.Clock{Clock: manifest.Wrap, Exporter: 1, At: at, Boot: at}) {
				t.Errorf("the manifest says %+v", told)
			}
		})
	}
}

// wantTimes has all records lie within the traffic, but for a second that NetFlow v9 may be early.
func wantTimes(t *testing.T, all []manifest.Record, off time.Duration) {
	t.Helper()
	for i := range all {
		r := &all[i]
		from, until := start.Add(off-time.Second).UnixMilli(), start.Add(off+90*time.Second).UnixMilli()
		if r.Start < from || r.End < r.Start || r.End > until {
			t.Fatalf("a flow from %s to %s", time.UnixMilli(r.Start).UTC(), time.UnixMilli(r.End).UTC())
		}
	}
}

// A step moves the wall time of headers and of all records behind it, and no sysUpTime.
func TestClockSteps(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		for _, step := range []string{"-1h0m0s", "30.5s"} {
			t.Run(protocol.String()+" "+step, func(t *testing.T) {
				by, _ := time.ParseDuration(step)
				c := config(t, "office", protocol)
				c.Profile.IPv6, c.Routers = 0, 1
				straight, boot := run(t, t.Context(), c), bootOf(t, c)
				c.Clocks = clocks(t, "step="+step+",at=10s")
				s := run(t, t.Context(), c)
				all, _ := truth(t, bytes.NewReader(s.manifest.Bytes()))
				wantDecoded(t, s, all)

				moved := 0
				want, _ := truth(t, &straight.manifest)
				for i := range all { // no record is another, but for its times
					switch off := time.Duration(all[i].Start-want[i].Start) * time.Millisecond; {
					case abs(off-by) < time.Second:
						moved++
					case moved > 0 || abs(off) >= time.Second:
						t.Fatalf("record %d is %v off, behind %d that were moved", i, off, moved)
					}
				}
				if moved < len(all)/2 || moved == len(all) {
					t.Errorf("%d of %d records were moved", moved, len(all))
				}
				told := lines[manifest.Clock](t, s.manifest.Bytes(), "clock")
				if len(told) != 1 || told[0].By != step || told[0].At != start.Add(10*time.Second) || told[0].Boot != boot.Add(by) {
					t.Errorf("the manifest says %+v", told)
				}
				if up := uptimes(s, 0); protocol != export.IPFIX && !slices.IsSorted(up) {
					t.Error("sysUpTime goes back")
				}
			})
		}
	}
}

func abs(d time.Duration) time.Duration { return max(d, -d) }

// The wall clock stays off through a restart, and steps add up.
func TestStepsAddUp(t *testing.T) {
	c := config(t, "office", export.IPFIX)
	c.Routers = 1
	c.Clocks = clocks(t, "step=1h,at=5s", "step=-10m,at=20s")
	c.Restarts = []generate.Restart{{At: 10 * time.Second}}
	s := run(t, t.Context(), c)
	all, _ := truth(t, bytes.NewReader(s.manifest.Bytes()))
	wantDecoded(t, s, all)
	wantTimes(t, all[len(all)-100:], 50*time.Minute)
	told := lines[manifest.Clock](t, s.manifest.Bytes(), "clock")
	if len(told) != 2 || told[1].Boot != start.Add(10*time.Second+50*time.Minute) {
		t.Errorf("the manifest says %+v", told)
	}
}

func TestParseClock(t *testing.T) {
	for _, text := range []string{"wrap,at=10m0s", "step=-30s,at=1s", "step=1h0m0s,at=10m0s,exporter=65535", "step=1ms,at=1s"} {
		if c, err := generate.ParseClock(text); err != nil || c.String() != text {
			t.Errorf("%s: %s, %v", text, c, err)
		}
	}
	for _, text := range []string{
		"", "wrap", "wrap,at=0s", "wrap,at=1500ms", "wrap=1s,at=1s", "step,at=1s", "step=0s,at=1s", "step=1us,at=1s", "step=1h", "step=soon,at=1s",
		"skew=1s,at=1s", "wrap,at=1s,from=1s", "wrap,at=1s,exporter=65536",
	} {
		if c, err := generate.ParseClock(text); err == nil {
			t.Errorf("%q is %s", text, c)
		}
	}
}

// What no router can do is refused.
func TestClocksThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		want   string
		clocks []string
	}{
		{"has done so", []string{"wrap,at=1s", "wrap,at=2s,exporter=2"}},
		{"restarts before it", []string{"wrap,at=11s,exporter=2"}},
		{"restarts before it", []string{"wrap,at=11s"}},
		{"the traffic ends", []string{"wrap,at=24h"}},
		{"1970 to 2106", []string{"step=-500000h,at=1s"}},
		{"1970 to 2106", []string{"step=400000h,at=1s", "step=400000h,at=2s"}},
	} {
		g := config(t, "office", export.NetFlow9)
		g.Clocks, g.Restarts = clocks(t, c.clocks...), []generate.Restart{{At: 10 * time.Second, Exporter: 2}}
		if _, err := generate.Run(t.Context(), g); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v instead of %q", c.clocks, err, c.want)
		}
	}
}
