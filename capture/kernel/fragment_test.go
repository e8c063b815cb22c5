//go:build linux

package kernel

import (
	"encoding/binary"
	"slices"
	"testing"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// fragments cuts a UDP datagram of the flow n into three.
func fragments(t testing.TB, n uint32) [][]byte {
	const link = 14
	datagram := append(octets(t, "9c40 0035 0048 0000"), make([]byte, 64)...)
	var out [][]byte
	for at := 0; at < len(datagram); at += 24 {
		part := datagram[at:min(at+24, len(datagram))]
		b := octets(t, "020000000002 020000000001 0800 45000000 00070000 4011 0000 0a000001 c0000202")
		binary.BigEndian.PutUint16(b[link+2:], uint16(20+len(part)))
		binary.BigEndian.PutUint16(b[link+4:], uint16(n))
		offset := uint16(at / 8)
		if at+24 < len(datagram) {
			offset |= 0x2000
		}
		binary.BigEndian.PutUint16(b[link+6:], offset)
		out = append(out, append(b, part...))
	}
	return out
}

// Trains of fragments, in order, reversed, and spread over two CPUs: what the
// program hands over joins them as one decoder does that sees them in the same
// order.
func TestFragmentTrains(t *testing.T) {
	l := newLab(t, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	want := capture.NewDecoder(capture.DecoderOptions{Seed: 3})
	var wanted []flow.Packet
	see := func(frame []byte, cpu int) {
		defer pin(t, cpu%l.cpus)()
		l.ingress(t, frame, skBuff{})
		f := capture.Frame{Data: frame, Wire: len(frame), Link: capture.LinkEthernet, Input: loopback}
		var p flow.Packet
		if reason := want.Decode(&f, &p); reason != capture.Decoded {
			t.Fatal(reason)
		}
		wanted = append(wanted, p)
	}
	for n := range uint32(300) {
		train := fragments(t, n)
		switch n % 3 {
		case 1:
			slices.Reverse(train)
		case 2: // two trains at once, each on both CPUs
			for i, frame := range fragments(t, 1000+n) {
				see(train[i], i)
				see(frame, i+1)
			}
			continue
		}
		for i, frame := range train {
			see(frame, i)
		}
	}
	got := l.drain(t)
	if len(got) != len(wanted) {
		t.Fatalf("%d fragments handed over, want %d", len(got), len(wanted))
	}
	for i := range got {
		got[i].First, got[i].Last = 0, 0
		if got[i] != wanted[i] {
			t.Fatalf("fragment %d is %+v, want %+v", i, got[i], wanted[i])
		}
	}
	account(t, l.source)
}
