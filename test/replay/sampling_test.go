package replay

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/test/judge"
	"cacheflow/test/traffic"
)

// The records hold one of each ten frames, the ledger the others, and the same file gives
// the same records.
func TestSampling(t *testing.T) {
	const packets, n = 20_000, 10
	file, _ := capture(t, lifelike(packets, 2000))
	for _, sample := range []string{"10", "random:10"} {
		account := filepath.Join(t.TempDir(), "ledger.json")
		args := []string{"--sample", sample, "-o", "json", "--ledger", account, file}
		printed := cacheflow(t, nil, args...)
		records, err := judge.ReadJSON(bytes.NewReader(printed))
		if err != nil {
			t.Fatal(err)
		}
		sum := judge.Add(records)
		var l struct {
			Interfaces []struct{ Observed, SampledOut, Metered uint64 }
			Balance    []struct{ Difference int64 }
		}
		b, err := os.ReadFile(account)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &l); err != nil {
			t.Fatal(err)
		}
		i := l.Interfaces[0]
		t.Logf("%s: %+v in the records, %+v in the ledger", sample, sum, i)
		if sum.Packets != packets/n || i.Observed != packets || i.Metered != sum.Packets || i.SampledOut != packets-packets/n {
			t.Errorf("%s: %d packets in the records, ledger %+v", sample, sum.Packets, i)
		}
		for _, i := range l.Balance {
			if i.Difference != 0 {
				t.Errorf("%s: the ledger does not close", sample)
			}
		}
		if again := cacheflow(t, nil, args...); !bytes.Equal(again, printed) {
			t.Errorf("%s: another replay gives other records", sample)
		}
	}
}

// Whoever can multiplies by the interval: nfacctd of all protocols, nfcapd of v5. Nobody
// complains of the options.
func TestSamplingIsScaled(t *testing.T) {
	const packets, n = 20_000, 10
	file, _ := capture(t, traffic.Spec{Packets: packets, Flows: 500, Zipf: 1.1, Seed: 1, Interval: time.Millisecond, Snap: 96})
	for _, protocol := range []string{"netflow5", "netflow9", "ipfix"} {
		for _, sample := range []string{"10", "random:10"} {
			t.Run(protocol+" "+sample, func(t *testing.T) {
				t.Parallel()
				r := judge.StartRecorder(t, netip.AddrPort{})
				cacheflow(t, nil, "--sample", sample, "-e", r.Address.String(), "--protocol", protocol, file)
				r.Settle(100 * time.Millisecond)
				flows, err := judge.Goflow2(r.Datagrams())
				if err != nil {
					t.Error(err)
				}
				sent := judge.Add(flows)
				if sent.Packets != packets/n {
					t.Errorf("goflow2 reads %+v", sent)
				}
				for _, e := range judge.NewTshark(t, r).Errors() {
					t.Errorf("tshark: %s", e)
				}
				nfacctd := judge.StartNfacctd(t, judge.NfacctdConfig{Scale: true})
				r.Forward(nfacctd.Address)
				nfacctd.Stop(len(flows))
				for _, e := range nfacctd.Errors() {
					t.Errorf("nfacctd: %s", e)
				}
				if got := judge.Add(nfacctd.Flows()); got.Packets != packets || got.Octets != n*sent.Octets {
					t.Errorf("nfacctd has %+v of %+v", got, sent)
				}
				if protocol != "netflow5" {
					return
				}
				nfcapd := judge.StartNfcapd(t, judge.NfcapdConfig{})
				r.Forward(nfcapd.Address)
				nfcapd.Stop()
				if got := nfcapd.Statistics(); got.Packets != packets || got.Octets != n*sent.Octets || got.SequenceFailures != 0 {
					t.Errorf("nfcapd has %+v of %+v", got, sent)
				}
			})
		}
	}
}
