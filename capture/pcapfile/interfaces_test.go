package pcapfile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cacheflow/capture"
)

// TestInterfaces: an interface has its place's number, from 1, in each file; two
// files mean the same one where place and name agree.
func TestInterfaces(t *testing.T) {
	const us = 1_700_000_000_000_000
	name := func(s string) option { return option{optionName, []byte(s)} }
	file := func(names ...string) []byte {
		w := little().section()
		for _, n := range names {
			if n == "" {
				w.describe(1, 0)
			} else {
				w.describe(1, 0, name(n))
			}
		}
		for i := range names {
			w.enhanced(uint32(i), us, udpFrame(uint16(i)))
		}
		return w.Bytes()
	}
	classic := little().pcap(magicMicro, 1).packet(1_700_000_000, 0, udpFrame(0)).Bytes()
	for _, c := range []struct {
		name     string
		files    [][]byte
		inputs   []uint32
		counters string
	}{
		{"named", [][]byte{file("eth0", "eth1")}, []uint32{1, 2}, "1 eth0, 2 eth1"},
		{"unnamed", [][]byte{file("", "")}, []uint32{1, 2}, "1 file#1, 2 file#2"},
		{"two of a name", [][]byte{file("eth0", "eth0")}, []uint32{1, 2}, "1 eth0, 2 eth0"},
		{"sections count on", [][]byte{slices.Concat(file("eth0"), file("eth0", "eth1"))}, []uint32{1, 2, 3}, "1 eth0, 2 eth0, 3 eth1"},
		{"rotated", [][]byte{file("eth0", "eth1"), file("eth0", "eth1")}, []uint32{1, 2, 1, 2}, "1 eth0, 2 eth1"},
		{"rotated, classic", [][]byte{classic, classic}, []uint32{1, 1}, "1 file#1"},
		{"another in its place", [][]byte{file("eth0"), file("eth1"), file("eth0"), file("eth1")}, []uint32{1, 2, 1, 2}, "1 eth0, 2 eth1"},
		{"its number is taken", [][]byte{file("a", "b"), file("c", "d")}, []uint32{1, 2, 3, 4}, "1 a, 2 b, 3 c, 4 d"},
		{"a hostile name", [][]byte{file("e\x1b[2J\xff\u202eth0"), file(strings.Repeat("n", 300))}, []uint32{1, 2}, "1 e[2Jth0, 2 " + strings.Repeat("n", maxName)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, open(t, c.files...), 10)
			var inputs []uint32
			for _, p := range r.packets {
				inputs = append(inputs, p.Input)
			}
			var counters []string
			for _, c := range r.counters {
				counters = append(counters, fmt.Sprintf("%d %s", c.Index, c.Name))
			}
			if got := strings.Join(counters, ", "); r.err != nil || !slices.Equal(inputs, c.inputs) || got != c.counters {
				t.Errorf("inputs %v of %s, want %v of %s, error %v", inputs, got, c.inputs, c.counters, r.err)
			}
		})
	}
}

// TestLinkTypes: interfaces of one file may differ, and one that we do not know
// is counted.
func TestLinkTypes(t *testing.T) {
	w := little().section().describe(1, 0).describe(101, 0).describe(105, 0)
	w.enhanced(0, 0, udpFrame(1)).enhanced(1, 0, udpFrame(2)[14:]).enhanced(2, 0, udpFrame(3)).enhanced(0, 0, arpFrame)
	r := read(t, open(t, w.Bytes()), 10)
	if got := short(r); len(got) != 2 || got[0].port != 1 || got[1].port != 2 {
		t.Errorf("%v", got)
	}
	if len(r.counters) != 3 || r.counters[2].NotMetered[capture.UnknownLink] != 1 || r.counters[0].NotMetered[capture.NonIP] != 1 {
		t.Errorf("%+v", r.counters)
	}
}

// TestManyInterfaces: the bound holds for a file and over all files.
func TestManyInterfaces(t *testing.T) {
	w := little().section()
	for range maxInterfaces + 1 {
		w.describe(1, 0)
	}
	r := read(t, open(t, w.Bytes()), 10)
	if r.err == nil || !strings.HasSuffix(r.err.Error(), "more than 65536 interfaces") {
		t.Errorf("error %v", r.err)
	}
	n := newInterfaces()
	for i := range maxInterfaces {
		if err := n.join(&port{id: i}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.join(&port{id: 0, name: "one more"}); err == nil {
		t.Error("one more interface than the bound")
	}
}
