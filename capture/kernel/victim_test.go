//go:build linux

package kernel

import (
	"encoding/binary"
	"testing"
	"time"

	"cacheflow/bpf"
)

// A large flow outlives a scan that fills its set many times over, although all of the
// scan is younger; one that waits for its next packet for long does not.
func TestLargeFlowsOutliveScans(t *testing.T) {
	tick, err := tick()
	if err != nil {
		t.Fatal(err)
	}
	const large, packets, scan = 1, 64, 1024
	ticks := func(n int) { time.Sleep(time.Duration(n) * time.Duration(tick)) }
	for name, test := range map[string]struct{ wait, parts int }{
		"soon":    {2, 1},      // ticks until the scan, and in how many parts the flow is handed over
		"at last": {7 * 32, 2}, // 64 packets are worth as much as none
	} {
		t.Run(name, func(t *testing.T) {
			defer pin(t, 0)()
			l := newLab(t, Config{Entries: 256}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
			send := func(n, packets int) {
				for range packets {
					l.ingress(t, flowFrame(t, uint32(n)), skBuff{})
				}
			}
			send(large, packets)
			ticks(test.wait)
			for n := range scan {
				send(large+1+n, 1)
			}
			send(large, 1)
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
