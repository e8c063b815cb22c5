package generate_test

import (
	"encoding/binary"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// A router that restarts has a new boot time and counts from the start; its records are true to
// the millisecond still, and with what was lost they are the traffic.
func TestRestart(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		t.Run(protocol.String(), func(t *testing.T) {
			c := config(t, "office", protocol)
			c.Profile.IPv6, c.Routers = 0, 1
			c.Restarts = []generate.Restart{{At: 10 * time.Second}, {At: 20 * time.Second, Exporter: 1}}
			c.Faults = []generate.Fault{{Kind: manifest.Jump, Share: 1, Scope: generate.Scope{From: 9500 * time.Millisecond, To: 10 * time.Second}}} // forgotten by then
			s := run(t, t.Context(), c)
			restarts := lines[manifest.Restart](t, s.manifest.Bytes(), "restart")
			all, _ := truth(t, &s.manifest)
			wantDecoded(t, s, all)

			packets := uint64(0)
			for i := range all {
				packets += all[i].Packets
			}
			for i, r := range restarts {
				if at := start.Add(time.Duration(i+1) * 10 * time.Second); !r.Restart.Equal(at) || r.Exporter != 1 || r.Records == 0 {
					t.Errorf("restart %+v instead of one at %s", r, at)
				}
				packets += r.Packets
			}
			if want := count(t, c); len(restarts) != 2 || packets != want {
				t.Errorf("%d restarts, and %d packets in records and lost, of %d", len(restarts), packets, want)
			}
			if n := fromStart(s, protocol); n != 3 {
				t.Errorf("the sequence numbers begin %d times", n)
			}
		})
	}
}

// fromStart returns how often sequence numbers began at 0.
func fromStart(s *sent, protocol export.Protocol) (n int) {
	at := map[export.Protocol]int{export.NetFlow5: 16, export.NetFlow9: 12, export.IPFIX: 8}[protocol]
	last := uint32(1)
	for _, d := range s.datagrams {
		sequence := binary.BigEndian.Uint32(d.Data[at:])
		if sequence == 0 && last != 0 { // IPFIX counts no templates: more than one can be 0
			n++
		}
		last = sequence
	}
	return n
}

func TestParseRestart(t *testing.T) {
	for text, want := range map[string]generate.Restart{
		"30s": {At: 30 * time.Second}, "1m,exporter=2": {At: time.Minute, Exporter: 2},
	} {
		if r, err := generate.ParseRestart(text); err != nil || r != want {
			t.Errorf("%s: %+v, %v", text, r, err)
		} else if again, err := generate.ParseRestart(r.String()); err != nil || again != r {
			t.Errorf("%s: %s is %+v, %v", text, r, again, err)
		}
	}
	for _, text := range []string{"", "soon", "0s", "1500ms", "-1s", "30s,2", "30s,exporter=all", "30s,exporter=65536"} {
		if r, err := generate.ParseRestart(text); err == nil {
			t.Errorf("%q is %+v", text, r)
		}
	}
}
