//go:build linux

package afpacket

import (
	"fmt"
	"testing"

	"cacheflow/capture"
)

// However many interfaces come and go, the entries are bounded and no count is
// lost; one that comes back goes on counting in its own.
func TestTalliesAreBounded(t *testing.T) {
	var ts tallies
	const interfaces = 3 * maxGone
	for i := range uint32(interfaces) {
		c := ts.enter(2+i, fmt.Sprint("ppp", i))
		c.Observed, c.Metered, c.NotMetered[capture.NonIP] = 10, 7, 3
		ts.leave(c.Index)
		ts.enter(2+i, c.Name) // back
		ts.leave(c.Index)
	}
	if len(ts.all) != maxGone+1 || len(ts.gone) != maxGone {
		t.Errorf("%d entries, %d of interfaces that are gone", len(ts.all), len(ts.gone))
	}
	var all []capture.Counters
	for i, c := range ts.all {
		all = append(all, *c)
		if i > 0 && c.Index <= ts.all[i-1].Index {
			t.Fatalf("index %d stands behind %d", c.Index, ts.all[i-1].Index)
		}
	}
	checkLedger(t, all)
	var sum capture.Counters
	for i := range all {
		sum.Add(&all[i])
	}
	if sum.Observed != 10*interfaces || sum.Metered != 7*interfaces {
		t.Errorf("sums %+v", sum)
	}
}
