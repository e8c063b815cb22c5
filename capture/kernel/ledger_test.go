//go:build linux

package kernel

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// flowFrame is tcp4 as the packet of flow n.
func flowFrame(t testing.TB, n uint32) []byte {
	b := octets(t, tcp4)
	binary.BigEndian.PutUint32(b[26:], n)
	return b
}

// pin keeps the goroutine on one CPU until the test ends or the returned function is
// called.
func pin(t testing.TB, cpu int) (release func()) {
	t.Helper()
	runtime.LockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	}
}

// needTwoCPUs skips a test that one CPU cannot run, and fails it in CI.
func needTwoCPUs(t testing.TB) {
	t.Helper()
	if runtime.NumCPU() > 1 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("takes two CPUs")
	}
	t.Skip("skipping: takes two CPUs")
}

// eachWay runs a test with logs for the victims, and with the rings that have them where
// processors do not keep their stores in order. It is given the configuration to begin
// with.
func eachWay(t *testing.T, test func(t *testing.T, cfg Config)) {
	if storesInOrder {
		t.Run("log", func(t *testing.T) { test(t, Config{}) })
	}
	t.Run("ring", func(t *testing.T) { test(t, Config{ringsOnly: true}) })
}

// account checks that every frame, packet and octet is in exactly one term, and
// returns the counters of lo.
func account(t testing.TB, s *Source) capture.Counters {
	t.Helper()
	var sum capture.Counters
	for _, c := range s.AppendCounters(nil) {
		sum.Add(&c)
	}
	c := &sum
	terms := c.SampledOut + c.Lost + c.InFirstLevel + c.InRing + c.Metered
	for _, n := range c.NotMetered {
		terms += n
	}
	if terms != c.Observed {
		t.Errorf("%d frames observed, %d in the terms: %+v", c.Observed, terms, *c)
	}
	out := c.FirstLevel.Lost
	out.Add(c.FirstLevel.Content)
	out.Add(c.FirstLevel.InRing)
	out.Add(c.FirstLevel.HandedOver)
	if out != c.FirstLevel.Counted {
		t.Errorf("counted %+v, in the terms %+v: %+v", c.FirstLevel.Counted, out, *c)
	}
	return sum
}

// total sums observations.
func total(ps []flow.Packet) (s capture.Sum) {
	for i := range ps {
		s.Add(capture.Sum{Packets: ps[i].Packets, Octets: ps[i].Octets})
	}
	return s
}

// A ring of a page, a small cache, and nobody who reads: what has no room is counted
// as lost, and all else is handed over in the end.
func TestLedgerWithTinyRing(t *testing.T) { eachWay(t, ledgerWithTinyRing) }

