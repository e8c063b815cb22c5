package generate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/manifest"
)

// RecordFault changes a share of the flow records on purpose, before they are sent: the manifest
// has them as they are then.
type RecordFault struct {
	Kind  manifest.RecordFault
	Share float64 // of the records, more than 0, at most 1
	Scope
}

var recordKinds = []manifest.RecordFault{manifest.Limits, manifest.Reversed}

// ParseRecordFault reads KIND=SHARE with any of from=, to= and exporter= behind it: limits=1%,from=10s.
func ParseRecordFault(text string) (f RecordFault, err error) {
	for i, item := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(item, "=")
		if i == 0 {
			f.Kind = manifest.RecordFault(key)
			f.Share, err = parseShare(value)
		} else {
			err = f.parse(key, value)
		}
		if err != nil {
			return f, fmt.Errorf("records %q: %w", text, err)
		}
	}
	return f, f.check()
}

func (f *RecordFault) check() error {
	switch {
	case !slices.Contains(recordKinds, f.Kind):
		return fmt.Errorf("records %q: want one of %q", f.Kind, recordKinds)
	case !(f.Share > 0 && f.Share <= 1):
		return fmt.Errorf("records %s: a share of %v: want more than 0%%, at most 100%%", f.Kind, f.Share)
	}
	if err := f.Scope.check(); err != nil {
		return fmt.Errorf("records %s: %w", f.Kind, err)
	}
	return nil
}

// String returns what ParseRecordFault reads.
func (f RecordFault) String() string { return fmt.Sprintf("%s=%v%%%s", f.Kind, f.Share*100, &f.Scope) }

// recordFaults are those of one router.
type recordFaults struct {
	list   []RecordFault
	random []*rand.Rand // one for each: they do not depend on each other
	limit  int          // the next one
}

func newRecordFaults(c *Config, number uint32) recordFaults {
	f := recordFaults{list: c.Records}
	for i := range c.Records {
		f.random = append(f.random, rand.New(rand.NewPCG(c.Seed, 1<<48|uint64(i)<<16|uint64(number)))) // no router's sequence
	}
	return f
}

// limits are where counters of four and of eight octets, and signed ones of eight, end.
var limits = [...]uint64{math.MaxUint32, math.MaxUint32 + 1, 1 << 63, math.MaxUint64}

// change does to a record of an exporter, which leaves so long after the start, what the first fault
// that hits it says.
func (f *recordFaults) change(r *flow.Record, exporter uint32, at time.Duration) (hit manifest.RecordFault) {
	for i := range f.list {
		if f.list[i].covers(exporter, at) && f.random[i].Float64() < f.list[i].Share && hit == "" {
			hit = f.list[i].Kind
		}
	}
	switch hit {
	case manifest.Limits:
		r.Packets, r.Octets = limits[f.limit], limits[f.limit]
		f.limit = (f.limit + 1) % len(limits)
	case manifest.Reversed:
		if !reverse(r) {
			return ""
		}
	}
	return hit
}

// reverse has a flow end before it starts, by a second where it took no time. It reports false for
// one at the router's boot, which has no time before it.
func reverse(r *flow.Record) bool {
	end := r.First
	if end.Milliseconds() == r.Last.Milliseconds() {
		end = max(0, end.Add(-time.Second))
	}
	if end.Milliseconds() == r.Last.Milliseconds() {
		return false
	}
	r.First, r.Last = r.Last, end
	return true
}
