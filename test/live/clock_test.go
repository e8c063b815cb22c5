//go:build linux

package live_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/gopacket/layers"

	built "cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/overlay"
)

// wall is what stands in the source as capture/afpacket/wall.go: a wall clock
// that is an hour ahead between two instants, which come in the file that WALL
// names.
const wall = `package afpacket

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

var forth, back atomic.Int64

func init() {
	go func() {
		for ; ; time.Sleep(10 * time.Millisecond) {
			var f, b int64
			text, _ := os.ReadFile(os.Getenv("WALL"))
			if n, _ := fmt.Sscan(string(text), &f, &b); n == 2 {
				back.Store(b)
				forth.Store(f)
				return
			}
		}
	}()
}

func Wall(t int64) int64 {
	if f := forth.Load(); f != 0 && t >= f && t < back.Load() {
		t += 3600e9
	}
	return t
}
`

// stepped returns a binary in which wall stands before all that tells the wall
// clock: the readings, and the kernel's stamps. It takes the epoch of the export
// anew each 100 ms instead of each minute.
func stepped(t *testing.T) string {
	t.Helper()
	const capture, daemon = "capture/afpacket/clock.go", "cmd/internal/daemon/clock.go"
	return built.Edited(t,
		overlay.Edit{File: "capture/afpacket/wall.go", New: wall},
		overlay.Edit{File: capture, Old: "c.Realtime()", New: "Wall(c.Realtime())"},
		overlay.Edit{File: capture, Old: "int64(sec)*int64(time.Second) + int64(nsec)", New: "Wall(int64(sec)*int64(time.Second) + int64(nsec))"},
		overlay.Edit{File: daemon, Old: `"cacheflow/cache/flow"`, New: `"cacheflow/cache/flow"; "cacheflow/capture/afpacket"`},
		overlay.Edit{File: daemon, Old: "now.UnixNano()", New: "afpacket.Wall(now.UnixNano())"},
		overlay.Edit{File: daemon, Old: "now.Add(time.Minute)", New: "now.Add(100 * time.Millisecond)"},
	)
}

// The wall clock is set an hour forth, and back again. A line tells of each; no
// flow ends by it, no packet is lost, sysUpTime goes on, and a record has the
// times that the clock shows when it is exported.
func TestClockStep(t *testing.T) {
	path := stepped(t)
	inParallel(t, func(t *testing.T, m built.Mode) { clockStep(t, m, path) })
}

func clockStep(t *testing.T, m built.Mode, path string) {
	l := newLab(t)
	var r *judge.Recorder
	l.meter.Run(func() { r = judge.StartRecorder(t, netip.AddrPort{}) })
	file := filepath.Join(t.TempDir(), "wall")
	d := &daemon{built.Run(t, m, func(_ string, args ...string) *exec.Cmd {
		cmd := l.meter.Command(path, args...)
		cmd.Env = append(cmd.Environ(), "WALL="+file)
		return cmd
	}, "-i", "in", "--inactive", "1s", "-e", r.Address.String()), t, m}
	const era = 3 * time.Second
	begun := time.Now()
	instants := fmt.Sprintln(begun.Add(era).UnixNano(), begun.Add(2*era).UnixNano())
	if err := os.WriteFile(file, []byte(instants), 0o600); err != nil {
		t.Fatal(err)
	}

	// One flow lasts, and in each era another one begins and ends.
	const rate, short = 2000, 100
	long := packet{src: port("192.0.2.1", 1000), dst: port("192.0.2.2", 9), protocol: layers.IPProtocolUDP}
	lasting := make(chan error, 1)
	background := openSender(t, l.host, "out")
	packets := int(rate * 3 * era / time.Second)
	go func() { lasting <- background.Send(inTurn([][]byte{long.frame()}), packets, rate) }()
	var shown []time.Time // what the wall clock shows when a short flow begins
	for i, ahead := range []time.Duration{0, time.Hour, 0} {
		time.Sleep(time.Until(begun.Add(time.Duration(i)*era + era/6)))
		shown = append(shown, time.Now().Add(ahead))
		datagrams(t, l.sender, uint16(1001+i), short)
	}
	if err := <-lasting; err != nil {
		t.Fatal(err)
	}
	ended := time.Now()
	d.metered(uint64(packets + 3*short))
	final := d.stop()
	r.Settle(100 * time.Millisecond)
	checkTimes(t, r, 1000, packets, begun, ended)
	for i, at := range shown {
		checkTimes(t, r, uint16(1001+i), short, at, at)
	}

	final.exact(t)
	total := final.total()
	if total.Packets != uint64(packets+3*short) {
		t.Errorf("%d packets metered, %d sent", total.Packets, packets+3*short)
	}
	// Those of the ring's open block, which is at most 50 ms old, or of some
	// more where the machine is busy. The program in the kernel counts in ticks.
	if (total.ClockJumps > 0) != (m == built.AFPacket) || total.ClockJumps > uint64(packets/10) {
		t.Errorf("%d clock jumps", total.ClockJumps)
	}
	lines := d.warnings()
	for i, by := range []string{"1h0m0s", "-1h0m0s"} {
		if want := regexp.MustCompile(`level=WARN msg="the wall clock jumped; .*" by=` + by + `$`); len(lines) != 2 || !want.MatchString(lines[i]) {
			t.Errorf("on stderr: %q, want a line for a jump by %s", lines, by)
		}
	}
	var last uint32
	for _, datagram := range r.Datagrams() {
		uptime := binary.BigEndian.Uint32(datagram.Data[4:])
		if uptime < last {
			t.Errorf("sysUpTime went back from %d to %d", last, uptime)
		}
		last = uptime
	}
	t.Logf("%d packets, %d clock jumps, %d datagrams", total.Packets, total.ClockJumps, len(r.Datagrams()))
}

// checkTimes sees that there is one record from a source port, with so many
// packets and these times: within a second, because NetFlow v9 tells whole ones.
func checkTimes(t *testing.T, r *judge.Recorder, source uint16, packets int, first, last time.Time) {
	t.Helper()
	flows, err := judge.Goflow2(r.Datagrams())
	if err != nil {
		t.Error(err)
	}
	var of []judge.Flow
	for _, f := range flows {
		if f.Uint("sourceTransportPort") == uint64(source) {
			of = append(of, f)
		}
	}
	if len(of) != 1 || of[0].Uint("packetDeltaCount") != uint64(packets) {
		t.Errorf("from port %d: %v, want one record of %d packets", source, of, packets)
		return
	}
	for name, want := range map[string]time.Time{"flowStartMilliseconds": first, "flowEndMilliseconds": last} {
		got := time.UnixMilli(int64(of[0].Uint(name)))
		if off := got.Sub(want).Abs(); off > 1100*time.Millisecond {
			t.Errorf("from port %d: %s is %v, want %v", source, name, got, want)
		}
	}
}
