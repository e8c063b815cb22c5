//go:build linux

package afpacket

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/test/netns"
)

// A rig is a capture in a namespace with all its sources read, for a test that
// sends and then looks at what came.
type rig struct {
	t       *testing.T
	capture *Capture
	clock   Clock

	mu      sync.Mutex
	packets [][]flow.Packet // by worker
	horizon []flow.Time
	late    int // packets before the horizon that had been reported
	readers sync.WaitGroup
	// readings counts the Reads of all workers.
	readings atomic.Int64
	stop     func() // ends Run
	asks     []chan func()
}

func newDecoder() Decoder { return capture.NewDecoder(capture.DecoderOptions{}) }

// capturing opens a capture inside ns and reads it.
func capturing(t *testing.T, ns *netns.NS, cfg Config) *rig {
	t.Helper()
	if cfg.Decoder == nil {
		cfg.Decoder = newDecoder
	}
	if cfg.RingMemory == 0 {
		cfg.RingMemory = 8 << 20
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, clock: cfg.Clock}
	ns.Run(func() { r.capture, err = Open(cfg) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go ns.Run(func() { ran <- r.capture.Run(ctx) })
	r.stop = func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		r.stop = func() {}
	}
	r.packets = make([][]flow.Packet, len(r.capture.Sources()))
	r.horizon = make([]flow.Time, len(r.capture.Sources()))
	for range r.capture.Sources() {
		r.asks = append(r.asks, make(chan func()))
	}
	for i, s := range r.capture.Sources() {
		r.readers.Add(1)
		go r.read(i, s)
	}
	t.Cleanup(func() { r.stop(); r.finish() })
	return r
}

// read reads one source to its end, as a shard does.
func (r *rig) read(i int, s *Source) {
	defer r.readers.Done()
	batch := make([]flow.Packet, 64)
	for {
		n, horizon, err := s.Read(batch)
		r.readings.Add(1)
		r.mu.Lock()
		for _, p := range batch[:n] {
			if p.First < r.horizon[i] {
				r.late++
			}
		}
		if horizon < r.horizon[i] || horizon > r.clock.Now() {
			r.t.Errorf("horizon went from %v to %v", r.horizon[i], horizon)
		}
		r.horizon[i] = horizon
		r.packets[i] = append(r.packets[i], batch[:n]...)
		r.mu.Unlock()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				r.t.Errorf("Read: %v", err)
			}
			return
		}
		select {
		case f := <-r.asks[i]:
			f()
		default:
		}
	}
}

// finish stops the capture and reads it to its end.
func (r *rig) finish() {
	if err := r.capture.Stop(); err != nil {
		r.t.Errorf("Stop: %v", err)
	}
	r.readers.Wait()
	if r.late > 0 {
		r.t.Errorf("%d packets lie before a horizon that was reported earlier", r.late)
	}
}

// all returns the packets of all workers, after finish.
func (r *rig) all() []flow.Packet { return slices.Concat(r.packets...) }

// counters returns the sums over the workers by interface name, after finish,
// and checks that the ledger of each source closes.
func (r *rig) counters() map[string]capture.Counters {
	r.t.Helper()
	sums := map[string]capture.Counters{}
	for _, s := range r.capture.Sources() {
		all := s.AppendCounters(nil)
		checkLedger(r.t, all)
		if !slices.IsSortedFunc(all, func(a, b capture.Counters) int { return int(a.Index) - int(b.Index) }) {
			r.t.Errorf("counters are not in the order of the index: %+v", all)
		}
		for i := range all {
			sum := sums[all[i].Name]
			sum.Add(&all[i])
			sum.Index, sum.Name = all[i].Index, all[i].Name
			sums[sum.Name] = sum
		}
	}
	return sums
}

