//go:build linux

package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture/link"
)

// A Capture has the program attached to interfaces while its source is read.
type Capture struct {
	cfg       Config
	program   *program
	hooker    hooker
	source    *Source
	selection *link.Selection

	mu      sync.Mutex         // guards what follows, and what Select changes of cfg
	devices map[uint32]*device // by index
	places  [bpf.Interfaces]bool
	stopped bool
	warned  map[string]bool // what was said already
}

// Open loads the program, and sees that it can be attached. Where the kernel or the
// rights do not allow it, the error says why. Nothing is counted before Start.
func Open(cfg Config) (_ *Capture, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	c := &Capture{cfg: cfg, selection: link.NewSelection(cfg.Interfaces), devices: map[uint32]*device{}, warned: map[string]bool{}}
	if err := c.load(); err != nil {
		return nil, err
	}
	names, err := Detach()
	if err != nil { // what is left does no harm: it counts for nobody
		cfg.Log.Warn("look for what an earlier process left attached", "err", err)
	}
	if len(names) > 0 {
		cfg.Log.Info("removed what an earlier process had left attached", "interfaces", strings.Join(names, " "))
	}
	if c.source, err = newSource(c.program, &cfg); err != nil {
		c.program.close()
		return nil, err
	}
	return c, nil
}

// load loads the program and finds out how it can be attached.
func (c *Capture) load() error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("how many CPUs there are: %w", err)
	}
	ram, err := memory()
	if err != nil {
		return err
	}
	o := loadOptions{simple: c.cfg.Simple, sampling: c.cfg.Sampling}
	if o.size, err = newSize(&c.cfg, cpus, ram); err != nil {
		return err
	}
	o.wakeAt = o.wakeAfter(c.cfg.MaxFlows)
	if c.hooker, err = c.chooseHook(); err != nil {
		return rights(err)
	}
	if _, ok := c.hooker.(clsact); ok {
		tick, err := tick()
		if err != nil {
			return err
		}
		o.legacy = uint32(heartbeatLimit / time.Duration(tick))
	}
	c.program, err = load(o)
	return rights(err)
}

// chooseHook finds out how programs can be attached here.
func (c *Capture) chooseHook() (hooker, error) {
	if c.cfg.Hook == AnyHook {
		err := probe(tcx{})
		if !errors.Is(err, ebpf.ErrNotSupported) {
			return tcx{}, err
		}
		c.cfg.Log.Info("the program is attached by clsact", "because", err)
	}
	return clsact{}, probe(clsact{})
}

// heartbeatLimit is how old the heartbeat may be under clsact before the program
// does nothing any more.
const heartbeatLimit = 10 * time.Second

// rights says which right is missing, where one is.
func rights(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w (it takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, or root)", err)
	}
	return err
}

// Start begins to count on the interfaces that the configuration selects, in the
// network namespace of the calling thread. Those that come later need Run. An
// interface that is not there is no error, nor is one that fails while others do not.
func (c *Capture) Start() error {
	if err := c.look(); err != nil {
		if len(c.Interfaces()) == 0 {
			return errors.Join(err, c.unhookAll())
		}
		c.cfg.Log.Error("some interfaces are not captured", "err", err)
	}
	c.announce()
	return nil
}

// announce says once what is metered, and how large the first level is.
func (c *Capture) announce() {
	names := c.Interfaces()
	if len(names) == 0 {
		c.cfg.Log.Warn("no interface to capture on yet", "interfaces", strings.Join(c.cfg.Interfaces, " "))
		return
	}
	what := map[Direction]string{
		Auto: "each packet once, in both directions", IngressOnly: "arriving packets only",
		EgressOnly: "leaving packets only", Both: "arriving and leaving packets",
	}[c.cfg.Direction]
	if len(names) == 1 && c.devices[link.Loopback] != nil && c.devices[link.Loopback].isMetered() {
		what = "arriving packets only" // as lo shows each packet twice
	}
	c.cfg.Log.Info("capturing", "interfaces", strings.Join(names, " "), "metered", what, "mode", c.hooker.mode(),
		"cpus", c.program.cpus, "first-level", fmt.Sprintf("%d entries a CPU", c.program.entries()), "octets", c.program.memory())
}

// Source returns what hands over the observations. One goroutine reads it, which
// closes it at its end.
func (c *Capture) Source() *Source { return c.source }

// Interfaces returns the names of the interfaces that are metered now, sorted. Any
// goroutine may call it.
func (c *Capture) Interfaces() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names()
}

