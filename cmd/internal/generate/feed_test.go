package generate_test

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"cacheflow/cache/flow"
	"cacheflow/capture/pcapfile"
	"cacheflow/cmd/internal/daemon"
	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
	"cacheflow/test/traffic"
)

// frame is a packet of a capture file.
type frame struct {
	at   time.Duration
	data []byte
}

// frames returns so many packets, one each 2 ms, half of them the answers to those before.
func frames(t *testing.T, n int) (all []frame) {
	t.Helper()
	g, err := traffic.New(traffic.Spec{Flows: 400, Zipf: 1.1, IPv6: 25, Lifelike: true, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		f := frame{at: time.Duration(i) * 2 * time.Millisecond}
		if i%2 == 0 {
			f.data = g.Next(nil)
		} else {
			f.data = reversed(all[i-1].data)
		}
		all = append(all, f)
	}
	return all
}

// reversed returns a frame with its addresses and ports exchanged.
func reversed(data []byte) []byte {
	data = bytes.Clone(data)
	at, size := 26, 4 // Ethernet and IPv4
	if data[12] == 0x86 {
		at, size = 22, 16 // IPv6
	}
	for _, size := range []int{size, 2} { // then the ports
		a, b := data[at:at+size], data[at+size:at+2*size]
		c := bytes.Clone(a)
		copy(a, b)
		copy(b, c)
		at += 2 * size
	}
	return data
}

// write writes a capture file, whose first packet is at half past a second.
func write(t *testing.T, all []frame) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := pcapgo.NewWriterNanos(f)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		info := gopacket.CaptureInfo{Timestamp: time.Unix(1_600_000_000, 5e8).Add(p.at), CaptureLength: len(p.data), Length: len(p.data)}
		if err := w.WritePacket(info, p.data); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// captured is the configuration of three routers that see a capture.
func captured(t *testing.T, protocol export.Protocol, paths ...string) generate.Config {
	t.Helper()
	c := config(t, "office", protocol)
	c.Profile, c.Name, c.Duration = nil, "", 0
	c.Capture = &generate.Capture{Paths: paths}
	return c
}

// carried sums up records.
func carried(all []manifest.Record) (packets, octets uint64) {
	for i := range all {
		packets += all[i].Packets
		octets += all[i].Octets
	}
	return packets, octets
}

// All packets of a capture are in records, once for each time that it is played and for each
// router that sees it, and goflow2 decodes what the manifest says.
func TestCaptureIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcap")
	truth1, err := traffic.WriteFile(path, traffic.Spec{
		Packets: 40_000, Flows: 500, Zipf: 1.1, IPv6: 25, Lifelike: true, Interval: time.Millisecond, Snap: 96,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		routers  int
		capture  generate.Capture
		times    uint64 // that a packet is seen
		protocol export.Protocol
	}{
		{"one router", 1, generate.Capture{}, 1, export.NetFlow9},
		{"shared", 3, generate.Capture{}, 1, export.IPFIX},
		{"shared, many routers", 200, generate.Capture{}, 1, export.IPFIX},
		{"mirrored", 3, generate.Capture{Mirror: true}, 3, export.IPFIX},
		{"repeated", 3, generate.Capture{Repeat: 3}, 3, export.NetFlow9},
		{"mirrored and repeated", 2, generate.Capture{Mirror: true, Repeat: 2}, 4, export.NetFlow9},
		{"NetFlow v5", 3, generate.Capture{}, 1, export.NetFlow5},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := captured(t, c.protocol)
			g.Routers, g.Capture = c.routers, &c.capture
			c.capture.Paths = []string{path}
			s := run(t, t.Context(), g)
			all, last := truth(t, &s.manifest)
			want := truth1.Total()
			if c.protocol == export.NetFlow5 {
				want = truth1.IPv4
			}
			if packets, octets := carried(all); packets != c.times*want.Packets || octets != c.times*want.Octets || last.End != manifest.Complete {
				t.Errorf("%d packets and %d octets instead of %d times %+v, %s", packets, octets, c.times, want, last.End)
			}
			wantDecoded(t, s, all)
			wantLedger(t, s)
		})
	}
}