// checkLedger checks that every observed frame is in exactly one term.
func checkLedger(t *testing.T, all []capture.Counters) {
	t.Helper()
	var observed, terms uint64
	for i := range all {
		c := &all[i]
		o, s := c.Observed, c.Lost+c.InRing+c.SampledOut+c.Metered
		for _, n := range c.NotMetered {
			s += n
		}
		if all[0].Index != 0 && o != s {
			t.Errorf("%s: %d frames observed, %d in the other terms: %+v", c.Name, o, s, *c)
		}
		observed, terms = observed+o, terms+s
	}
	if observed != terms {
		t.Errorf("%d frames observed, %d in the other terms: %+v", observed, terms, all)
	}
}

// await waits until at least n frames have been taken from the rings.
func (r *rig) await(n int) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if r.taken() >= n {
			return
		}
	}
	r.t.Fatalf("%d frames after 10 s, want %d", r.taken(), n)
}

// taken counts the frames that were taken from the rings.
func (r *rig) taken() int {
	n := 0
	for i, s := range r.capture.Sources() {
		done := make(chan struct{})
		f := func() {
			for _, c := range s.AppendCounters(nil) {
				n += int(c.Metered + c.SampledOut)
				for _, k := range c.NotMetered {
					n += int(k)
				}
			}
			close(done)
		}
		s.Wake()
		r.asks[i] <- f
		<-done
	}
	return n
}

// sender sends frames as they are on an interface.
type sender struct {
	t     *testing.T
	fd    int
	index int
}

func newSender(t *testing.T, ns *netns.NS, name string) *sender {
	t.Helper()
	s := &sender{t: t, index: ns.Index(name)}
	var err error
	ns.Run(func() { s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s.fd) })
	return s
}

func (s *sender) send(frames ...[]byte) {
	s.t.Helper()
	for _, f := range frames {
		if err := unix.Sendto(s.fd, f, 0, &unix.SockaddrLinklayer{Ifindex: s.index}); err != nil {
			s.t.Fatalf("send: %v", err)
		}
	}
}

// pair is a veth pair between two namespaces, without IPv6, so that nothing
// crosses it that a test does not send.
func pair(t *testing.T) (a, b *netns.NS) {
	t.Helper()
	a, b = netns.New(t), netns.New(t)
	netns.Veth(t, netns.End{NS: a, Name: "out"}, netns.End{NS: b, Name: "in"})
	return a, b
}

// Frames for the tests, from the inside to the outside.

func ip4(src, dst string, protocol byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	return append(b, payload...)
}

func ip6(src, dst string, next byte, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 0x60, next, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	copy(b[8:], s[:])
	copy(b[24:], d[:])
	return append(b, payload...)
}

func udp(src, dst uint16, n int) []byte {
	b := make([]byte, 8+n)
	binary.BigEndian.PutUint16(b, src)
	binary.BigEndian.PutUint16(b[2:], dst)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	return b
}

func ether(etherType uint16, payload []byte) []byte {
	b := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0, 0}
	binary.BigEndian.PutUint16(b[12:], etherType)
	return append(b, payload...)
}

// tag is what follows a tag's type: the TCI and the type of the payload.
func tag(tci, etherType uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, tci)
	b = binary.BigEndian.AppendUint16(b, etherType)
	return append(b, payload...)
}

// labels puts a stack of MPLS labels before a packet.
func labels(payload []byte, values ...uint32) []byte {
	var b []byte
	for i, v := range values {
		e := v<<12 | 64
		if i == len(values)-1 {
			e |= 0x100
		}
		b = binary.BigEndian.AppendUint32(b, e)
	}
	return append(b, payload...)
}

func pppoe(protocol uint16, payload []byte) []byte {
	b := []byte{0x11, 0, 0, 7}
	b = binary.BigEndian.AppendUint16(b, uint16(len(payload)+2))
	b = binary.BigEndian.AppendUint16(b, protocol)
	return append(b, payload...)
}

// times repeats a frame.
func times(n int, f []byte) [][]byte { return slices.Repeat([][]byte{f}, n) }

func dial(t *testing.T, ns *netns.NS, network, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	ns.Run(func() { c, err = net.Dial(network, addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
