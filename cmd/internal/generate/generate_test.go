package generate_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/cmd/internal/profile"
	"cacheflow/export"
	"cacheflow/test/judge"
)

var start = time.Date(2026, 1, 1, 11, 0, 0, 0, time.UTC)

// sent is what routers sent, as a collector of each would have it.
type sent struct {
	datagrams []judge.Datagram
	manifest  bytes.Buffer
	stats     generate.Stats
}

// sum is the hash of all octets, of each router for itself.
func (s *sent) sum() [32]byte {
	h := sha256.New()
	for _, d := range s.datagrams {
		fmt.Fprint(h, d.From, len(d.Data))
		h.Write(d.Data)
	}
	h.Write(s.manifest.Bytes())
	return [32]byte(h.Sum(nil))
}

func config(t testing.TB, name string, protocol export.Protocol) generate.Config {
	t.Helper()
	p, err := profile.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	length := 90 * time.Second
	if testing.Short() {
		length = 30 * time.Second
	}
	return generate.Config{
		Profile: &p.Profile, Name: name, Seed: 7, Routers: 3, Start: start, Duration: length,
		Cache:  cache.Config{Entries: 4096, Active: 30 * time.Second, Inactive: 15 * time.Second, Linger: time.Second},
		Export: export.Config{Protocol: protocol},
	}
}

func run(t *testing.T, ctx context.Context, c generate.Config) *sent {
	t.Helper()
	s := &sent{}
	c.Manifest = &s.manifest
	send := c.Send
	c.Send = func(router int, data []byte) error {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(router + 1)}), 1)
		s.datagrams = append(s.datagrams, judge.Datagram{From: from, Data: bytes.Clone(data)})
		if send != nil {
			return send(router, data)
		}
		return nil
	}
	var err error
	if s.stats, err = generate.Run(ctx, c); err != nil {
		t.Fatal(err)
	}
	return s
}

// truth returns the records of a manifest, and how it ends.
func truth(t *testing.T, r io.Reader) (all []manifest.Record, last manifest.Last) {
	t.Helper()
	m, err := manifest.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	for {
		var r manifest.Record
		if err = m.Next(&r); err == io.EOF {
			return all, m.Last()
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
}

// The same seed makes the same datagrams and manifest, on one CPU and on two.
func TestSameSeedSameOctets(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		t.Run(protocol.String(), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
			var sums [][32]byte
			for _, cpus := range []int{1, 2, 2} {
				runtime.GOMAXPROCS(cpus)
				sums = append(sums, run(t, t.Context(), config(t, "office", protocol)).sum())
			}
			if sums[0] != sums[1] || sums[1] != sums[2] {
				t.Errorf("other octets: %x", sums)
			}
			c := config(t, "office", protocol)
			c.Seed++
			if run(t, t.Context(), c).sum() == sums[0] {
				t.Error("another seed makes the same")
			}
		})
	}
}

// key is all that both know of a record.
func key(exporter uint32, m *manifest.Record) string {
	return fmt.Sprint(exporter, m.Src, m.Dst, m.SrcPort, m.DstPort, m.Protocol, m.ToS, m.TCPFlags&0xff, m.Input, m.Output,
		m.Packets, m.Octets, m.Start, m.End, m.SrcPrefixLen, m.DstPrefixLen, m.SrcAS, m.DstAS)
}

func flowKey(exporter uint32, f judge.Flow) string {
	version := "IPv4"
	if f["sourceIPv6Address"] != "" {
		version = "IPv6"
	}
	m := manifest.Record{
		SrcPort: uint16(f.Uint("sourceTransportPort")), DstPort: uint16(f.Uint("destinationTransportPort")),
		Protocol: uint8(f.Uint("protocolIdentifier")), ToS: uint8(f.Uint("ipClassOfService")), TCPFlags: uint16(f.Uint("tcpControlBits")),
		Input: uint32(f.Uint("ingressInterface")), Output: uint32(f.Uint("egressInterface")),
		Packets: f.Uint("packetDeltaCount"), Octets: f.Uint("octetDeltaCount"),
		Start: int64(f.Uint("flowStartMilliseconds")), End: int64(f.Uint("flowEndMilliseconds")),
		SrcPrefixLen: uint8(f.Uint("source" + version + "PrefixLength")), DstPrefixLen: uint8(f.Uint("destination" + version + "PrefixLength")),
		SrcAS: uint32(f.Uint("bgpSourceAsNumber")), DstAS: uint32(f.Uint("bgpDestinationAsNumber")),
	}
	m.Src, _ = netip.ParseAddr(f["source"+version+"Address"])
	m.Dst, _ = netip.ParseAddr(f["destination"+version+"Address"])
	return key(exporter, &m)
}

// The manifest says what goflow2 decodes, record for record and to the millisecond, datagram by
// datagram.
func TestManifestIsTrue(t *testing.T) {
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		t.Run(protocol.String(), func(t *testing.T) {
			s := run(t, t.Context(), config(t, "office", protocol))
			all, last := truth(t, &s.manifest)
			if last.End != manifest.Complete || last.Records != s.stats.Records || last.Datagrams != s.stats.Datagrams || int(last.Datagrams) != len(s.datagrams) {
				t.Errorf("the last line is %+v, of %+v and %d datagrams", last, s.stats, len(s.datagrams))
			}
			if s.stats.NotCarried[export.NotIPv4] > 0 != (protocol == export.NetFlow5) {
				t.Errorf("%v records not carried", s.stats.NotCarried)
			}
			if len(all) < 5_000 {
				t.Fatalf("%d records only", len(all))
			}
			wantDecoded(t, s, all)
		})
	}
}

