//go:build linux

package kernel

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
)

// tcp6 is an Ethernet frame with IPv6 and a TCP segment.
const tcp6 = "020000000002 020000000001 86dd" +
	"60000000 0014 06 40 20010db8000000000000000000000001 20010db8000000000000000000000002" +
	"01bbc350 00000001 00000000 5012 03e8 0000 0000"

// flowFrame6 is tcp6 as the packet of flow n.
func flowFrame6(t testing.TB, n uint32) []byte {
	b := octets(t, tcp6)
	binary.BigEndian.PutUint32(b[14+8+12:], n)
	return b
}

// hash is the program's of a flow (bpf/sets.h).
func (l *lab) hash(key flow.Key) uint64 {
	p := flow.Packet{Key: key}
	p.SrcPort, p.DstPort = networkOrder(p.SrcPort), networkOrder(p.DstPort)
	k := (*keyWords)(unsafe.Pointer(&p))
	h := k.src[0]*l.seed[0] + k.dst[0]*l.seed[1] + k.ports*l.seed[2] + uint64(k.kind)*l.seed[3]
	if p.Version == 6 {
		h += k.src[1]*l.seed[4] + k.dst[1]*l.seed[5]
	}
	h ^= h >> 32
	return h * l.seed[6]
}

// locate is where the program puts a flow: its set, and its tag there.
func (l *lab) locate(key flow.Key) (set, tag uint64) {
	h := l.hash(key)
	return h >> 32 & uint64(l.size.sets()-1), h>>48 | 0x8000
}

// keys tells the key of each flow that a function makes frames of.
func (l *lab) keys(t *testing.T, frame func(testing.TB, uint32) []byte) func(n uint32) flow.Key {
	t.Helper()
	l.ingress(t, frame(t, 0), skBuff{})
	key := l.drain(t)[0].Key
	at := 0
	if key.Version == 6 {
		at = 12
	}
	return func(n uint32) flow.Key {
		binary.BigEndian.PutUint32(key.Src[at:], n)
		return key
	}
}

// twins finds two flows that have a set and a tag in common.
func (l *lab) twins(t *testing.T, key func(n uint32) flow.Key) (a, b uint32) {
	t.Helper()
	type spot struct{ set, tag uint64 }
	seen := map[spot]uint32{}
	r := rand.New(rand.NewPCG(1, 2)) // in a row they may be spread too well
	for range 1 << 20 {
		n := r.Uint32()
		set, tag := l.locate(key(n))
		if other, ok := seen[spot{set, tag}]; ok && other != n {
			return other, n
		}
		seen[spot{set, tag}] = n
	}
	t.Fatal("no two flows of a million have a set and a tag in common")
	return 0, 0
}

