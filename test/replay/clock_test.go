package replay

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/test/judge"
	"cacheflow/test/traffic"
)

// sysUpTime is counted in 32 bits of milliseconds: in a capture of 60 days it
// begins anew after 49.7. The times that a collector computes stay right.
func TestSysUpTimeWraps(t *testing.T) {
	file, _ := capture(t, traffic.Spec{Packets: 2000, Flows: 20, Seed: 1, Interval: 60 * 24 * time.Hour / 2000})
	for _, protocol := range []string{"netflow5", "ipfix"} {
		t.Run(protocol, func(t *testing.T) {
			r := judge.StartRecorder(t, netip.AddrPort{})
			printed := cacheflow(t, nil, "-o", "json", "-e", r.Address.String(), "--protocol", protocol, file)
			r.Settle(100 * time.Millisecond)
			want, err := judge.ReadJSON(bytes.NewReader(printed))
			if err != nil {
				t.Fatal(err)
			}
			nfcapd := judge.StartNfcapd(t, judge.NfcapdConfig{})
			r.Forward(nfcapd.Address)
			nfcapd.Stop()
			got := nfcapd.Flows()
			if len(got) != 2000 {
				t.Errorf("%d records, want one for each packet", len(got))
			}
			for _, d := range judge.Compare(got, want, 0) {
				t.Error(d)
			}
		})
	}
}

// One packet stamped 2038 is metered and counted, and ends no flow: the time is
// believed when a second packet agrees.
func TestOnePacketFrom2038(t *testing.T) {
	file, truth := capture(t, traffic.Spec{Packets: 1000, Flows: 10, Size: 60, Seed: 1, Interval: time.Millisecond})
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// A record of 60 octets behind its header of 16, in the file's own byte
	// order, which its magic number shows.
	order := binary.ByteOrder(binary.LittleEndian)
	if magic := order.Uint32(b); magic != 0xa1b2c3d4 && magic != 0xa1b23c4d {
		order = binary.BigEndian
	}
	order.PutUint32(b[24+500*(16+60):], uint32(time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC).Unix()))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	account := filepath.Join(t.TempDir(), "ledger.json")
	printed := cacheflow(t, nil, "-o", "json", "--ledger", account, file)
	records, err := judge.ReadJSON(bytes.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	if sum, want := judge.Add(records), truth.Total(); sum.Packets != want.Packets || sum.Records != want.Flows {
		t.Errorf("%d packets in %d records, want %d in %d", sum.Packets, sum.Records, want.Packets, want.Flows)
	}
	var l struct {
		Interfaces []struct{ ClockJumps uint64 }
		Balance    []struct{ Difference int64 }
	}
	if b, err = os.ReadFile(account); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &l); err != nil {
		t.Fatal(err)
	}
	if len(l.Interfaces) != 1 || l.Interfaces[0].ClockJumps != 1 {
		t.Errorf("want one clock jump on one interface, got %+v", l.Interfaces)
	}
	for _, i := range l.Balance {
		if i.Difference != 0 {
			t.Error("the ledger does not close")
		}
	}
}
