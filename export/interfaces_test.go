package export

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
)

// What collectors make of the interface table.

func someInterfaces() []Interface {
	return []Interface{
		{1, "lo", ""},
		{2, "eth0", "uplink to Zürich"},
		{70000, "a-name-that-is-longer-than-32-octets", strings.Repeat("ü", 40)},
	}
}

// TestTsharkInterfaces: tshark names the interfaces, and has no complaint.
func TestTsharkInterfaces(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	for _, p := range bothTemplated {
		w := newPcap(t)
		s, err := NewSession(Config{Protocol: p, Sampling: Sampling{Interval: 10}, InterfaceTable: someInterfaces}, w.add)
		if err != nil {
			t.Fatal(err)
		}
		feed(s, 200)
		got := tshark(t, w, "-Y", "cflow.if_name", "-c", "1", "-T", "fields", "-E", "separator=|", "-e", "cflow.if_name", "-e", "cflow.if_descr")
		want := "lo,eth0,a-name-that-is-longer-than-32-oc|,uplink to Zürich," + strings.Repeat("ü", 32)
		if strings.TrimSpace(got) != want {
			t.Errorf("%v: tshark reads %s, want %s", p, got, want)
		}
		if complaints := tshark(t, w, "-Y", faults); complaints != "" {
			t.Errorf("%v: tshark complains:\n%.2000s", p, complaints)
		}
	}
}

// TestInterfaceTable: goflow2 decodes the table from the first message on, again when its
// time has come, and what has changed then; in between templates go without it. However
// small the messages are, it is complete, and the sequence numbers are right.
func TestInterfaceTable(t *testing.T) {
	for _, p := range bothTemplated {
		for _, mtu := range []int{MinMTU, DefaultMTU} {
			t.Run(fmt.Sprint(p, mtu), func(t *testing.T) {
				c := newCollector(t)
				interfaces := make([]Interface, 50)
				for i := range interfaces {
					interfaces[i] = Interface{uint32(i + 1), fmt.Sprint("if", i+1), "first"}
				}
				s := c.session(Config{
					Protocol: p, MTU: mtu, TemplatePackets: 5, SourceID: 9,
					InterfaceTable: func() []Interface { return interfaces }, Options: OptionIntervals{InterfaceTable: time.Minute, SamplerTable: Off, FlowKeys: Off},
				})
				r := record4()
				now := flow.Time(time.Hour)
				send := func(n int) (descriptions []string) {
					first := len(c.messages)
					for range n {
						if why := s.Append(&r, now); why != None {
							t.Fatal(why)
						}
					}
					s.Flush(now)
					for i := range c.messages[first:] {
						for _, o := range c.messages[first+i].options() {
							descriptions = append(descriptions, strings.TrimRight(string(o[interfaceDescription]), "\x00"))
						}
					}
					return descriptions
				}
				check := func(what string, got []string, want string, n int) {
					t.Helper()
					if len(got) != n || slices.ContainsFunc(got, func(s string) bool { return s != want }) {
						t.Errorf("%s: %d records of interfaces, %q; want %d, %q", what, len(got), slices.Compact(got), n, want)
					}
				}
				s.SendTemplates(now)
				all := 0
				for i := range c.messages {
					all += len(c.messages[i].options())
					if len(c.messages[i].records()) > 0 {
						t.Error("records before the table")
					}
				}
				if all != len(interfaces) {
					t.Errorf("%d records of interfaces before the first flow, want %d", all, len(interfaces))
				}
				for i := range interfaces {
					interfaces[i].Description = "second"
				}
				check("within the interval", send(1000), "", 0)
				now = now.Add(time.Minute)
				check("after the interval", send(1000), "second", len(interfaces))
				s.RequestTemplates()
				check("asked for at once", send(1000), "", 0)
				now = now.Add(time.Second)
				check("asked for", send(1000), "second", len(interfaces))
				sequence, first := uint32(0), c.messages[0].sequence
				for i := range c.messages {
					if m := &c.messages[i]; m.sequence != first+sequence {
						t.Fatalf("message %d: sequence %d, want %d", i, m.sequence, first+sequence)
					}
					if p == NetFlow9 {
						sequence++
					} else {
						sequence += uint32(len(c.messages[i].records()) + len(c.messages[i].options()))
					}
				}
			})
		}
	}
}

// TestInterfaceTableOff: who does not want it is told nothing of it.
func TestInterfaceTableOff(t *testing.T) {
	for _, p := range bothTemplated {
		c := newCollector(t)
		feed(c.session(Config{Protocol: p, InterfaceTable: someInterfaces, Options: noOptions}), 100)
		for i := range c.messages {
			if len(c.messages[i].options()) > 0 || len(c.messages[0].templateIDs()) != 3 {
				t.Fatalf("%v: templates %v, options %v", p, c.messages[i].templateIDs(), c.messages[i].options())
			}
		}
	}
}