// Flows whose tags agree are told apart by their keys, and each is found again.
func TestTwins(t *testing.T) {
	defer pin(t, 0)()
	for name, frame := range map[string]func(testing.TB, uint32) []byte{"IPv4": flowFrame, "IPv6": flowFrame6} {
		l := newLab(t, Config{Entries: 256}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
		a, b := l.twins(t, l.keys(t, frame))
		for range 3 {
			l.ingress(t, frame(t, a), skBuff{})
			l.ingress(t, frame(t, b), skBuff{})
		}
		all := l.drain(t)
		if len(all) != 2 || all[0].Packets != 3 || all[1].Packets != 3 || all[0].Key == all[1].Key {
			t.Errorf("%s: of flows %d and %d, got %+v", name, a, b, all)
		}
		if c := account(t, l.source); c.OtherHost != 7 { // for no address of lo
			t.Errorf("%s: %d of 7 frames for other hosts", name, c.OtherHost)
		}
	}
}

// A flow that has left is not found again in its way when the half is used anew, whatever
// the tag of the flow before it: of both tags all is zero that is of the hash, but for the
// lowest bit.
func TestFreedWaysAreFree(t *testing.T) {
	defer pin(t, 0)()
	l := newLab(t, Config{Entries: 256}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	key := l.keys(t, flowFrame)
	var sameSet []uint32
	for n := uint32(0); len(sameSet) < 2; n++ {
		if set, _ := l.locate(key(n)); set == 0 && l.hash(key(n))>>49 == 0 {
			sameSet = append(sameSet, n)
		}
	}
	for range 4 { // each half twice
		for _, n := range sameSet {
			l.ingress(t, flowFrame(t, n), skBuff{})
		}
		if all := l.drain(t); len(all) != 2 {
			t.Errorf("two flows, got %+v", all)
		}
		account(t, l.source)
	}
}

// A super-packet that joins a flow is one frame and many packets.
func TestSuperPacketsJoin(t *testing.T) {
	defer pin(t, 0)()
	l := newLab(t, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	plain := octets(t, tcp4)[:14+40]
	super := append(plain[:len(plain):len(plain)], make([]byte, 1000)...)
	binary.BigEndian.PutUint16(super[14+2:], 40+1000)
	const pairs = 3
	for range pairs {
		l.ingress(t, plain, skBuff{})
		l.ingress(t, super, skBuff{GsoSize: 100})
	}
	if c := account(t, l.source); c.InFirstLevel != 2*pairs {
		t.Errorf("%d frames in the first level, want %d", c.InFirstLevel, 2*pairs)
	}
	if all := l.drain(t); len(all) != 1 || all[0].Packets != 11*pairs || all[0].MaxLength != 140 {
		t.Errorf("got %+v", all)
	}
	if c := account(t, l.source); c.Metered != 2*pairs {
		t.Errorf("%d frames metered, want %d", c.Metered, 2*pairs)
	}
}

// A flow that lasts takes the place of one that does not, and is found there.
func TestPlaceIsTaken(t *testing.T) { eachWay(t, placeIsTaken) }

func placeIsTaken(t *testing.T, cfg Config) {
	defer pin(t, 0)()
	cfg.Entries, cfg.Ring = 256, 1<<22
	l := newLab(t, cfg, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	flows := l.crowd(t)
	l.age(t, 1)
	const packets = 100
	for range packets {
		l.ingress(t, flowFrame(t, flows), skBuff{})
	}
	parts, sum := 0, uint64(0)
	for _, p := range l.drain(t) {
		if binary.BigEndian.Uint32(p.Src[:]) == flows {
			parts, sum = parts+1, sum+p.Packets
		}
	}
	if sum != packets || parts > 10 {
		t.Errorf("%d packets in %d parts, want %d in a few", sum, parts, packets)
	}
	account(t, l.source)
}

// crowd fills every set with flows of one packet, and returns the next flow's number.
func (l *lab) crowd(t *testing.T) (next uint32) {
	for ; next < uint32(8*l.entries()); next++ {
		l.ingress(t, flowFrame(t, next), skBuff{})
	}
	return next
}

// age waits until what is in the sets is worth half as much, so many times.
func (l *lab) age(t *testing.T, times int) {
	t.Helper()
	tick, err := tick()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(times*16+1) * time.Duration(tick))
}

// A large flow outlives a scan that fills its set many times over, although all of the
// scan is younger; one that waits for its next packet for long does not.
func TestLargeFlowsOutliveScans(t *testing.T) { eachWay(t, largeFlowsOutliveScans) }

func largeFlowsOutliveScans(t *testing.T, cfg Config) {
	const large, packets = 1, 1024
	cfg.Entries = 256
	for name, test := range map[string]struct{ wait, parts int }{
		"soon":    {0, 1},
		"at last": {11, 2}, // 1024 packets are worth as much as none
	} {
		t.Run(name, func(t *testing.T) {
			defer pin(t, 0)()
			l := newLab(t, cfg, bpf.ProgramDeviceFlagDEVICE_INGRESS)
			key := l.keys(t, flowFrame)
			set, _ := l.locate(key(large))
			for range packets {
				l.ingress(t, flowFrame(t, large), skBuff{})
			}
			l.age(t, test.wait)
			for n, left := uint32(large+1), 100; left > 0; n++ {
				if at, _ := l.locate(key(n)); at == set {
					l.ingress(t, flowFrame(t, n), skBuff{})
					left--
				}
			}
			l.ingress(t, flowFrame(t, large), skBuff{})
			parts, sum := 0, uint64(0)
			for _, p := range l.drain(t) {
				if binary.BigEndian.Uint32(p.Src[:]) == large {
					parts, sum = parts+1, sum+p.Packets
				}
			}
			if parts != test.parts || sum != packets+1 {
				t.Errorf("%d packets in %d parts, want %d in %d", sum, parts, packets+1, test.parts)
			}
			account(t, l.source)
		})
	}
}