// Packets are seen at their times from the start on, and end up in the records that a replay makes of them.
func TestCaptureIsLikeReplay(t *testing.T) {
	path := write(t, frames(t, 30_000))
	c := captured(t, export.IPFIX, path)
	c.Routers, c.Cache.Inactive, c.Cache.Active = 1, 3*time.Second, 10*time.Second
	s := run(t, t.Context(), c)
	all, _ := truth(t, &s.manifest)

	source, err := pcapfile.Open(path, pcapfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	type record struct {
		src, dst         netip.Addr
		srcPort, dstPort uint16
		protocol, tos    uint8
		flags            uint16
		input            uint32
		packets, octets  uint64
		start, end       int64 // milliseconds since the first packet
	}
	count := map[record]int{}
	r := daemon.Replay{Source: source, Boot: source.Boot(), Cache: c.Cache, Drain: time.Minute, Output: func(rs []flow.Record) error {
		first := source.Boot().UnixMilli() - 1_600_000_000_500
		for _, f := range rs {
			count[record{
				f.SrcAddr(), f.DstAddr(), f.SrcPort, f.DstPort, f.Protocol, f.ToS, f.TCPFlags, f.Input, f.Packets, f.Octets,
				first + int64(f.First.Milliseconds()), first + int64(f.Last.Milliseconds()),
			}]++
		}
		return nil
	}}
	if _, err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		count[record{
			m.Src, m.Dst, m.SrcPort, m.DstPort, m.Protocol, m.ToS, m.TCPFlags, m.Input, m.Packets, m.Octets,
			m.Start - start.UnixMilli(), m.End - start.UnixMilli(),
		}]--
	}
	for r, n := range count {
		if n != 0 {
			t.Fatalf("%d times more in the replay, of %d records: %+v", n, len(all), r)
		}
	}
	if len(all) < 2000 {
		t.Errorf("%d records only", len(all))
	}
}

// One router sees both directions of what two hosts send each other, and all routers see some.
func TestConversationsStayTogether(t *testing.T) {
	s := run(t, t.Context(), captured(t, export.IPFIX, write(t, frames(t, 10_000))))
	all, _ := truth(t, &s.manifest)
	type hosts struct{ a, b netip.Addr }
	at, directions, records := map[hosts]uint32{}, map[hosts]bool{}, map[uint32]int{}
	for _, m := range all {
		h := hosts{m.Src, m.Dst}
		directions[h] = true
		if h.b.Less(h.a) {
			h.a, h.b = h.b, h.a
		}
		if x := at[h]; x != 0 && x != m.Exporter {
			t.Fatalf("exporters %d and %d see %v", x, m.Exporter, h)
		}
		at[h] = m.Exporter
		records[m.Exporter]++
	}
	if len(directions) != 2*len(at) || len(at) < 100 {
		t.Errorf("%d pairs in %d directions", len(at), len(directions))
	}
	for x := uint32(1); x <= 3; x++ {
		if records[x] < len(all)/10 {
			t.Errorf("exporter %d sees %d of %d records", x, records[x], len(all))
		}
	}
}

// The same file and seed make the same datagrams and manifest, on one CPU and on two, and another
// seed has other routers see other hosts.
func TestSameCaptureSameOctets(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	c := captured(t, export.NetFlow9, write(t, frames(t, 40_000))) // several chunks
	c.Capture.Repeat = 2
	var sums [][32]byte
	for _, cpus := range []int{1, 2, 2} {
		runtime.GOMAXPROCS(cpus)
		sums = append(sums, run(t, t.Context(), c).sum())
	}
	c.Seed++
	sums = append(sums, run(t, t.Context(), c).sum())
	if sums[0] != sums[1] || sums[1] != sums[2] || sums[2] == sums[3] {
		t.Errorf("%x", sums)
	}
}

// A repetition begins with the first whole second behind the last packet: here, after 1.998 s.
func TestRepeat(t *testing.T) {
	packets := frames(t, 1001)
	packets[1000].at = time.Second / 2 // late
	c := captured(t, export.IPFIX, write(t, packets))
	c.Routers, c.Capture.Repeat, c.Cache.Inactive = 1, 3, time.Second/2
	s := run(t, t.Context(), c)
	all, _ := truth(t, &s.manifest)
	first := make([]int64, 4) // packet of each two seconds
	for _, m := range all {
		at := m.Start - start.UnixMilli()
		if i := at / 2000; first[i] == 0 || at%2000 < first[i] {
			first[i] = at%2000 + 1
		}
	}
	if !slices.Equal(first, []int64{1, 1, 1, 0}) {
		t.Errorf("the first packets are %v ms behind where they should be, and one", first)
	}
}

