package replay

import (
	"bufio"
	"encoding/csv"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"cacheflow/cache/flow"
	"cacheflow/test/judge"
	"cacheflow/test/traffic"
)

// printed is what the records that replay prints add up to.
type printed struct {
	traffic.Sum
	ends map[flow.EndReason]int
}

// addUp reads the CSV that `replay -o csv` prints, record by record.
func addUp(t *testing.T, args ...string) (p printed) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"replay", "-o", "csv", "--ledger", os.DevNull}, args...)...)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.ends = map[flow.EndReason]int{}
	rows := csv.NewReader(bufio.NewReaderSize(pipe, 1<<20))
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		t.Fatal(err)
	}
	packets, octets, end := slices.Index(header, "packetDeltaCount"), slices.Index(header, "octetDeltaCount"), slices.Index(header, "flowEndReason")
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.Flows++
		p.Packets += number(t, row[packets])
		p.Octets += number(t, row[octets])
		p.ends[flow.EndReason(number(t, row[end]))]++
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return p
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Every packet and every octet of the capture is in the records, whether flows
// leave a cache that is far too small because it is full (with the router's
// inactive timeout nothing can be idle there: 15 s bring more new flows than
// the cache has entries) or by their timeouts.
func TestEveryPacketIsInTheRecords(t *testing.T) {
	file, truth := capture(t, lifelike(4_000_000, 500_000))
	want := truth.Total()
	for _, c := range []struct {
		name string
		args []string
		ends []flow.EndReason
	}{
		{"small cache", []string{"--entries", "4096", "--active", "60s"},
			[]flow.EndReason{flow.ActiveTimeout, flow.EndOfFlow, flow.ForcedEnd, flow.LackOfResources}},
		{"all ends", []string{"--entries", "4096", "--active", "60s", "--inactive", "4s"},
			[]flow.EndReason{flow.IdleTimeout, flow.ActiveTimeout, flow.EndOfFlow, flow.ForcedEnd, flow.LackOfResources}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := addUp(t, append(c.args, file)...)
			t.Logf("%d records, %d packets, %d octets; ends %v", got.Flows, got.Packets, got.Octets, got.ends)
			if got.Packets != want.Packets || got.Octets != want.Octets {
				t.Errorf("records hold %d packets and %d octets, the capture %d and %d", got.Packets, got.Octets, want.Packets, want.Octets)
			}
			for _, end := range c.ends {
				if got.ends[end] == 0 {
					t.Errorf("no flow left by %v", end)
				}
			}
		})
	}
}

// nfcapd with its default socket buffer gets all of it, at the default export
// rate; NetFlow v5 all of IPv4. A host that keeps nfcapd from its CPU for tens
// of milliseconds overruns that buffer all the same; nfcapd then sees the gap in
// the sequence numbers, and only then is the replay repeated.
func TestNfcapdGetsEveryPacket(t *testing.T) {
	file, truth := capture(t, lifelike(1_000_000, 100_000))
	for protocol, want := range map[string]traffic.Sum{"netflow5": truth.IPv4, "netflow9": truth.Total(), "ipfix": truth.Total()} {
		t.Run(protocol, func(t *testing.T) {
			for attempt := 1; ; attempt++ {
				nfcapd := judge.StartNfcapd(t, judge.NfcapdConfig{})
				cacheflow(t, nil, "--entries", "4096", "--active", "60s", "-e", nfcapd.Address.String(), "--protocol", protocol, file)
				nfcapd.Stop()
				got := nfcapd.Statistics()
				t.Logf("%d records, %d packets, %d octets, %d sequence failures", got.Records, got.Packets, got.Octets, got.SequenceFailures)
				if got.Packets == want.Packets && got.Octets == want.Octets && got.SequenceFailures == 0 {
					return
				}
				if got.SequenceFailures == 0 || attempt == 3 {
					t.Fatalf("nfcapd has %d packets and %d octets, sent were %d and %d", got.Packets, got.Octets, want.Packets, want.Octets)
				}
			}
		})
	}
}
