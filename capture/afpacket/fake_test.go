//go:build linux

package afpacket

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// fakeClock is a pair of clocks that a test moves: the timeline, and a wall
// clock that is set.
type fakeClock struct {
	now  flow.Time
	wall int64 // the wall clock less the timeline
}

func (c *fakeClock) clock() Clock {
	return Clock{
		Now:      func() flow.Time { return c.now },
		Realtime: func() int64 { return int64(c.now) + c.wall },
	}
}

// fakeKernel fills a ring as net/packet/af_packet.c does.
type fakeKernel struct {
	ring   ring // of the kernel's own position: at is the active block
	frozen bool
	used   int // of the active block, in octets
	last   uint32
	snum   uint64
	drops  uint64
	clock  *fakeClock
}

func newFakeKernel(clock *fakeClock, blocks, block int) *fakeKernel {
	k := &fakeKernel{ring: ring{mem: aligned(blocks * block), block: block}, clock: clock}
	k.openBlock()
	return k
}

// sizeofDescriptor is BLK_HDR_LEN of net/packet/af_packet.c.
const sizeofDescriptor = int(unsafe.Sizeof(descriptor{}))

// aligned returns memory as mmap gives it.
func aligned(n int) []byte {
	words := make([]uint64, n/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
}

func (k *fakeKernel) hdr() *unix.TpacketHdrV1 { return &k.ring.descriptor(k.ring.at).hdr }

func (k *fakeKernel) realtime() (sec, nsec uint32) {
	t := int64(k.clock.now) + k.clock.wall
	return uint32(t / int64(time.Second)), uint32(t % int64(time.Second))
}

func (k *fakeKernel) openBlock() { // prb_open_block
	h := k.hdr()
	k.snum++
	h.Seq_num = k.snum
	atomic.StoreUint32(&h.Num_pkts, 0)
	h.Ts_first_pkt.Sec, h.Ts_first_pkt.Usec = k.realtime()
	h.Offset_to_first_pkt = uint32(sizeofDescriptor)
	k.used, k.frozen = sizeofDescriptor, false
}

func (k *fakeKernel) inUse() bool {
	return atomic.LoadUint32(&k.hdr().Block_status)&unix.TP_STATUS_USER != 0
}

// retire hands the active block over, and goes on to the next.
func (k *fakeKernel) retire() {
	last := (*unix.Tpacket3Hdr)(unsafe.Pointer(&k.ring.mem[k.last]))
	last.Next_offset = 0
	atomic.StoreUint32(&k.hdr().Block_status, unix.TP_STATUS_USER)
	k.ring.at = (k.ring.at + 1) % k.ring.blocks()
	if k.inUse() {
		k.frozen = true
		return
	}
	k.openBlock()
}

// timer is what happens every retireTimeout.
func (k *fakeKernel) timer() {
	switch {
	case k.frozen && !k.inUse():
		k.openBlock()
	case !k.frozen && k.hdr().Num_pkts > 0:
		k.retire()
	}
}

// receive puts a frame into the ring, or drops it.
func (k *fakeKernel) receive(data []byte, wire int, packet uint8) bool {
	mac := 92 // of an Ethernet device, with a vnet header
	size := (mac + len(data) + 7) &^ 7
	if k.frozen {
		if k.inUse() {
			k.drops++
			return false
		}
		k.openBlock()
	}
	if k.used+size >= k.ring.block {
		if k.retire(); k.frozen {
			k.drops++
			return false
		}
	}
	at := k.ring.at*k.ring.block + k.used
	k.last = uint32(at)
	hdr := (*unix.Tpacket3Hdr)(unsafe.Pointer(&k.ring.mem[at]))
	*hdr = unix.Tpacket3Hdr{Next_offset: uint32(size), Snaplen: uint32(len(data)), Len: uint32(wire),
		Status: unix.TP_STATUS_USER, Mac: uint16(mac), Net: uint16(mac + 14)}
	hdr.Sec, hdr.Nsec = k.realtime()
	sll := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&k.ring.mem[at+sllOffset]))
	*sll = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: 3, Hatype: unix.ARPHRD_ETHER, Pkttype: packet}
	copy(k.ring.mem[at+mac-vnetSize:at+mac], make([]byte, vnetSize))
	copy(k.ring.mem[at+mac:], data)
	k.used += size
	atomic.AddUint32(&k.hdr().Num_pkts, 1)
	return true
}

// fakeSource is a source that reads a fake kernel's ring.
func fakeSource(k *fakeKernel, decoder Decoder) *Source {
	s := &Source{clock: k.clock.clock(), decoder: decoder, nextStats: 1 << 62}
	f := &feed{ring: ring{mem: k.ring.mem, block: k.ring.block}}
	f.total = s.tallies.enter(3, "fake")
	f.own = f.total
	s.feeds = []*feed{f}
	return s
}

// stampDecoder says which frame it was: its number stands in its first octets.
type stampDecoder struct{}

