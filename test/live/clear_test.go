//go:build linux

package live_test

import (
	"testing"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/traffic"
)

// `clear cache` has every flow leave with a forced end, in several batches, and
// the collector gets them all while the daemon goes on.
func TestClearCache(t *testing.T) { inParallel(t, clearCache) }

func clearCache(t *testing.T, m binary.Mode) {
	const flows = 5000
	l := newLab(t)
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
	d := start(t, m, l.meter, "-i", "in", "--inactive", "10m", "-e", collector.Address.String())
	spec := traffic.Spec{Flows: flows, InTurn: true, IPv6: 20, Size: 90, Seed: 9}
	want, _ := generate(t, l, spec, 2*flows, 50_000)
	d.metered(2 * flows)
	d.Clear("cache")
	cleared := d.closes()
	if forced := term(cleared.Cache.Ended, "forced end"); (forced != ledgerSum{want.Flows, want.Packets, want.Octets}) {
		t.Errorf("forced end of %+v, sent %+v", forced, want)
	}
	again, _ := generate(t, l, spec, flows, 50_000)
	d.metered(3 * flows)
	final := d.stop()
	collector.Stop()
	final.exact(t)
	delivered(t, collector, final)
	if got := final.total(); got.Packets != want.Packets+again.Packets {
		t.Errorf("metered %+v, generated %+v and %+v", got, want, again)
	}
}
