package verify_test

import (
	"testing"
	"time"

	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/profile"
	"cacheflow/cmd/internal/verify"
	"cacheflow/export"
	"cacheflow/test/judge"
)

// nfcapd has the autonomous systems of a profile's networks, and another one is found.
func TestAutonomousSystems(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		t.Run(protocol.String(), func(t *testing.T) {
			n := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 8 << 20})
			addresses, _ := generate.ParseSources("127.0.1.0/24", 3)
			sockets, err := generate.Dial(n.Address, addresses, 3)
			if err != nil {
				t.Fatal(err)
			}
			defer sockets.Close()
			all := generated(t, protocol, "127.0.1.0/24", sockets.Send, func(c *generate.Config) {
				p, err := profile.Load("isp-edge")
				if err != nil {
					t.Fatal(err)
				}
				c.Profile, c.Duration = &p.Profile, 2*time.Second
				c.Profile.Conversations = 600
			})
			n.Stop()
			for _, format := range []string{"csv", "json"} {
				wantComplete(t, compare(t, all, n.Print(format)), all)
			}
			for i := range all.records {
				if all.records[i].SrcAS != 0 {
					all.records[i].SrcAS++
					break
				}
			}
			r := compare(t, all, n.Print("csv"))
			if d := r.Differences; len(d) != 1 || d[0].Kind != verify.Altered || len(d[0].Fields) != 1 || d[0].Fields[0] != "bgpSourceAsNumber" {
				t.Errorf("%v", d)
			}
		})
	}
}