// wantDecoded has goflow2 decode all datagrams, and compares.
func wantDecoded(t *testing.T, s *sent, all []manifest.Record) {
	t.Helper()
	flows, err := judge.Goflow2(s.datagrams)
	if err != nil {
		t.Fatal(err)
	}
	flows = slices.DeleteFunc(flows, func(f judge.Flow) bool { return f["packetDeltaCount"] == "" }) // options
	if len(flows) != len(all) {
		t.Fatalf("goflow2 decodes %d records of %d", len(flows), len(all))
	}
	for i, f := range flows { // both are in the order in which they were sent
		if got, want := flowKey(all[i].Exporter, f), key(all[i].Exporter, &all[i]); got != want {
			t.Fatalf("record %d: goflow2 has %s\nand the manifest %s", i, got, want)
		}
	}
}

// Each router has its own identity and boot time.
func TestRoutersAreApart(t *testing.T) {
	s := run(t, t.Context(), config(t, "office", export.IPFIX))
	m, err := manifest.NewReader(&s.manifest)
	if err != nil {
		t.Fatal(err)
	}
	boots := map[time.Time]bool{}
	for i, x := range m.Exporters {
		if x.Exporter != uint32(i+1) || x.Domain != x.Exporter || x.Boot.After(start) || boots[x.Boot] {
			t.Errorf("router %+v", x)
		}
		boots[x.Boot] = true
	}
	for _, d := range s.datagrams {
		if domain := d.Data[15]; domain != d.From.Addr().As4()[3] { // RFC 7011 §3.1
			t.Fatalf("observation domain %d from %s", domain, d.From)
		}
	}
}

// The datagrams of all routers leave in the order of their times, also where a message waits for
// many rounds without a record.
func TestOrderOfTime(t *testing.T) {
	for _, conversations := range []float64{60, 0.1} {
		c := config(t, "office", export.NetFlow9)
		c.Profile.Conversations, c.Duration = conversations, time.Duration(1000/conversations)*time.Second
		s := run(t, t.Context(), c)
		z, err := gzip.NewReader(&s.manifest)
		if err != nil {
			t.Fatal(err)
		}
		last, n := int64(0), 0
		for lines := bufio.NewScanner(z); lines.Scan(); {
			var d struct{ Datagram, Time int64 }
			if json.Unmarshal(lines.Bytes(), &d) != nil || d.Datagram == 0 {
				continue
			}
			if n++; d.Time < last {
				t.Fatalf("datagram %d of %d ms behind one of %d", n, d.Time, last)
			}
			last = d.Time
		}
		if n != len(s.datagrams) || n < 50 {
			t.Errorf("%d lines for %d datagrams", n, len(s.datagrams))
		}
	}
}

// Every packet of the traffic is in a record: an interface's total is what crossed it.
func TestPacketsAreInRecords(t *testing.T) {
	c := config(t, "office", export.NetFlow9)
	c.Routers = 1
	c.Cache.Entries = 256 // too few: many flows leave for lack of resources
	s := run(t, t.Context(), c)
	all, _ := truth(t, &s.manifest)
	packets := uint64(0)
	reasons := [6]int{}
	for i := range all {
		packets += all[i].Packets
		reasons[all[i].Reason]++
	}
	if want := count(t, c); packets != want {
		t.Errorf("%d packets in records of %d", packets, want)
	}
	if reasons[5] == 0 || reasons[4] == 0 {
		t.Errorf("end reasons: %v", reasons)
	}
}

// An interrupted run has just what was sent in its manifest, and ends at once.
func TestInterrupted(t *testing.T) {
	c := config(t, "office", export.NetFlow9)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	c.Send = func(int, []byte) error {
		if n++; n == 100 {
			cancel()
		}
		return nil
	}
	s := run(t, ctx, c)
	_, last := truth(t, &s.manifest)
	if last.End != manifest.Interrupted || last.Datagrams != 100 || len(s.datagrams) != 100 {
		t.Errorf("%+v, and %d datagrams were sent", last, len(s.datagrams))
	}
}

// So has one that failed.
func TestSendFails(t *testing.T) {
	c := config(t, "office", export.NetFlow9)
	var out bytes.Buffer
	c.Manifest = &out
	failure := errors.New("no route")
	n := 0
	c.Send = func(int, []byte) error {
		if n++; n > 10 {
			return failure
		}
		return nil
	}
	if _, err := generate.Run(t.Context(), c); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	if _, last := truth(t, &out); last.End != manifest.Interrupted || last.Datagrams != 10 {
		t.Errorf("%+v", last)
	}
}

// Datagrams are held back: by a rate, by a rate of records, and by the traffic's own time.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		name string
		pace generate.Pace
		rate func(s *generate.Stats) float64 // what there is of it
		want float64                         // in a second
	}{
		{"datagrams", generate.Pace{Datagrams: 200}, func(s *generate.Stats) float64 { return float64(s.Datagrams) }, 200},
		{"records", generate.Pace{Records: 2000}, func(s *generate.Stats) float64 { return float64(s.Records) }, 2000},
		{"time", generate.Pace{Speed: 5}, func(s *generate.Stats) float64 { return s.Passed.Seconds() }, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := 0.0
			for tries := 0; got < 0.4*c.want && tries < 5; tries++ { // a busy machine is slower
				g := config(t, "office", export.NetFlow9)
				g.Pace = c.pace
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				s := run(t, ctx, g)
				got = c.rate(&s.stats) / time.Since(began).Seconds()
			}
			if got > 1.1*c.want || got < 0.4*c.want {
				t.Errorf("%.0f a second instead of %.0f", got, c.want)
			}
		})
	}
}
