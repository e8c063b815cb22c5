package generate_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// tshark finds nothing wrong without faults, and with each of them what it can know. A truncated
// datagram it reads as far as it goes: in IPFIX it then misses records by the sequence number, in
// NetFlow v9, which counts datagrams, it says nothing.
func TestTshark(t *testing.T) {
	if testing.Short() {
		t.Skip("tshark takes long")
	}
	const sequence = "Unexpected flow sequence"
	for _, protocol := range []export.Protocol{export.NetFlow9, export.IPFIX} {
		for _, c := range []struct {
			fault string
			want  string // of what it complains, at least
		}{
			{"", ""}, {"drop=10%,from=2s", sequence}, {"duplicate=10%,from=2s", sequence}, {"reorder=10%,from=2s", sequence},
			{"delay=10%,from=2s", sequence}, {"truncate=10%,from=2s", sequence}, {"jump=10%,from=2s", sequence},
		} {
			if protocol == export.NetFlow9 && strings.HasPrefix(c.fault, "truncate") {
				c.want = ""
			}
			t.Run(protocol.String()+" "+c.fault, func(t *testing.T) {
				r := judge.StartRecorder(t, netip.AddrPort{})
				g := config(t, "office", protocol)
				g.Routers, g.Duration, g.Pace.Datagrams = 1, 10*time.Second, 2000
				if c.fault != "" {
					fault, err := generate.ParseFault(c.fault)
					if err != nil {
						t.Fatal(err)
					}
					g.Faults = []generate.Fault{fault}
				}
				sockets, err := generate.Dial(r.Address, nil, 1)
				if err != nil {
					t.Fatal(err)
				}
				defer sockets.Close()
				g.Send = sockets.Send
				run(t, t.Context(), g)
				r.Settle(50 * time.Millisecond)
				errors := strings.Join(judge.NewTshark(t, r).Errors(), "\n")
				if !strings.Contains(errors, c.want) || c.want == "" && errors != "" {
					t.Errorf("tshark complains of %.500q", errors)
				}
			})
		}
	}
}
