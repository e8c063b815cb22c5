package replay

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"cacheflow/test/judge"
)

// Four collectors decode over 100 000 records with template refreshes. None
// complains, and every value that one decodes is that of the JSON of the same
// replay: to the millisecond in v5 and IPFIX; in v9, whose header counts whole
// seconds, within one second and with exact durations; nfacctd has no
// milliseconds in v5 either.
func TestJudgesAgree(t *testing.T) {
	file, _ := capture(t, lifelike(275_000, 41_250))
	args := []string{"--entries", "4096", "--active", "60s", file}
	printed := cacheflow(t, nil, append([]string{"-o", "json"}, args...)...)
	records, err := judge.ReadJSON(bytes.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	for protocol, tolerance := range map[string]time.Duration{"netflow5": 0, "netflow9": time.Second, "ipfix": 0} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			r := judge.StartRecorder(t, netip.AddrPort{})
			out := cacheflow(t, nil, append([]string{"-o", "json", "-e", r.Address.String(), "--protocol", protocol}, args...)...)
			r.Settle(100 * time.Millisecond)
			if !bytes.Equal(out, printed) {
				t.Fatal("the JSON differs from that without an exporter")
			}
			want := records
			if protocol == "netflow5" {
				want = only(records, "ipVersion", "4")
			}
			t.Logf("%d records in %d datagrams", len(want), len(r.Datagrams()))
			if len(want) < 100_000 {
				t.Fatalf("%d records prove too little", len(want))
			}
			compare := func(name string, got []judge.Flow) {
				t.Helper()
				for _, d := range judge.Compare(got, want, tolerance) {
					t.Errorf("%s: %s", name, d)
				}
			}
			nfcapd := judge.StartNfcapd(t, judge.NfcapdConfig{Buffer: 16 << 20})
			nfacctd := judge.StartNfacctd(t, judge.NfacctdConfig{Records: len(want)})
			r.Forward(nfcapd.Address)
			r.Forward(nfacctd.Address)
			stopped := make(chan struct{})
			go func() { // it writes while others read
				defer close(stopped)
				nfacctd.Stop(len(want))
			}()
			t.Cleanup(func() { <-stopped })
			flows, err := judge.Goflow2(r.Datagrams())
			if err != nil {
				t.Error(err)
			}
			compare("goflow2", flows)

			tshark := judge.NewTshark(t, r)
			for _, e := range tshark.Errors() {
				t.Errorf("tshark: %s", e)
			}
			compare("tshark", tshark.Flows(0))
			nfcapd.Stop()
			for _, e := range nfcapd.Errors() {
				t.Errorf("nfcapd: %s", e)
			}
			compare("nfdump", nfcapd.Flows())

			<-stopped
			for _, e := range nfacctd.Errors() {
				t.Errorf("nfacctd: %s", e)
			}
			compare("nfacctd", nfacctd.Flows())
		})
	}
}

func only(flows []judge.Flow, name, value string) (kept []judge.Flow) {
	for _, f := range flows {
		if f[name] == value {
			kept = append(kept, f)
		}
	}
	return kept
}
