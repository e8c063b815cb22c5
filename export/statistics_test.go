package export

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cacheflow/cache/flow"
)

// optionWith returns the options records of all datagrams that have an element.
func (c *collector) optionsWith(id uint16) (rs []values) {
	for i := range c.messages {
		for _, o := range c.messages[i].options() {
			if o[id] != nil {
				rs = append(rs, o)
			}
		}
	}
	return rs
}

// TestStatistics: goflow2 reads each account when its time has come, with the figures of
// that moment, and at the end those of the end.
func TestStatistics(t *testing.T) {
	for _, p := range bothTemplated {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			var refuse atomic.Bool
			f := &fakeSocket{write: func(int) error {
				if refuse.Load() {
					return syscall.EPERM
				}
				return nil
			}}
			var lost atomic.Pointer[Unmetered]
			lost.Store(&Unmetered{})
			e := withSocket(t, f, Config{
				Protocol: p, SourceID: 7, Epoch: func() time.Time { return testEpoch },
				Now:       func() flow.Time { return flow.Time(time.Hour) + flow.Time(time.Since(begin)) },
				Options:   OptionIntervals{SamplerTable: Off, ExporterStats: 2 * time.Second, Reliability: 5 * time.Second},
				Unmetered: func() Unmetered { return *lost.Load() },
			})
			go e.Run(t.Context())
			time.Sleep(100 * time.Millisecond)
			e.Put(records(500))
			time.Sleep(1800 * time.Millisecond)
			before := checkLedger(t, e)
			time.Sleep(200 * time.Millisecond)
			refuse.Store(true)
			e.Put(records(10))
			time.Sleep(1500 * time.Millisecond) // they were lost 1 s later: at 3.1 s
			refuse.Store(false)
			lost.Store(&Unmetered{77, 8888, flow.Time(time.Minute), flow.Time(time.Hour)})
			time.Sleep(1900 * time.Millisecond) // 5.5 s

			c := newCollector(t)
			receive := func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				for _, b := range f.sent {
					c.receive(b)
				}
				f.sent = nil
			}
			receive()
			stats := c.optionsWith(exportedMessageTotalCount)
			if len(stats) != 3 || before.Sent.Records != 500 {
				t.Fatalf("%v: %d statistics in 5.5 s, want those of 0, 2 and 4 s: %v", p, len(stats), stats)
			}
			if o := stats[0]; o.uint(41)+o.uint(42)+o.uint(40) != 0 {
				t.Errorf("%v: at the start: %v", p, o)
			}
			if o := stats[1]; o.uint(41) != before.Datagrams.Count || o.uint(42) != 500 || o.uint(40) != before.Datagrams.Octets {
				t.Errorf("%v: %v after %+v", p, o, before)
			}
			exporting := c.optionsWith(notSentFlowTotalCount)
			o, want := exporting[len(exporting)-1], checkLedger(t, e)
			if n := want.NotSent(); n.Records != 10 || o.uint(166) != n.Records || o.uint(167) != n.Packets || o.uint(168) != n.Octets {
				t.Errorf("%v: %v of %+v", p, o, n)
			}
			at := testEpoch.Add(time.Hour + 3*time.Second).UnixMilli()
			if got := int64(o.uint(323)); got < at || got > at+100 {
				t.Errorf("%v: last dropped at %d, want %d or up to 100 ms later", p, got, at)
			}
			metering := c.optionsWith(ignoredPacketTotalCount)
			if o := metering[len(metering)-1]; o.uint(164) != 77 || o.uint(165) != 8888 || int64(o.uint(323)) != testEpoch.Add(time.Hour).UnixMilli() {
				t.Errorf("%v: metering %v", p, o)
			}

			lost.Store(&Unmetered{Packets: 78})
			e.Put(records(100))
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			receive()
			final := &c.messages[len(c.messages)-1]
			if len(final.records()) > 0 || len(final.options()) != 3 {
				t.Fatalf("%v: the last message has %d records, %d options", p, len(final.records()), len(final.options()))
			}
			end := e.Stats()
			if o := c.optionsWith(42); o[len(o)-1].uint(42) != end.Sent.Records || o[len(o)-1].uint(41) != end.Datagrams.Count-1 {
				t.Errorf("%v: at the end %v, sent %+v", p, o[len(o)-1], end)
			}
			if o := c.optionsWith(164); o[len(o)-1].uint(164) != 78 {
				t.Errorf("%v: at the end %v", p, o[len(o)-1])
			}
		})
	}
}

// TestTsharkStatistics: tshark names every figure, and has no complaint.
func TestTsharkStatistics(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	for _, p := range bothTemplated {
		w := newPcap(t)
		cfg := Config{
			Protocol: p, Now: func() flow.Time { return 0 }, Epoch: func() time.Time { return testEpoch },
			Unmetered: func() Unmetered { return Unmetered{11, 12, flow.Time(time.Second), flow.Time(2 * time.Second)} },
			stats: func() Stats {
				s := Stats{Sent: Count{Records: 1001}, Datagrams: Datagrams{1002, 1003}, FirstDrop: flow.Time(3 * time.Second), LastDrop: flow.Time(4 * time.Second)}
				s.Dropped[QueueFull] = Count{21, 22, 23}
				return s
			},
		}
		s, err := NewSession(cfg, w.add)
		if err != nil {
			t.Fatal(err)
		}
		feed(s, 30)
		out := tshark(t, w, "-c", "1", "-V")
		for _, want := range []string{
			"FlowsExp: 1001", "PacketsExp: 1002", "OctetsExp: 1003",
			"Ignored Packets: 11", "Ignored Octets: 12", "Not Sent Flows: 21", "Not Sent Packets: 22", "Not Sent Octets: 23",
			"22:13:21.000000000", "22:13:22.000000000", "22:13:23.000000000", "22:13:24.000000000",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%v: tshark does not read %q", p, want)
			}
		}
		if complaints := tshark(t, w, "-Y", faults); complaints != "" {
			t.Errorf("%v: tshark complains:\n%.2000s", p, complaints)
		}
	}
}

// TestFlowKeys: goflow2 decodes, for each template, just the fields by which the cache
// tells flows apart.
func TestFlowKeys(t *testing.T) {
	c := newCollector(t)
	feed(c.session(Config{Protocol: IPFIX}), 10)
	keys := c.optionsWith(flowKeyIndicator)
	if len(keys) != 3 {
		t.Fatalf("%d flow keys, want one for each template", len(keys))
	}
	for i, tmpl := range c.firstTemplates() {
		var got []uint16
		for bit, id := range tmpl {
			if keys[i].uint(flowKeyIndicator)>>bit&1 == 1 {
				got = append(got, id)
			}
		}
		want := "[8 12 7 11 4 5 61 10]"
		if tmpl[0] == sourceIPv6Address {
			want = "[27 28 7 11 4 5 61 10]"
		}
		if fmt.Sprint(got) != want || keys[i].uint(flowKeyIndicator)>>len(tmpl) != 0 {
			t.Errorf("template %v: keys %v, want %s", tmpl, got, want)
		}
	}
}