func (stampDecoder) Decode(f *capture.Frame, p *flow.Packet) capture.Reason {
	*p = flow.Packet{Packets: 1, First: f.Time, Last: f.Time, Octets: uint64(binary.BigEndian.Uint32(f.Data))}
	return capture.Decoded
}

// A walk is random traffic, random reading and random steps of the wall clock.
type walk struct {
	t      *testing.T
	seed   uint64
	r      *rand.Rand
	clock  *fakeClock
	kernel *fakeKernel
	source *Source
	batch  []flow.Packet

	sent, got, accepted uint64
	order               []uint32             // the frames in the ring, by number
	came                map[uint32]flow.Time // when each came
	horizon             flow.Time
	stepped             bool // the wall clock was set
}

// The horizon never goes back and never beyond what is not read; every frame is
// handed over once, in its order, at a time that can be; and the terms of the
// ledger close at each moment.
func TestHorizonHolds(t *testing.T) {
	drops := uint64(0)
	for seed := range uint64(50) {
		w := &walk{t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1)), came: map[uint32]flow.Time{}}
		w.clock = &fakeClock{now: flow.Time(time.Hour), wall: 1.7e18}
		w.kernel = newFakeKernel(w.clock, 4, 4096)
		w.source = fakeSource(w.kernel, stampDecoder{})
		w.batch = make([]flow.Packet, 1+w.r.IntN(40))
		for range 5000 {
			w.step()
		}
		w.quiet()
		drops += w.kernel.drops
	}
	if drops < 1000 {
		t.Errorf("the runs are too tame: %d drops", drops)
	}
}

func (w *walk) step() {
	w.clock.now += flow.Time(w.r.IntN(2_000_000))
	switch w.r.IntN(12) {
	case 0, 1, 2, 3, 4, 5, 6:
		w.sent++
		data := binary.BigEndian.AppendUint32(make([]byte, 0, 64), uint32(w.sent))
		if w.kernel.receive(data[:64], 1500, unix.PACKET_HOST) {
			w.accepted++
			w.order = append(w.order, uint32(w.sent))
			w.came[uint32(w.sent)] = w.clock.now
		}
	case 7:
		w.kernel.timer()
	case 8:
		if w.r.IntN(40) == 0 {
			w.stepped = true
			w.clock.wall += []int64{int64(time.Hour), -int64(time.Hour)}[w.r.IntN(2)]
		}
	default:
		w.read()
	}
	if in := w.source.feeds[0].waiting(); in != uint64(len(w.order)) || w.accepted != in+w.got || w.sent != w.kernel.drops+w.accepted {
		w.t.Fatalf("seed %d: sent %d, dropped %d, in ring %d (really %d), read %d", w.seed, w.sent, w.kernel.drops, in, len(w.order), w.got)
	}
}

func (w *walk) read() {
	n := w.source.fill(w.batch)
	for _, p := range w.batch[:n] {
		if uint32(p.Octets) != w.order[0] {
			w.t.Fatalf("seed %d: frame %d came, want %d", w.seed, p.Octets, w.order[0])
		}
		came := w.came[w.order[0]]
		w.order = w.order[1:]
		if p.First < w.horizon || p.First > w.clock.now {
			w.t.Fatalf("seed %d: a frame at %v outside of %v to %v", w.seed, p.First, w.horizon, w.clock.now)
		}
		if d := p.First - came; !w.stepped && (d < -1000 || d > 1000) {
			w.t.Fatalf("seed %d: a frame that came at %v is stamped %v", w.seed, came, p.First)
		}
	}
	w.got += uint64(n)
	horizon := w.source.horizon
	if horizon < w.horizon || horizon > w.clock.now {
		w.t.Fatalf("seed %d: the horizon went from %v to %v at %v", w.seed, w.horizon, horizon, w.clock.now)
	}
	if len(w.order) > 0 && !w.stepped && horizon > w.came[w.order[0]] {
		w.t.Fatalf("seed %d: horizon %v, but the frame of %v is not read", w.seed, horizon, w.came[w.order[0]])
	}
	w.horizon = horizon
}

// quiet reads all and checks that the horizon then keeps up with the clock.
func (w *walk) quiet() {
	w.clock.now += flow.Time(time.Second)
	w.kernel.timer()
	for w.source.fill(w.batch) > 0 {
	}
	w.clock.now += flow.Time(time.Second)
	w.source.fill(w.batch)
	if lag := w.clock.now - w.source.horizon; lag != slack {
		w.t.Errorf("seed %d: a quiet ring's horizon is %v behind", w.seed, lag)
	}
}