// A duration cuts a capture at that time, and does not lengthen it.
func TestCaptureIsCut(t *testing.T) {
	for _, c := range []struct {
		length  time.Duration
		packets uint64
	}{{7001 * time.Millisecond, 3501}, {7 * time.Second, 3500}, {time.Hour, 20_000}} {
		g := captured(t, export.NetFlow9, write(t, frames(t, 20_000)))
		g.Duration = c.length
		s := run(t, t.Context(), g)
		all, last := truth(t, &s.manifest)
		if packets, _ := carried(all); packets != c.packets || last.End != manifest.Complete {
			t.Errorf("%d packets in %v instead of %d, %s", packets, c.length, c.packets, last.End)
		}
		wantLedger(t, s)
	}
}

// Of a file that is cut off, all that can be read is sent, and the error says where it ends.
func TestCaptureIsDamaged(t *testing.T) {
	path := write(t, frames(t, 2000))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	c := captured(t, export.NetFlow9, path)
	c.Capture.Repeat = 2 // which does not happen
	var out bytes.Buffer
	c.Manifest, c.Send = &out, func(int, []byte) error { return nil }
	stats, err := generate.Run(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "a.pcap: packet 2000, offset ") {
		t.Errorf("error %v", err)
	}
	all, last := truth(t, &out)
	if packets, _ := carried(all); packets != 1999 || last.End != manifest.Interrupted || !stats.Ledger.Closes() {
		t.Errorf("%d packets, %s", packets, last.End)
	}
}

// A router's sysUpTime would begin anew in a capture of very many days, so that must be cut.
func TestCaptureIsTooLong(t *testing.T) {
	if testing.Short() {
		t.Skip("29 days take long")
	}
	all := frames(t, 100)
	for day := range 30 {
		for hour := range 24 { // a jump of more than an hour would not be believed
			all = append(all, frame{time.Duration(day*24+hour+1) * time.Hour, all[0].data})
		}
	}
	c := captured(t, export.NetFlow9, write(t, all))
	c.Routers, c.Send = 1, func(int, []byte) error { return nil }
	stats, err := generate.Run(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "696h0m0s: want a duration") || stats.Ledger.Exporters[0].Sent.Packets != 100+29*24-1 {
		t.Errorf("error %v, sent %+v", err, stats.Ledger.Exporters[0].Sent)
	}
}

// What is no capture of IP packets is refused before anything is sent.
func TestNoCapture(t *testing.T) {
	arp := frame{data: append(bytes.Repeat([]byte{2}, 12), 8, 6, 0, 1, 8, 0)}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("ts,te,sa,da\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		capture generate.Capture
		want    string
	}{
		"absent":         {generate.Capture{Paths: []string{"nowhere.pcap"}}, "nowhere.pcap"},
		"text":           {generate.Capture{Paths: []string{text}}, "not a pcap or pcapng file"},
		"empty":          {generate.Capture{Paths: []string{os.DevNull}}, "not a pcap or pcapng file"},
		"no packet":      {generate.Capture{Paths: []string{write(t, nil)}}, "a.pcap: no IP packet"},
		"ARP":            {generate.Capture{Paths: []string{write(t, []frame{arp, arp})}}, "a.pcap: no IP packet"},
		"repeated pipe":  {generate.Capture{Paths: []string{"-"}, Repeat: 2}, "standard input"},
		"repeated never": {generate.Capture{Paths: []string{write(t, frames(t, 2))}, Repeat: -1}, "-1 times"},
	} {
		t.Run(name, func(t *testing.T) {
			g := captured(t, export.NetFlow9)
			g.Capture = &c.capture
			g.Send = func(int, []byte) error {
				t.Error("a datagram was sent")
				return nil
			}
			if _, err := generate.Run(t.Context(), g); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v instead of %s", err, c.want)
			}
		})
	}
}

