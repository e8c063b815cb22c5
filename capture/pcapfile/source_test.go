package pcapfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// replay is all that a Source says.
type replay struct {
	boot     time.Time
	packets  []flow.Packet
	horizons []flow.Time // of each packet's Read
	counters []capture.Counters
	err      error // but io.EOF
}

// read reads s to its end, batch by batch, and holds it to the contract.
func read(t testing.TB, s *Source, batch int) (r replay) {
	t.Helper()
	r.boot = s.Boot()
	b := make([]flow.Packet, batch)
	horizon := flow.Time(0)
	for {
		n, h, err := s.Read(b)
		if h < horizon {
			t.Fatalf("the horizon goes back from %d to %d", horizon, h)
		}
		horizon = h
		r.packets = append(r.packets, b[:n]...)
		for range n {
			r.horizons = append(r.horizons, h)
		}
		if err == nil {
			continue
		}
		if n != 0 {
			t.Fatalf("%d observations with error %v", n, err)
		}
		if err != io.EOF {
			r.err = err
		}
		if _, _, again := s.Read(b); again != err {
			t.Fatalf("error %v, then %v", err, again)
		}
		break
	}
	r.counters = s.AppendCounters(nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkCounters(t, &r)
	return r
}

// checkCounters closes the balance of each interface, and with the packets.
func checkCounters(t testing.TB, r *replay) {
	t.Helper()
	var metered, octets uint64
	for _, c := range r.counters {
		sum := c.SampledOut + c.Metered
		for _, n := range c.NotMetered {
			sum += n
		}
		if c.Observed != sum || c.Lost != 0 || c.InRing != 0 || c.NotMetered[capture.Decoded] != 0 {
			t.Errorf("interface %d: observed %d, metered and not %d: %+v", c.Index, c.Observed, sum, c)
		}
		metered += c.Packets
		octets += c.Octets
	}
	for i := range r.packets {
		metered -= r.packets[i].Packets
		octets -= r.packets[i].Octets
	}
	if metered != 0 || octets != 0 {
		t.Errorf("the counters have %d packets and %d octets more than were handed over", int64(metered), int64(octets))
	}
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, data ...[]byte) *Source {
	t.Helper()
	var paths []string
	for _, d := range data {
		paths = append(paths, write(t, "capture", d))
	}
	s, err := OpenAll(paths, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// short tells of each packet its source port, interface and time.
func short(r replay) (s []seen) {
	for _, p := range r.packets {
		s = append(s, seen{p.SrcPort, p.Input, time.Duration(p.First)})
	}
	return s
}

type seen struct {
	port  uint16
	input uint32
	time  time.Duration
}

// TestFormats writes the same two packets in every format.
func TestFormats(t *testing.T) {
	const s, us = 1_700_000_000, 1_700_000_000_000_000
	two := func(w *writer, ticks uint64) *writer {
		return w.enhanced(0, ticks*s+ticks/4, udpFrame(1)).enhanced(0, ticks*s+ticks/2, udpFrame(2))
	}
	res := func(v byte) option { return option{optionResolution, []byte{v}} }
	minus := option{optionOffset, little().word(0xffffffff-99, 0xffffffff).Bytes()} // -100 s
	classic := func(w *writer, magic, scale uint32) []byte {
		return w.pcap(magic, 1).packet(s, 250_000*scale, udpFrame(1)).packet(s, 500_000*scale, udpFrame(2)).Bytes()
	}
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"pcap", classic(little(), magicMicro, 1)},
		{"pcap, nanoseconds", classic(little(), magicNano, 1000)},
		{"pcap, big-endian", classic(big(), magicMicro, 1)},
		{"pcap, big-endian, nanoseconds", classic(big(), magicNano, 1000)},
		{"pcapng", two(little().section().describe(1, 0), 1e6).Bytes()},
		{"pcapng, big-endian", two(big().section().describe(1, 0), 1e6).Bytes()},
		{"pcapng, nanoseconds", two(little().section().describe(1, 0, res(9)), 1e9).Bytes()},
		{"pcapng, big-endian, nanoseconds", two(big().section().describe(1, 0, res(9)), 1e9).Bytes()},
		{"pcapng, picoseconds would overflow, 10^-10 s", two(little().section().describe(1, 0, res(10)), 1e10).Bytes()},
		{"pcapng, 2^-20 s", two(little().section().describe(1, 0, res(0x80|20)), 1<<20).Bytes()},
		{"pcapng, 2^-32 s", two(little().section().describe(1, 0, res(0x80|32)), 1<<32).Bytes()},
		{"pcapng, an offset", little().section().describe(1, 0, minus).enhanced(0, us+100_250_000, udpFrame(1)).enhanced(0, us+100_500_000, udpFrame(2)).Bytes()},
		{"pcapng, obsolete packets", little().section().describe(1, 0).obsolete(0, us+250_000, udpFrame(1)).obsolete(0, us+500_000, udpFrame(2)).Bytes()},
		{"pcapng, other blocks between", little().section().block(4, nil).describe(1, 0).block(0xbad, make([]byte, 5000)).enhanced(0, us+250_000, udpFrame(1)).block(5, make([]byte, 12)).enhanced(0, us+500_000, udpFrame(2)).Bytes()},
	} {
		for name, data := range map[string][]byte{c.name: c.data, c.name + ", gzip": gzipped(t, c.data)} {
			t.Run(name, func(t *testing.T) {
				r := read(t, open(t, data), 10)
				want := []seen{{1, 1, time.Hour + time.Second/4}, {2, 1, time.Hour + time.Second/2}}
				if got := short(r); r.err != nil || !cmp.Equal(want, got, cmp.AllowUnexported(seen{})) {
					t.Errorf("%v, error %v", got, r.err)
				}
				if !r.boot.Equal(time.Unix(s-3600, 0)) {
					t.Errorf("boot instant %v", r.boot)
				}
				if c := r.counters[0]; len(r.counters) != 1 || c.Index != 1 || c.Name != "file#1" || c.Mode != "file" || c.Metered != 2 || c.Octets != 56 {
					t.Errorf("%+v", c)
				}
			})
		}
	}
}

// TestBatches: how much is read at once changes nothing.
func TestBatches(t *testing.T) {
	paths, err := filepath.Glob("../testdata/*.pcap")
	if err != nil || len(paths) == 0 {
		t.Fatal(err, "no corpus")
	}
	all := func(batch int) replay {
		s, err := OpenAll(paths, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := read(t, s, batch)
		r.horizons = nil
		return r
	}
	want := all(1000)
	if want.err != nil || len(want.packets) < 100 {
		t.Fatalf("%d packets, error %v", len(want.packets), want.err)
	}
	for _, batch := range []int{1, 2, 7, 64} {
		if diff := cmp.Diff(want, all(batch), cmp.AllowUnexported(replay{})); diff != "" {
			t.Errorf("batches of %d (-1000 +%d):\n%s", batch, batch, diff)
		}
	}
	if total := want.counters[0].NotMetered[capture.Other]; total != 0 {
		t.Errorf("%d frames for no named reason", total)
	}
}

// TestTruncation cuts files at every octet: all packets before the cut are
// handed over, then an error names the place, unless nothing was cut through.
func TestTruncation(t *testing.T) {
	const us = 1_700_000_000_000_000
	classic := little().pcap(magicMicro, 1).packet(1, 0, udpFrame(1)).packet(2, 0, udpFrame(2)).Bytes()
	ng := little().section().describe(1, 0).enhanced(0, us, udpFrame(1)).block(99, make([]byte, 20)).enhanced(0, us, udpFrame(2)).Bytes()
	for _, c := range []struct {
		name string
		data []byte
		ends map[int]int // a clean end, and how many packets lie before
	}{
		{"pcap", classic, map[int]int{24: 0, 24 + 58: 1, 24 + 2*58: 2}},
		{"pcapng", ng, map[int]int{28: 0, 48: 0, 48 + 88: 1, 48 + 88 + 32: 1, 48 + 2*88 + 32: 2}},
	} {
		packets := 0
		for n := range len(c.data) + 1 {
			path := write(t, "cut", c.data[:n])
			s, err := Open(path, Options{})
			if err != nil {
				if n >= 28 {
					t.Fatalf("%s: %d octets do not open: %v", c.name, n, err)
				}
				continue
			}
			r := read(t, s, 10)
			if before, clean := c.ends[n]; clean {
				packets = before
				if r.err != nil {
					t.Errorf("%s: a clean end at %d: %v", c.name, n, r.err)
				}
			} else if r.err == nil || !errors.Is(r.err, io.ErrUnexpectedEOF) || !strings.Contains(r.err.Error(), path) {
				t.Errorf("%s: cut at %d: error %v", c.name, n, r.err)
			}
			if len(r.packets) != packets {
				t.Errorf("%s: cut at %d: %d packets, want %d", c.name, n, len(r.packets), packets)
			}
		}
	}
}

// TestTruncatedGzip: what could be decompressed is handed over.
func TestTruncatedGzip(t *testing.T) {
	w := little().pcap(magicMicro, 1)
	for i := range 50_000 {
		w.packet(uint32(i), 0, udpFrame(uint16(i*i)))
	}
	z := gzipped(t, w.Bytes())
	r := read(t, open(t, z[:len(z)/2]), 100)
	if len(r.packets) < 10_000 || len(r.packets) > 40_000 || !errors.Is(r.err, io.ErrUnexpectedEOF) {
		t.Errorf("%d packets, error %v", len(r.packets), r.err)
	}
	z[len(z)/2] ^= 0xff
	if r := read(t, open(t, z), 100); r.err == nil || len(r.packets) > 50_000 {
		t.Errorf("damage: %d packets, error %v", len(r.packets), r.err)
	}
}

// TestErrors pins what a user reads.
func TestErrors(t *testing.T) {
	one := func() *writer { return little().section().describe(1, 0).enhanced(0, 1e15, udpFrame(1)) }
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a pcap or pcapng file"},
		{"text", []byte("no capture"), "not a pcap or pcapng file"},
		{"gzip of text", gzipped(t, []byte("no capture")), "not a pcap or pcapng file"},
		{"gzip cut", gzipped(t, nil)[:5], "unexpected EOF"},
		{"old pcap", little().word(magicMicro).half(2, 2).word(0, 0, 0, 1).Bytes(), "pcap version 2.2, not 2.4"},
		{"huge pcap packet", little().pcap(magicMicro, 1).packet(1, 0, udpFrame(1)).word(1, 0, 1<<31, 60).Bytes(),
			"packet 2, offset 82: packet of 2147483648 octets, more than 1048576"},
		{"byte order", little().word(blockSection, 28, 0, 0, 0, 0, 28).Bytes(), "packet 1, offset 0: section without a byte order"},
		{"later version", little().block(blockSection, little().word(byteOrderMagic).half(2, 0).word(0, 0).Bytes()).Bytes(), "packet 1, offset 0: pcapng version 2, not 1"},
		{"block length", append(one().Bytes(), little().word(99, 13, 0, 0).Bytes()...), "packet 2, offset 136: block of type 99 with 13 octets"},
		{"block below its head", append(one().Bytes(), little().word(99, 8, 0, 0).Bytes()...), "packet 2, offset 136: block of type 99 with 8 octets"},
		{"short packet block", append(one().Bytes(), little().word(blockEnhanced, 28, 0, 0, 0, 0, 28).Bytes()...), "packet 2, offset 136: block of type 6 with 28 octets"},
		{"huge packet block", append(one().Bytes(), little().word(blockEnhanced, 0xfffffffc, 0).Bytes()...), "packet 2, offset 136: block of type 6 with 4294967292 octets"},
		{"lengths differ", append(one().Bytes(), little().word(blockSimple, 16, 0, 20).Bytes()...), "packet 2, offset 136: block of 16 octets that ends with the length 20"},
		{"packet above its block", append(one().Bytes(), little().word(blockEnhanced, 32, 0, 0, 0, 1, 1, 32).Bytes()...), "packet 2, offset 136: packet of 1 octets in a block of 32"},
		{"no such interface", one().enhanced(1, 0, nil).Bytes(), "packet 2, offset 136: interface 1 of 1"},
		{"simple packet without an interface", little().section().simple(0, nil).Bytes(), "packet 1, offset 28: interface 0 of 0"},
		{"interfaces end with their section", one().section().enhanced(0, 0, nil).Bytes(), "packet 2, offset 164: interface 0 of 0"},
		{"stamp units", little().section().describe(1, 0, option{optionResolution, []byte{29}}).Bytes(), "packet 1, offset 28: stamps in units of 10^-29 s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, "capture", c.data)
			s, err := Open(path, Options{})
			if err == nil {
				err = read(t, s, 10).err
			}
			if want := path + ": " + c.want; err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := OpenAll([]string{write(t, "x", one().Bytes()), "/none"}, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing second file: %v", err)
	}
	if _, err := OpenAll(nil, Options{}); err == nil {
		t.Error("no file opens")
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil {
		t.Error("a directory opens")
	}
}

func TestStdin(t *testing.T) {
	data := little().pcap(magicMicro, 1).packet(1, 0, udpFrame(1)).Bytes()
	s, err := Open("-", Options{Stdin: iotestOneByte{bytes.NewReader(data)}})
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, s, 10)
	if len(r.packets) != 1 || r.err != nil {
		t.Errorf("%d packets, error %v", len(r.packets), r.err)
	}
	if n, total := s.Progress(); n != int64(len(data)) || total != 0 {
		t.Errorf("progress %d of %d", n, total)
	}
}

// iotestOneByte reads octet by octet, as a slow pipe does.
type iotestOneByte struct{ io.Reader }

func (r iotestOneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(1, len(b))]) }

func TestProgress(t *testing.T) {
	data := gzipped(t, little().pcap(magicMicro, 1).packet(1, 0, udpFrame(1)).Bytes())
	s := open(t, data, data)
	if n, total := s.Progress(); n == 0 || n > total || total != int64(2*len(data)) {
		t.Errorf("progress %d of %d after Open", n, total)
	}
	read(t, s, 10)
	if n, total := s.Progress(); n != total {
		t.Errorf("progress %d of %d at the end", n, total)
	}
}

// TestClose: a source that was closed is at its end.
func TestClose(t *testing.T) {
	s := open(t, little().pcap(magicMicro, 1).packet(1, 0, udpFrame(1)).Bytes())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := s.Read(make([]flow.Packet, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d packets, error %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
