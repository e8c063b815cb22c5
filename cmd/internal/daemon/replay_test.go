package daemon

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/capture/pcapfile"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/export"
)

// sink is a collector that nobody reads: the datagrams count as sent.
func sink(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// replayCorpus replays all captures of the corpus, sampled, through a cache that is too
// small for them, to exporters of each protocol.
func replayCorpus(t *testing.T, sampling capture.Sampling) (*ledger.Ledger, []flow.Record) {
	t.Helper()
	paths, err := filepath.Glob("../../../capture/testdata/*.pcap")
	if err != nil || len(paths) < 10 {
		t.Fatalf("the corpus has %d files (%v)", len(paths), err)
	}
	source, err := pcapfile.OpenAll(paths, pcapfile.Options{Sampling: sampling})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	r := &Replay{Source: source, Boot: source.Boot(), Cache: testCache(), Drain: 10 * time.Second}
	r.Cache.Entries = 16
	for _, p := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		r.Exporters = append(r.Exporters, export.Config{Name: p.String(), Protocol: p, Address: sink(t)})
	}
	var records []flow.Record
	r.Output = func(rs []flow.Record) error {
		records = append(records, rs...)
		return nil
	}
	l, err := r.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return l, records
}

// The account closes at zero, and is not empty: frames of every kind went in,
// and records left for several reasons and to every protocol. The mutation
// tests skip one increment after the other and expect this test to fail.
func TestLedgerCloses(t *testing.T) {
	for _, sampling := range []capture.Sampling{{}, {Interval: 2}, {Interval: 2, Random: true}} {
		l, records := replayCorpus(t, sampling)
		if sampled := sampling.Interval > 1; sampled != (l.Total().SampledOut > 0) {
			t.Errorf("%+v: %d frames sampled out", sampling, l.Total().SampledOut)
		}
		checkAccount(t, l, records)
	}
}

func checkAccount(t *testing.T, l *ledger.Ledger, records []flow.Record) {
	t.Helper()
	for _, i := range l.Balance() {
		if i.Difference != 0 {
			t.Errorf("%s: %s does not close: %d %s are %+d off", i.Scope, i.Equation, i.Left, i.Unit, i.Difference)
		}
	}
	total := l.Total()
	if total.Observed == 0 || total.Metered == 0 || len(total.Ignored) == 0 || len(total.Undecodable) == 0 {
		t.Errorf("the corpus is too tame: %+v", total)
	}
	var packets, octets uint64
	for _, r := range records {
		packets += r.Packets
		octets += r.Octets
	}
	if packets != total.Packets || octets != total.Octets {
		t.Errorf("the records hold %d packets and %d octets, captured were %d and %d", packets, octets, total.Packets, total.Octets)
	}
	ends := map[string]uint64{}
	for _, e := range l.Cache.Ended {
		ends[e.Reason] = e.Count
	}
	if ends[flow.LackOfResources.String()] == 0 || ends[flow.ForcedEnd.String()] == 0 {
		t.Errorf("the run is too tame: records ended by %v", ends)
	}
	for _, e := range l.Exporters {
		if e.Sent.Count == 0 {
			t.Errorf("nothing was sent as %s", e.Protocol)
		}
	}
}

// replayGroup replays the corpus to a group of three and to one exporter beside.
func replayGroup(t *testing.T, g config.Group) *ledger.Ledger {
	t.Helper()
	paths, err := filepath.Glob("../../../capture/testdata/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	source, err := pcapfile.OpenAll(paths, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	r := &Replay{Source: source, Boot: source.Boot(), Cache: testCache(), Drain: 10 * time.Second, Groups: []config.Group{g}}
	for _, name := range []string{"a", "b", "c", "beside"} {
		r.Exporters = append(r.Exporters, export.Config{Name: name, Address: sink(t)})
	}
	l, err := r.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !l.Closes() {
		t.Errorf("the ledger does not close: %+v", l.Balance())
	}
	return l
}

// A replay shares alike each time, and all members together get what one does that gets all.
func TestReplayShares(t *testing.T) {
	g := share("g", "c", "a", "b")
	first, again := replayGroup(t, g), replayGroup(t, g)
	if len(first.Exporters) != 4 || first.Groups.Given != first.Records || first.Groups.TakenBack.Count != 0 {
		t.Fatalf("%d exporters, groups %+v", len(first.Exporters), first.Groups)
	}
	var shared ledger.Sum
	for i, e := range first.Exporters {
		if e.Sent.Count == 0 || e.Sent != again.Exporters[i].Sent {
			t.Errorf("%s sent %+v, then %+v", e.Name, e.Sent, again.Exporters[i].Sent)
		}
		if e.Name != "beside" {
			shared.Add(e.Sent)
		} else if e.Sent != first.Records {
			t.Errorf("beside the group %+v were sent of %+v", e.Sent, first.Records)
		}
	}
	if shared != first.Records {
		t.Errorf("the group sent %+v of %+v", shared, first.Records)
	}
}

// A replay waits for whoever takes records, so nobody needs the spare ones.
func TestReplayFailsNotOver(t *testing.T) {
	l := replayGroup(t, failover("g", 0, "b", "a", "c"))
	if len(l.Exporters) != 2 || l.Exporters[0].Name != "b" || l.Exporters[0].Sent != l.Records || l.Exporters[1].Sent != l.Records {
		t.Errorf("exporters %+v of %+v", l.Exporters, l.Records)
	}
}

// The same files give the same records, whatever the seed of the hash.
func TestReplayRepeats(t *testing.T) {
	_, a := replayCorpus(t, capture.Sampling{})
	_, b := replayCorpus(t, capture.Sampling{})
	if len(a) != len(b) {
		t.Fatalf("%d and %d records", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("record %d differs:\n%+v\n%+v", i, a[i], b[i])
		}
	}
}

// A replay ends where no collector is reached: at Ctrl-C, and by itself in time.
func TestReplayReachesNobody(t *testing.T) {
	for _, name := range []string{"Ctrl-C", "too late"} {
		t.Run(name, func(t *testing.T) {
			source, err := pcapfile.Open("../../../capture/testdata/ipv4.pcap", pcapfile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			r := &Replay{Source: source, Boot: source.Boot(), Cache: testCache(), Drain: time.Minute}
			r.Exporters = []export.Config{{Name: "nobody", Protocol: export.IPFIX, Transport: export.TCP, Address: "127.0.0.1:1"}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if name == "Ctrl-C" {
				time.AfterFunc(100*time.Millisecond, cancel)
			} else {
				r.Drain = 100 * time.Millisecond
			}
			l, err := r.Run(ctx)
			if err == nil || l == nil || !l.Closes() || l.Total().Observed != 0 {
				t.Errorf("error %v, ledger %+v", err, l)
			}
		})
	}
}