// A capture comes from standard input as well.
func TestCaptureFromStandardInput(t *testing.T) {
	f, err := os.Open(write(t, frames(t, 100)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := captured(t, export.NetFlow9, "-")
	c.Capture.Stdin = io.Reader(f)
	s := run(t, t.Context(), c)
	if all, _ := truth(t, &s.manifest); len(all) == 0 {
		t.Error("no record")
	}
}

// Packets out of order join their flows, and one from before a router's restart that comes
// behind it is of the time of its boot: so the manifest is true still.
func TestCaptureOutOfOrder(t *testing.T) {
	all := frames(t, 10_000) // 20 s
	for i := 100; i+50 < len(all); i += 100 {
		all[i].at, all[i+50].at = all[i+50].at, all[i].at
	}
	all[5010].at = 3 * time.Second  // seen after 10.02 s, and the restart
	all[5100].at = -2 * time.Second // from before the first
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		t.Run(protocol.String(), func(t *testing.T) {
			c := captured(t, protocol, write(t, all))
			c.Restarts = []generate.Restart{{At: 10 * time.Second}}
			s := run(t, t.Context(), c)
			records, _ := truth(t, &s.manifest)
			wantDecoded(t, s, records)
			wantLedger(t, s)
		})
	}
}

// A restart that the capture is too short for is said, since a manifest without it would lie; and
// so is what happens to a clock.
func TestCaptureTooShort(t *testing.T) {
	path := write(t, frames(t, 1000)) // 2 s
	for _, on := range []struct{ flag, value, want string }{
		{"restart", "10s", "no restart of router 1 at 10s"},
		{"clock", "step=1h,at=10s,exporter=2", "no clock step=1h0m0s,at=10s,exporter=2 at router 2"},
		{"clock", "wrap,at=10s", "no clock wrap,at=10s at router 1"},
	} {
		c := captured(t, export.NetFlow9, path)
		c.Send = func(int, []byte) error { return nil }
		addOnPurpose(t, &c, on.flag, on.value)
		if _, err := generate.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), on.want) {
			t.Errorf("%s %s: error %v", on.flag, on.value, err)
		}
	}
}

// What happens to clocks happens with a capture too, whose end nobody knows.
func TestCaptureClocks(t *testing.T) {
	path := write(t, frames(t, 10_000)) // 20 s
	for _, protocol := range []export.Protocol{export.NetFlow5, export.NetFlow9, export.IPFIX} {
		c := captured(t, protocol, path)
		c.Clocks = clocks(t, "wrap,at=5s,exporter=1", "step=1h,at=10s,exporter=2")
		s := run(t, t.Context(), c)
		records, _ := truth(t, bytes.NewReader(s.manifest.Bytes()))
		wantDecoded(t, s, records)
		told := lines[manifest.Clock](t, s.manifest.Bytes(), "clock")
		if len(told) != 2 || told[0].At != start.Add(5*time.Second) || told[1].At != start.Add(10*time.Second) {
			t.Errorf("%s: the manifest says %+v", protocol, told)
		}
	}
}

// A router restarts once at a time, however often that is said, and the manifest has all that it
// lost: also where its packets of that round are in two chunks.
func TestRestartBetweenChunks(t *testing.T) {
	all := frames(t, 20_000)
	for i := range all {
		all[i].at = time.Duration(i) * 10100 * time.Millisecond / (1 << 14) // a chunk ends behind 10.1 s
	}
	c := captured(t, export.NetFlow9, write(t, all))
	c.Restarts = []generate.Restart{{At: 10 * time.Second}, {At: 10 * time.Second, Exporter: 1}, {At: 10 * time.Second}}
	s := run(t, t.Context(), c)
	restarts, lost := lines[manifest.Restart](t, s.manifest.Bytes(), "restart"), uint64(0)
	for _, r := range restarts {
		lost += r.Packets
	}
	records, _ := truth(t, &s.manifest)
	if packets, _ := carried(records); len(restarts) != 3 || packets+lost != 20_000 {
		t.Errorf("%d restarts lost %d packets, and %d are in records", len(restarts), lost, packets)
	}
	wantLedger(t, s)
}

// Ctrl-C ends a capture as it ends a profile: what was read and is in no record is in the ledger.
func TestCaptureInterrupted(t *testing.T) {
	c := captured(t, export.NetFlow9, write(t, frames(t, 50_000)))
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	c.Send = func(int, []byte) error {
		if n++; n == 50 {
			cancel()
		}
		return nil
	}
	s := run(t, ctx, c)
	if _, last := truth(t, &s.manifest); last.End != manifest.Interrupted || last.Datagrams != 50 {
		t.Errorf("%+v", last)
	}
	if behind := s.stats.Ledger.Ignored[0].Count; behind == 0 {
		t.Error("nothing is behind the end")
	}
	wantLedger(t, s)
}
