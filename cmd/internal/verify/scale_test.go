package verify_test

import (
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/profile"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// nfcapd has all that 50 routers sent it, and tells them apart.
// A million records took the same way; README.md has the figures.
func TestFiftyExporters(t *testing.T) {
	if testing.Short() {
		t.Skip("50 routers take long")
	}
	p, err := profile.Load("isp-edge")
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		t.Run(protocol.String(), func(t *testing.T) {
			const routers, sources = 50, "127.0.1.0/24"
			n := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 32 << 20})
			addresses, _ := generate.ParseSources(sources, routers)
			sockets, err := generate.Dial(n.Address, addresses, routers)
			if err != nil {
				t.Fatal(err)
			}
			defer sockets.Close()
			all := generated(t, protocol, sources, sockets.Send, func(c *generate.Config) {
				c.Profile, c.Routers, c.Duration, c.Pace.Datagrams = &p.Profile, routers, time.Second, export.GentleRate
			})
			n.Stop()
			r := compare(t, all, n.Print("csv"))
			wantComplete(t, r, all)
			if len(r.Exporters) != routers || len(all.records) < 30_000 {
				t.Errorf("%d records from %d exporters", len(all.records), len(r.Exporters))
			}
			for number, x := range r.Exporters {
				if x.Sent == 0 || number < 1 || number > routers {
					t.Errorf("exporter %d: %+v", number, x)
				}
			}
		})
	}
}
