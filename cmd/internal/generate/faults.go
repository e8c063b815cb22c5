package generate

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/export"
)

// Fault does something on purpose to a share of the datagrams.
type Fault struct {
	Kind  manifest.Fault
	Share float64 // of the datagrams, more than 0, at most 1
	Scope
	By time.Duration // how long a delay is, in the traffic's time; 0 is DefaultDelay
}

// DefaultDelay is how long a delay is, and jumped how far sequence numbers jump.
const (
	DefaultDelay = time.Second
	jumped       = 1000
)

// ParseFault reads KIND=SHARE with any of from=, to=, exporter= and by= behind it: drop=1%,from=10s.
func ParseFault(text string) (f Fault, err error) {
	for i, item := range strings.Split(text, ",") {
		key, value, _ := strings.Cut(item, "=")
		switch {
		case i == 0:
			f.Kind = manifest.Fault(key)
			f.Share, err = parseShare(value)
		case key == "by":
			f.By, err = time.ParseDuration(value)
		default:
			err = f.parse(key, value)
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
	if err != nil {
		return 0, fmt.Errorf("a share of %q: want one such as =1%% or =0.01", text)
	}
	if isPercent {
		share /= 100
	}
	return share, nil
}

var kinds = []manifest.Fault{manifest.Drop, manifest.Duplicate, manifest.Reorder, manifest.Delay, manifest.Truncate, manifest.Jump}

func (f *Fault) check() error {
	switch {
	case !slices.Contains(kinds, f.Kind):
		return fmt.Errorf("fault %q: want one of %q", f.Kind, kinds)
	case f.By != 0 && f.Kind != manifest.Delay || f.By < 0:
		return fmt.Errorf("fault %s by %v: want that of a delay only, more than 0", f.Kind, f.By)
	case !(f.Share > 0 && f.Share <= 1):
		return fmt.Errorf("fault %s: a share of %v: want more than 0%%, at most 100%%", f.Kind, f.Share)
	}
	if err := f.Scope.check(); err != nil {
		return fmt.Errorf("fault %s: %w", f.Kind, err)
	}
	return nil
}

// String returns what ParseFault reads.
func (f Fault) String() string {
	text := fmt.Sprintf("%s=%v%%%s", f.Kind, f.Share*100, &f.Scope)
	if f.By != 0 {
		text += ",by=" + f.By.String()
	}
	return text
}

// faults decide about datagrams, in the order in which they are due, and when they leave.
type faults struct {
	list   []Fault
	random []*rand.Rand    // one for each: they do not depend on each other
	held   map[int]message // by router: the one that leaves behind its next one
	late   []late          // by when they leave
	jumps  map[int]uint32  // by router: how far its sequence numbers have jumped
	leave  func(message) error
}

// late is a message that was delayed.
type late struct {
	at time.Time
	message
}

func newFaults(list []Fault, seed uint64, leave func(message) error) *faults {
	f := &faults{list: list, held: map[int]message{}, jumps: map[int]uint32{}, leave: leave}
	for i := range list {
		f.random = append(f.random, rand.New(rand.NewPCG(seed, 1<<33|uint64(i)))) // no router's sequence
	}
	return f
}

// of returns what happens to a datagram: the first fault that hits it.
func (f *faults) of(d *datagram, at time.Duration) (hit *Fault) {
	for i := range f.list {
		if f.list[i].covers(d.Exporter, at) && f.random[i].Float64() < f.list[i].Share && hit == nil {
			hit = &f.list[i]
		}
	}
	return hit
}

// send has a message leave when the fault that hit it says, if any, and what is due with it. It
// changes the sequence number, in the octets too, where that has jumped.
func (f *faults) send(m message, hit *Fault) error {
	if err := f.releaseLate(m.of.due); err != nil {
		return err
	}
	switch {
	case m.octets == nil: // templates were all that it had
		return f.leave(m)
	case hit != nil:
		m.of.Fault = hit.Kind
	}
	if m.of.Fault == manifest.Jump {
		f.jumps[m.router] += jumped
	}
	if by := f.jumps[m.router]; by != 0 {
		m.of.Sequence += by
		binary.BigEndian.PutUint32(m.octets[sequenceAt(m.octets):], m.of.Sequence)
	}
	switch m.of.Fault {
	case manifest.Drop:
		return f.leave(m)
	case manifest.Delay:
		f.delay(late{m.of.due.Add(cmp.Or(hit.By, DefaultDelay)), m.clone()})
		return nil
	case manifest.Reorder:
		if _, waits := f.held[m.router]; !waits {
			f.held[m.router] = m.clone()
			return nil
		}
	}
	if err := f.leave(m); err != nil {
		return err
	}
	_ = f.releaseHeld(m.router) // this one has left; what fails stays, and finish says why
	return nil
}

// delay puts a message among those that leave later.
func (f *faults) delay(l late) {
	i := len(f.late)
	for i > 0 && f.late[i-1].at.After(l.at) {
		i--
	}
	f.late = slices.Insert(f.late, i, l)
}

// releaseLate sends what was delayed up to a time.
func (f *faults) releaseLate(until time.Time) error {
	for len(f.late) > 0 && !f.late[0].at.After(until) {
		if err := f.leave(f.late[0].message); err != nil {
			return err
		}
		f.late = f.late[1:]
	}
	return nil
}

// releaseHeld sends what was held back of a router.
func (f *faults) releaseHeld(router int) error {
	m, waits := f.held[router]
	if !waits {
		return nil
	}
	if err := f.leave(m); err != nil {
		return err
	}
	delete(f.held, router)
	return nil
}

// finish sends all that is left. What fails stays.
func (f *faults) finish(routers int) (err error) {
	for router := range routers {
		err = errors.Join(err, f.releaseHeld(router))
	}
	f.late = slices.DeleteFunc(f.late, func(l late) bool {
		lerr := f.leave(l.message)
		err = errors.Join(err, lerr)
		return lerr == nil
	})
	return err
}

// waiting returns what messages carry that have not left.
func (f *faults) waiting() (all ledger.Sum) {
	for _, m := range f.held {
		all.Add(m.of.flows)
	}
	for i := range f.late {
		all.Add(f.late[i].of.flows)
	}
	return all
}

// sequenceAt returns where the sequence number of a message is (RFC 3954 §5.1, RFC 7011 §3.1).
func sequenceAt(message []byte) int {
	switch export.Protocol(binary.BigEndian.Uint16(message)) {
	case export.NetFlow5:
		return 16
	case export.NetFlow9:
		return 12
	}
	return 8
}
