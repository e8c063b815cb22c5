package pcapfile

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// FuzzPcapFile reads hostile files: no panic, every packet is counted, and what
// is handed over makes sense.
func FuzzPcapFile(f *testing.F) {
	paths, err := filepath.Glob("../testdata/*.pcap")
	if err != nil || len(paths) == 0 {
		f.Fatal(err, "no corpus")
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, file := range hostile(f) {
		if len(file.data) < 10_000 {
			f.Add(file.data)
		}
	}
	batch := make([]flow.Packet, 16)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Open("-", Options{Stdin: bytes.NewReader(data), Decoder: capture.DecoderOptions{FragmentEntries: 16}})
		if err != nil {
			return
		}
		r := replay{boot: s.Boot()}
		var horizon flow.Time
		for {
			n, h, err := s.Read(batch)
			if h < horizon {
				t.Fatalf("the horizon goes back from %d to %d", horizon, h)
			}
			horizon = h
			for _, p := range batch[:n] {
				if p.First < 0 || p.First > horizon || p.Packets != 1 || p.Input == 0 || p.Direction != flow.Ingress {
					t.Fatalf("%+v", p)
				}
			}
			r.packets = append(r.packets, batch[:n]...)
			if err != nil {
				break
			}
		}
		r.counters = s.AppendCounters(nil)
		checkCounters(t, &r)
		for _, c := range r.counters {
			if c.NotMetered[capture.Other] != 0 {
				t.Errorf("%d frames for no named reason", c.NotMetered[capture.Other])
			}
		}
		// A packet takes at least 16 octets of a file, compressed 1000 times at most.
		if len(r.packets) > 1000*len(data)/16 {
			t.Errorf("%d packets in %d octets", len(r.packets), len(data))
		}
	})
}

// hostileFile asks for more than it has.
type hostileFile struct {
	name string
	data []byte
}

func hostile(t testing.TB) []hostileFile {
	ng := func() *writer { return little().section().describe(1, 0) }
	names := little().section()
	for range 1000 {
		names.describe(1, 0, option{optionName, bytes.Repeat([]byte("n"), 60_000)})
	}
	return []hostileFile{
		{"pcap, packet of 4 GiB", little().pcap(magicMicro, 1).word(1, 0, 0xffffffff, 0xffffffff).Bytes()},
		{"pcap, packet of 4 GiB on the wire", little().pcap(magicMicro, 1).word(1, 0, 0, 0xffffffff).Bytes()},
		{"pcap, snap length of 4 GiB", little().word(magicMicro).half(2, 4).word(0, 0, 0xffffffff, 1, 1, 0, 10, 10).Bytes()},
		{"pcapng, block of 4 GiB", ng().word(0xbad, 0xfffffffc).Bytes()},
		{"pcapng, packet block of 4 GiB", ng().word(blockEnhanced, 0xfffffffc, 0, 0, 0, 0xffffffff, 0xffffffff).Bytes()},
		{"pcapng, section of 4 GiB", little().word(blockSection, 0xfffffffc, byteOrderMagic).Bytes()},
		{"pcapng, interface of 4 GiB", ng().word(blockInterface, 0xfffffffc, 1).Bytes()},
		{"pcapng, snap length of 4 GiB", little().section().describe(1, 0xffffffff).simple(0xffffffff, nil).Bytes()},
		{"pcapng, option above its block", little().section().describe(1, 0, option{optionName, []byte("abc")}, option{0xffff, nil}).Bytes()},
		{"pcapng, options cut short", little().section().block(blockInterface, little().half(1, 0).word(0).half(optionName, 0xffff).Bytes()).enhanced(0, 0, nil).Bytes()},
		{"pcapng, options of no length", little().section().describe(1, 0, option{optionName, nil}, option{optionResolution, nil}, option{optionOffset, nil}).enhanced(0, 0, nil).Bytes()},
		{"pcapng, units of 2^-127 s", little().section().describe(1, 0, option{optionResolution, []byte{0xff}}).enhanced(0, 1<<63, nil).Bytes()},
		{"pcapng, names of 60 MB", names.Bytes()},
		{"gzip, block of 16 MiB", gzipped(t, little().section().block(0xbad, make([]byte, 16<<20)).Bytes())},
	}
}

// TestHostile: whatever a file claims, reading it takes the memory of a window
// and little time.
func TestHostile(t *testing.T) {
	const most = windowSize + 1<<20
	for _, file := range hostile(t) {
		t.Run(file.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			s, err := Open("-", Options{Stdin: bytes.NewReader(file.data), Decoder: capture.DecoderOptions{FragmentEntries: 16}})
			if err == nil {
				read(t, s, 4)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("took %d octets, more than %d", took, most)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