func ledgerWithTinyRing(t *testing.T, cfg Config) {
	defer pin(t, 0)()
	cfg.Entries, cfg.Ring = 256, os.Getpagesize()
	l := newLab(t, cfg, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	const frames = 5000
	var want capture.Sum
	for i := range uint32(frames) {
		l.ingress(t, flowFrame(t, i), skBuff{})
		want.Add(capture.Sum{Packets: 1, Octets: 40})
	}
	l.ingress(t, octets(t, "020000000002 020000000001 0806 0001080006040001"), skBuff{}) // ARP
	before := account(t, l.source)
	if before.Observed != frames+1 || before.Lost == 0 || before.InRing == 0 || before.InFirstLevel != 256 ||
		before.FirstLevel.Counted != want || before.NotMetered[capture.NonIP] != 1 {
		t.Errorf("before the drain: %+v", before)
	}
	all := l.drain(t)
	after := account(t, l.source)
	if after.InRing != 0 || after.InFirstLevel != 0 || after.Lost != before.Lost || after.FirstLevel.HandedOver != total(all) ||
		uint64(len(all)) != frames-after.Lost {
		t.Errorf("after the drain of %d: %+v", len(all), after)
	}
	// What was full has room again. One flow more than there are entries does not fit.
	c := after
	for i := uint32(0); i <= 256 && c.InRing == 0 && c.Lost == after.Lost; i++ {
		l.ingress(t, flowFrame(t, i), skBuff{})
		c = account(t, l.source)
	}
	if c.InRing != 1 || c.Lost != after.Lost {
		t.Errorf("after more frames: %+v", c)
	}
}

// Under clsact the program stops counting when user space has not been heard of for a
// while, however long ago that was.
func TestHeartbeat(t *testing.T) {
	defer pin(t, 0)()
	const legacy = 100_000 // jiffies: far more than the test takes
	l := loadWith(t, Config{}, loadOptions{legacy: legacy})
	l.device(bpf.ProgramDeviceFlagDEVICE_INGRESS)
	var want uint64
	for _, c := range []struct {
		ago    uint32
		counts bool
	}{{0, true}, {legacy / 2, true}, {2 * legacy, false}, {1<<31 - 1, false}, {1<<31 + 1, false}, {3 << 30, false}} {
		now, err := l.readJiffies()
		if err != nil {
			t.Fatal(err)
		}
		atomic.StoreUint32(l.heartbeat, now-c.ago)
		l.ingress(t, octets(t, tcp4), skBuff{})
		if c.counts {
			want++
		}
		if got := l.counts[0].Observed; got != want {
			t.Errorf("heartbeat %d jiffies ago: %d frames counted, want %d", c.ago, got, want)
			want = got
		}
	}
}

// A log or ring that fills up while nobody reads it wakes the reader, at a quarter.
func TestRingWakes(t *testing.T) { eachWay(t, ringWakes) }

func ringWakes(t *testing.T, cfg Config) {
	defer pin(t, 0)()
	cfg.Entries, cfg.Ring = 256, 64<<10
	l := newLab(t, cfg, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	waiting := func() int { return int(l.logs[0].end())*logPlace + int(l.states[0].Filled) }
	waited := func() time.Duration {
		start := time.Now()
		if err := l.source.waiter.wait(2 * time.Second); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	n := uint32(0)
	for ; waiting() < cfg.Ring/4-1024; n++ {
		l.ingress(t, flowFrame(t, n), skBuff{})
	}
	if d := waited(); d < time.Second {
		t.Errorf("woken after %v by less than what is worth it", d)
	}
	// What was in the ring counts from 0 once it has called.
	for before := 0; waiting() >= before && waiting() < cfg.Ring/4; n++ {
		before = waiting()
		l.ingress(t, flowFrame(t, n), skBuff{})
	}
	if d := waited(); d > time.Second {
		t.Error("not woken")
	}
	if l.drain(t); l.source.victims == 0 {
		t.Error("no victims")
	}
}

// A generation with as many flows as the flow cache can take at once is closed before its
// time, whether the logs are empty or not; one with fewer is not.
func TestEarlyFlip(t *testing.T) {
	defer pin(t, 0)()
	for name, c := range map[string]struct {
		flows, entries int
		early          bool
	}{
		"few":                 {200, 1 << 14, false},
		"many":                {2000, 1 << 14, true},
		"many, a ring in use": {5000, 512, true},
		"many in small sets":  {5000, 256, true}, // what left as a victim counts as well
	} {
		l := newLab(t, Config{Entries: c.entries, Ring: 1 << 18, MaxFlows: 300 * ebpf.MustPossibleCPU()}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
		l.source.length = flow.Time(time.Hour)
		for i := range c.flows {
			l.ingress(t, flowFrame(t, uint32(i)), skBuff{})
		}
		batch := make([]flow.Packet, 256)
		for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end) && l.source.early == 0; {
			if _, _, err := l.source.Read(batch); err != nil {
				t.Fatal(err)
			}
		}
		if (l.source.early > 0) != c.early || l.source.flips != l.source.early {
			t.Errorf("%s: %d of %d flips early", name, l.source.early, l.source.flips)
		}
	}
}

// Two CPUs count while the generation is flipped as fast as the kernel can, and
// while the drain rests: nothing is lost, nothing counted twice.
func TestLedgerUnderFlips(t *testing.T) {
	const small = 256 // entries, of which nearly all leave as victims
	for name, cfg := range map[string]Config{
		"large":        {},
		"small":        {Entries: small, Ring: 1 << 20},
		"small, rings": {Entries: small, Ring: 1 << 20, ringsOnly: true},
		"simple":       {Simple: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, cfg, bpf.ProgramDeviceFlagDEVICE_INGRESS)
			l.source.length = 0
			var sent atomic.Uint64
			var running sync.WaitGroup
			stop := make(chan struct{})
			for cpu := range min(2, runtime.NumCPU()) {
				running.Go(func() {
					defer pin(t, cpu)()
					r := rand.New(rand.NewPCG(uint64(cpu), 1))
					for {
						select {
						case <-stop:
							return
						default:
							l.ingress(t, flowFrame(t, r.Uint32N(3000)), skBuff{})
							sent.Add(1)
						}
					}
				})
			}
			var all capture.Sum
			batch := make([]flow.Packet, 256)
			rest := 200 * time.Millisecond
			if cfg.Entries == small {
				rest = 5 * time.Second
			}
			for end := time.Now().Add(3*time.Second + rest); time.Now().Before(end); {
				n, _, err := l.source.Read(batch)
				if err != nil {
					t.Fatal(err)
				}
				all.Add(total(batch[:n]))
				if l.source.flips >= 20 && rest > 0 {
					time.Sleep(rest)
					rest = 0
				}
			}
			close(stop)
			running.Wait()
			account(t, l.source)
			all.Add(total(l.drain(t)))
			c := account(t, l.source)
			if c.Observed != sent.Load() || c.FirstLevel.Counted.Packets != sent.Load() {
				t.Errorf("%d frames sent: %+v", sent.Load(), c)
			}
			if c.FirstLevel.HandedOver != all || all.Packets+c.FirstLevel.Lost.Packets != sent.Load() || c.Lost != c.FirstLevel.Lost.Packets {
				t.Errorf("%d frames sent, handed over %+v, lost %d: %+v", sent.Load(), all, c.Lost, c)
			}
			t.Logf("%d frames, %d flips, %d victims, %d lost", sent.Load(), l.source.flips, l.source.victims, c.Lost)
		})
	}
}

// One CPU runs the program all the time while the other flips as fast as it can: now
// and then an interrupt holds a run up that has seen the old generation, and the drain
// must not overtake it.
func TestFlipWaitsForRuns(t *testing.T) {
	needTwoCPUs(t)
	l := newLab(t, Config{Entries: 256}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	l.source.length = 0
	const repeat = 100_000
	var running sync.WaitGroup
	var stop atomic.Bool
	running.Go(func() {
		defer pin(t, 0)()
		frame := flowFrame(t, 1)
		for !stop.Load() {
			if _, err := l.program.ingress.Run(&ebpf.RunOptions{Data: frame, Context: skBuff{Ifindex: loopback}, Repeat: repeat}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer pin(t, 1)()
	var all capture.Sum
	batch := make([]flow.Packet, 256)
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		n, _, err := l.source.Read(batch)
		if err != nil {
			t.Fatal(err)
		}
		all.Add(total(batch[:n]))
	}
	stop.Store(true)
	running.Wait()
	all.Add(total(l.drain(t)))
	c := account(t, l.source) // its first counter knows how many runs there were
	if c.Observed < repeat || all.Packets != c.Observed || c.FirstLevel.HandedOver != all {
		t.Errorf("handed over %+v: %+v", all, c)
	}
	t.Logf("%d runs, %d flips", c.Observed, l.source.flips)
}

// Where a run of the program was interrupted by this one, the packet goes through
// the ring and is counted once.
func TestNestedRun(t *testing.T) {
	defer pin(t, 0)()
	l := newLab(t, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	l.ingress(t, flowFrame(t, 1), skBuff{})
	l.states[0].Busy = 1
	l.ingress(t, flowFrame(t, 1), skBuff{})
	if l.states[0].Busy != 1 {
		t.Error("a nested run gave the partition away")
	}
	l.states[0].Busy = 0
	l.ingress(t, flowFrame(t, 1), skBuff{})
	c := account(t, l.source)
	if c.Observed != 3 || c.InRing != 1 || c.InFirstLevel != 2 {
		t.Errorf("%+v", c)
	}
	if all := l.drain(t); len(all) != 2 || total(all) != (capture.Sum{Packets: 3, Octets: 120}) {
		t.Errorf("handed over %+v", all)
	}
}

// A SYN never joins a connection that has ended: a thousand connections on one port
// pair are a thousand partial flows, in their order.
func TestReusedPortPair(t *testing.T) { eachWay(t, reusedPortPair) }

func reusedPortPair(t *testing.T, cfg Config) {
	defer pin(t, 0)()
	l := newLab(t, cfg, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	const connections = 1000
	for range connections {
		for _, flags := range []byte{flow.SYN, flow.ACK, flow.ACK | flow.PSH, flow.FIN | flow.ACK} {
			b := flowFrame(t, 7)
			b[14+20+13] = flags
			l.ingress(t, b, skBuff{})
		}
	}
	all := l.drain(t)
	if len(all) != connections {
		t.Errorf("%d partial flows of %d connections", len(all), connections)
	}
	for i := range all {
		if all[i].Packets != 4 || all[i].TCPFlags != flow.SYN|flow.ACK|flow.PSH|flow.FIN {
			t.Fatalf("partial flow %d: %+v", i, all[i])
		}
	}
	account(t, l.source)
}

// With no room in the ring the connections are merged, and nothing is lost.
func TestReusedPortPairWithoutRoom(t *testing.T) { eachWay(t, reusedPortPairWithoutRoom) }

func reusedPortPairWithoutRoom(t *testing.T, cfg Config) {
	defer pin(t, 0)()
	cfg.Entries, cfg.Ring = 256, os.Getpagesize()
	l := newLab(t, cfg, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	const connections = 200
	for range connections {
		for _, flags := range []byte{flow.SYN, flow.FIN} {
			b := flowFrame(t, 7)
			b[14+20+13] = flags
			l.ingress(t, b, skBuff{})
		}
	}
	if c := account(t, l.source); c.Lost != 0 {
		t.Errorf("%+v", c)
	}
	if all := l.drain(t); total(all).Packets != 2*connections || len(all) >= connections {
		t.Errorf("%d partial flows with %+v", len(all), total(all))
	}
}

// What a flow did in the generation that is closed is handed over before what it has
// done since, also where that is in the ring already.
func TestGenerationsInOrder(t *testing.T) { eachWay(t, generationsInOrder) }

func generationsInOrder(t *testing.T, cfg Config) {
	defer pin(t, 0)()
	l := newLab(t, cfg, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	connection := func(packets int) {
		for i := range packets {
			b := flowFrame(t, 7)
			b[14+20+13] = flow.ACK
			if i == 0 {
				b[14+20+13] = flow.SYN
			}
			if i == packets-1 {
				b[14+20+13] |= flow.FIN
			}
			l.ingress(t, b, skBuff{})
		}
	}
	connection(1)
	if err := l.setGeneration(1); err != nil {
		t.Fatal(err)
	}
	for packets := 2; packets <= 4; packets++ {
		connection(packets)
	}
	all := l.drain(t)
	if len(all) != 4 {
		t.Fatalf("%d partial flows", len(all))
	}
	for i := range all {
		if all[i].Packets != uint64(i+1) {
			t.Errorf("partial flow %d has %d packets", i+1, all[i].Packets)
		}
	}
}

// One frame out of so many is metered on each CPU: the first of each interval, or one
// of it by chance. The others are counted.
func TestSampling(t *testing.T) {
	defer pin(t, 0)()
	for _, random := range []bool{false, true} {
		l := newLab(t, Config{Sampling: capture.Sampling{Interval: 10, Random: random}}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
		const frames = 5000
		for i := range uint32(frames) {
			l.ingress(t, flowFrame(t, i%10), skBuff{})
		}
		if c := account(t, l.source); c.Observed != frames || c.SampledOut != frames/10*9 || c.InFirstLevel != frames/10 {
			t.Errorf("random %v: %+v", random, c)
		}
		all := l.drain(t)
		if len(all) != map[bool]int{false: 1, true: 10}[random] || total(all).Packets != frames/10 {
			t.Errorf("random %v: %d flows with %+v", random, len(all), total(all))
		}
		for i := range all {
			if random && (all[i].Packets < 20 || all[i].Packets > 90) { // 50 are expected, with a deviation of 6.7
				t.Errorf("flow %d has %d packets", i, all[i].Packets)
			}
		}
	}
}

// A flow that two CPUs saw in one generation is handed over in the order of time, so
// that the table does not take a flow for idle that was not.
func TestCPUsInOrder(t *testing.T) {
	l := newLab(t, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	needTwoCPUs(t)
	for i, cpu := range []int{1, 0} {
		release := pin(t, cpu)
		for n := range uint32(300) {
			for range i + 1 {
				l.ingress(t, flowFrame(t, n), skBuff{})
			}
		}
		release()
		time.Sleep(3 * time.Duration(l.source.clock.tick))
	}
	seen := map[flow.Key]uint64{}
	for _, p := range l.drain(t) {
		if p.Packets != seen[p.Key]+1 {
			t.Fatalf("part with %d packets comes after one with %d", p.Packets, seen[p.Key])
		}
		seen[p.Key] = p.Packets
	}
	if len(seen) != 300 {
		t.Errorf("%d flows", len(seen))
	}
}
