package generate

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"cacheflow/cmd/internal/manifest"
)

// Fault does something on purpose to a share of the datagrams.
type Fault struct {
	Kind  manifest.Fault
	Share float64 // of the datagrams, more than 0, at most 1
	// From and To bound it in the traffic's time, since its start; To 0 is the end.
	From, To time.Duration
	Exporter uint32 // 0 is all
}

// ParseFault reads KIND=SHARE with any of from=, to= and exporter= behind it: drop=1%,from=10s.
func ParseFault(text string) (f Fault, err error) {
	for i, item := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(item, "=")
		switch {
		case i == 0:
			f.Kind = manifest.Fault(key)
			f.Share, err = parseShare(value)
		case key == "from":
			f.From, err = time.ParseDuration(value)
		case key == "to":
			f.To, err = time.ParseDuration(value)
		case key == "exporter":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 16)
			f.Exporter = uint32(n)
		default:
			err = fmt.Errorf("unknown %q", key)
		}
		if err != nil {
			return f, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	return f, f.check()
}

// parseShare reads 1% or 0.01.
func parseShare(text string) (float64, error) {
	digits, isPercent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(digits, 64)
	if isPercent {
		share /= 100
	}
	return share, err
}

func (f *Fault) check() error {
	switch {
	case f.Kind != manifest.Drop && f.Kind != manifest.Duplicate && f.Kind != manifest.Reorder:
		return fmt.Errorf("fault %q: want drop, duplicate or reorder", f.Kind)
	case !(f.Share > 0 && f.Share <= 1):
		return fmt.Errorf("fault %s: a share of %v: want more than 0%%, at most 100%%", f.Kind, f.Share)
	case f.From < 0 || f.To < 0 || f.To != 0 && f.To <= f.From:
		return fmt.Errorf("fault %s: from %v to %v: want an end behind the beginning", f.Kind, f.From, f.To)
	}
	return nil
}

// String returns what ParseFault reads.
func (f *Fault) String() string {
	text := fmt.Sprintf("%s=%v%%", f.Kind, f.Share*100)
	if f.From != 0 {
		text += ",from=" + f.From.String()
	}
	if f.To != 0 {
		text += ",to=" + f.To.String()
	}
	if f.Exporter != 0 {
		text += fmt.Sprintf(",exporter=%d", f.Exporter)
	}
	return text
}

// covers reports whether the fault is about a datagram that is due so long after the start.
func (f *Fault) covers(d *datagram, at time.Duration) bool {
	return at >= f.From && (f.To == 0 || at < f.To) && (f.Exporter == 0 || f.Exporter == d.Exporter)
}

// faults decide about datagrams, in the order in which they are sent.
type faults struct {
	list   []Fault
	random []*rand.Rand   // one for each: they do not depend on each other
	held   map[int][]byte // by router: the datagram that goes out behind its next one
}

func newFaults(list []Fault, seed uint64) *faults {
	f := &faults{list: list, held: map[int][]byte{}}
	for i := range list {
		f.random = append(f.random, rand.New(rand.NewPCG(seed, 1<<33|uint64(i)))) // no router's sequence
	}
	return f
}

// of returns what happens to a datagram: the first fault that hits it.
func (f *faults) of(d *datagram, at time.Duration) (hit manifest.Fault) {
	for i := range f.list {
		if f.list[i].covers(d, at) && f.random[i].Float64() < f.list[i].Share && hit == "" {
			hit = f.list[i].Kind
		}
	}
	return hit
}

// send sends a datagram as the fault that hit it says, and what it held back.
func (f *faults) send(send func(int, []byte) error, router int, data []byte, hit manifest.Fault) error {
	switch hit {
	case manifest.Drop:
		return nil
	case manifest.Duplicate:
		if err := send(router, data); err != nil {
			return err
		}
	case manifest.Reorder:
		if _, waits := f.held[router]; !waits {
			f.held[router] = bytes.Clone(data)
			return nil
		}
	}
	if err := send(router, data); err != nil {
		return err
	}
	return f.release(send, router)
}

// release sends what was held back of a router.
func (f *faults) release(send func(int, []byte) error, router int) error {
	data, waits := f.held[router]
	if !waits {
		return nil
	}
	delete(f.held, router)
	return send(router, data)
}