func (c *Capture) names() []string {
	var names []string
	for _, d := range c.devices {
		if d.isMetered() {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Run attaches to interfaces that come and detaches from those that go, until ctx
// is done or the capture is stopped; it then returns nil. It must run in the
// network namespace of Open.
func (c *Capture) Run(ctx context.Context) error {
	return c.selection.Follow(ctx, c.isStopped, c.cfg.Log, c.rescan)
}

// Select has other interfaces metered, or the same in another direction. The others
// go on without the loss of a packet; counters of those that are left out stay. It
// is called as Run is. An error tells of an interface that failed: Run tries again.
func (c *Capture) Select(interfaces []string, direction Direction, directions map[string]Direction) error {
	err := c.selection.Change(interfaces, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cfg.Interfaces, c.cfg.Direction, c.cfg.Directions = interfaces, direction, directions
	})
	if err != nil {
		return err
	}
	return c.rescan()
}

// SetGeneration changes how long a generation lasts at most, as Config has it.
func (c *Capture) SetGeneration(length time.Duration) {
	c.source.post(func() { c.source.length = flow.Time(generation(length)) })
}

func (c *Capture) isStopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// rescan looks, and says which interfaces came and went.
func (c *Capture) rescan() error {
	before := c.Interfaces()
	err := c.look()
	link.LogChanges(c.cfg.Log, before, c.Interfaces())
	return err
}

// look brings what is attached in line with the interfaces that there are.
func (c *Capture) look() error {
	return c.selection.Look(func(links []link.Link, chosen link.Choice) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.stopped {
			return nil
		}
		link.WarnStacked(c.cfg.Log, links, chosen.Links, c.warned)
		selected := map[uint32]bool{}
		for _, l := range chosen.Links {
			selected[l.Index] = true
		}
		return c.apply(links, selected)
	})
}

// apply attaches and detaches. One interface that fails does not keep the others
// out. c.mu is held.
func (c *Capture) apply(links []link.Link, selected map[uint32]bool) error {
	there, covered := map[uint32]bool{}, map[uint32]bool{}
	for i := range links {
		there[links[i].Index] = true
		if selected[links[i].Index] {
			covered[links[i].Master] = true
		}
	}
	var errs []error
	for i := range links {
		l := &links[i]
		if c.devices[l.Index] == nil && (!l.Up || l.Index == link.Loopback && !selected[l.Index]) {
			continue
		}
		flags := c.flagsOf(l, selected[l.Index])
		if l.VRF && covered[l.Index] {
			flags |= bpf.ProgramDeviceFlagDEVICE_COVERED
		}
		if err := c.enter(l, flags); err != nil && !isGone(err) && !errors.Is(err, unix.ENETDOWN) {
			errs = append(errs, fmt.Errorf("capture on %s: %w", l.Name, err))
		}
	}
	for index, d := range c.devices {
		if !there[index] {
			errs = append(errs, c.leave(d))
		}
	}
	return errors.Join(errs...)
}

// enter sees to it that an interface is hooked and its frames are treated as flags
// say. Where there is no place for its counters it still notes where packets leave.
func (c *Capture) enter(l *link.Link, flags bpf.ProgramDeviceFlag) (err error) {
	d := c.devices[l.Index]
	if d == nil {
		d = &device{}
		c.devices[l.Index] = d
	}
	named := d.Name == l.Name
	if flags&metered != 0 && !d.placed {
		named = false
		if d.place, err = c.takePlace(); err != nil {
			flags &^= metered
		} else {
			d.placed = true
		}
	}
	if d.placed && !named {
		place, index, name := d.place, l.Index, l.Name
		c.source.post(func() { c.source.tallies.enter(place, index, name, c.hooker.mode()) })
	}
	d.Link, d.flags = *l, flags
	return errors.Join(err, c.program.set(d), c.hook(d))
}

// takePlace finds a place among the program's counters.
func (c *Capture) takePlace() (uint16, error) {
	for i, taken := range c.places {
		if !taken {
			c.places[i] = true
			return uint16(i), nil
		}
	}
	return 0, fmt.Errorf("more than %d interfaces at once", bpf.Interfaces)
}

// leave lets go of an interface that is gone.
func (c *Capture) leave(d *device) error {
	delete(c.devices, d.Index)
	c.program.unset(d.Index)
	err := d.unhook()
	if d.placed {
		c.source.post(func() { c.source.retire(d.place, c.freePlace) })
	}
	return err
}

func (c *Capture) freePlace(place uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places[place] = false
}

// Stop ends the capture: the program runs no more. The source then hands over what
// is left, and returns io.EOF. Any goroutine may call it.
func (c *Capture) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	err := c.unhookAll()
	c.source.post(func() { c.source.stopping = true })
	return err
}

func (c *Capture) unhookAll() error {
	var errs []error
	for _, d := range c.devices {
		errs = append(errs, d.unhook())
	}
	return errors.Join(errs...)
}