// A step of the wall clock by an hour moves no stamp by more than a block's
// time, and the horizon goes on. The frames of the block that was open are
// counted.
func TestClockStep(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		clock := &fakeClock{now: flow.Time(time.Hour), wall: 1.7e18}
		k := newFakeKernel(clock, 8, 4096)
		s := fakeSource(k, stampDecoder{})
		batch := make([]flow.Packet, 64)
		for i := range 1000 {
			clock.now += flow.Time(10 * time.Millisecond)
			if i == 502 { // two frames are in the open block
				clock.wall += int64(step)
			}
			came := clock.now
			k.receive(make([]byte, 64), 64, unix.PACKET_HOST)
			if i%5 == 4 {
				k.timer()
			}
			for n := s.fill(batch); n > 0; n = s.fill(batch) {
				for _, p := range batch[:n] {
					if d := time.Duration(came - p.First); d < 0 || d > 60*time.Millisecond {
						t.Fatalf("step %v: a frame of the last 50 ms is %v old", step, d)
					}
				}
			}
			if lag := time.Duration(clock.now - s.horizon); lag > 120*time.Millisecond {
				t.Fatalf("step %v: the horizon is %v behind", step, lag)
			}
		}
		if n := s.tallies.of(3).ClockJumps; n != 2 {
			t.Errorf("step %v: %d stamps were counted as jumps, want 2", step, n)
		}
	}
}

// A place that the kernel reserved and gave up is no frame, and memory that is
// not laid out as it should be is counted and does no harm.
func TestDefectiveBlocks(t *testing.T) {
	clock := &fakeClock{now: flow.Time(time.Hour), wall: 1.7e18}
	frame := func(k *fakeKernel) *unix.Tpacket3Hdr {
		return (*unix.Tpacket3Hdr)(unsafe.Pointer(&k.ring.mem[sizeofDescriptor]))
	}
	for name, c := range map[string]struct {
		spoil       func(*fakeKernel)
		read, other int
	}{
		"whole":         {func(*fakeKernel) {}, 3, 0},
		"given up":      {func(k *fakeKernel) { frame(k).Status = 0 }, 2, 0},
		"mac too large": {func(k *fakeKernel) { frame(k).Mac = 60000 }, 2, 1},
		"mac too small": {func(k *fakeKernel) { frame(k).Mac = 8 }, 2, 1},
		"long":          {func(k *fakeKernel) { frame(k).Snaplen = 1 << 31 }, 2, 1},
		"no next":       {func(k *fakeKernel) { frame(k).Next_offset = 0 }, 0, 3},
		"next outside":  {func(k *fakeKernel) { frame(k).Next_offset = 1 << 30 }, 0, 3},
		"first outside": {func(k *fakeKernel) { k.hdr().Offset_to_first_pkt = 1 << 20 }, 0, 3},
	} {
		k := newFakeKernel(clock, 2, 4096)
		s := fakeSource(k, stampDecoder{})
		for range 3 {
			k.receive(make([]byte, 64), 64, unix.PACKET_HOST)
		}
		c.spoil(k)
		k.retire()
		if n := s.fill(make([]flow.Packet, 8)); n != c.read || s.tallies.of(3).NotMetered[capture.Other] != uint64(c.other) {
			t.Errorf("%s: %d frames read, counters %+v", name, n, s.tallies.of(3))
		}
		if s.feeds[0].at != 1 || s.feeds[0].waiting() != 0 {
			t.Errorf("%s: the block was not handed back", name)
		}
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	clock := &fakeClock{now: flow.Time(time.Hour), wall: 1.7e18}
	k := newFakeKernel(clock, 8, 64<<10)
	s := fakeSource(k, newDecoder())
	frame := ether(unix.ETH_P_IP, ip4("10.0.0.1", "10.0.0.2", flow.ProtocolUDP, udp(1, 2, 100)))
	batch := make([]flow.Packet, 256)
	if n := testing.AllocsPerRun(100, func() {
		for range 300 {
			k.receive(frame, len(frame), unix.PACKET_HOST)
		}
		k.timer()
		for s.fill(batch) > 0 {
		}
	}); n != 0 {
		t.Errorf("%v allocations for 300 frames", n)
	}
	if s.tallies.of(3).Metered < 30000 {
		t.Errorf("only %d frames were read", s.tallies.of(3).Metered)
	}
}

// BenchmarkRead is the cost of a frame from a ring of 256 KiB blocks to an
// observation, decoder included, and of the ring alone.
func BenchmarkRead(b *testing.B) {
	for name, decoder := range map[string]Decoder{"ring": stampDecoder{}, "decode": newDecoder()} {
		b.Run(name, func(b *testing.B) {
			clock := &fakeClock{now: flow.Time(time.Hour), wall: 1.7e18}
			k := newFakeKernel(clock, 64, fullBlock)
			frame := ether(unix.ETH_P_IP, ip4("10.0.0.1", "10.0.0.2", flow.ProtocolUDP, udp(1, 2, 100)))
			for !k.frozen {
				k.receive(frame, len(frame), unix.PACKET_HOST)
			}
			s := fakeSource(k, decoder)
			full := make([]uint32, k.ring.blocks())
			for i := range full {
				full[i] = k.ring.descriptor(i).hdr.Num_pkts
			}
			batch := make([]flow.Packet, 256)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; {
				n := s.fill(batch)
				done += n
				if n == 0 { // all blocks are the kernel's: it hands them over again
					for i, n := range full {
						k.ring.descriptor(i).hdr.Num_pkts = n
						k.ring.descriptor(i).hdr.Block_status = unix.TP_STATUS_USER
					}
				}
			}
		})
	}
}
