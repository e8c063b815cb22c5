//go:build linux

package afpacket

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/capture"
	"cacheflow/capture/link"
)

// A Capture gives each worker a Source, and attaches and detaches interfaces
// while they are read.
type Capture struct {
	cfg       Config
	program   []unix.SockFilter // of the fanout groups
	sources   []*Source
	freed     chan struct{} // is told when a ring's memory is free again
	selection *link.Selection

	mu          sync.Mutex
	plan        plan
	members     map[uint32]*member // the interfaces that are captured, by index
	shared      []*socket          // one for each worker, once there is a shared ring
	several     bool               // several interfaces are or were selected
	ingressOnly bool
	stopped     bool
	warned      map[string]bool // what was said already
}

// A member is an interface that is captured.
type member struct {
	link.Link
	sockets []*socket // one for each worker; nil where it is on the shared ring
	size    int       // of each socket's ring, in octets
}

// Open starts to capture on the interfaces that the configuration selects, in
// the network namespace of the calling thread. Interfaces that come later need
// Run. An interface that is not there is no error.
func Open(cfg Config) (*Capture, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Capture{
		cfg: cfg, selection: link.NewSelection(cfg.Interfaces),
		members: map[uint32]*member{}, warned: map[string]bool{}, freed: make(chan struct{}, 1),
	}
	if c.program, err = fanoutProgram(cfg.Seed).assemble(); err != nil {
		return nil, err
	}
	for i := range cfg.Workers {
		w, err := link.NewWaker()
		if err != nil {
			c.closeAll()
			return nil, err
		}
		s := &Source{clock: cfg.Clock, decoder: cfg.Decoder(), waker: w}
		s.sampler = capture.NewSampler(cfg.Sampling, [2]uint64{uint64(cfg.Seed), uint64(i)})
		s.watchFeeds()
		c.sources = append(c.sources, s)
	}
	if err := c.start(); err != nil {
		c.closeAll()
		return nil, err
	}
	return c, nil
}

// start attaches what is there at the start.
func (c *Capture) start() error {
	return c.selection.Look(func(links []link.Link, chosen link.Choice) error {
		open := len(c.cfg.Interfaces) == 0 || slices.ContainsFunc(c.cfg.Interfaces, link.IsPattern)
		count := len(chosen.Links)
		if !open {
			names := slices.Sorted(slices.Values(c.cfg.Interfaces))
			count = len(slices.Compact(names))
		}
		c.plan = newPlan(c.cfg.RingMemory, count, open || c.cfg.Changing)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.apply(links, chosen); err != nil {
			return err
		}
		if err := c.probe(); err != nil {
			return err
		}
		c.announce()
		return nil
	})
}

// probe tells at once of a missing right where no interface is there to show it.
func (c *Capture) probe() error {
	if len(c.members) > 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return socketError(err)
	}
	return unix.Close(fd)
}

// announce says once what is metered.
func (c *Capture) announce() {
	names := c.names()
	if len(names) == 0 {
		c.cfg.Log.Warn("no interface to capture on yet", "interfaces", strings.Join(c.cfg.Interfaces, " "))
		return
	}
	what := "both directions"
	if c.ingressOnly || len(names) == 1 && c.members[link.Loopback] != nil {
		what = "arriving packets only; this host's own need direction both"
	}
	c.cfg.Log.Info("capturing", "interfaces", strings.Join(names, " "), "metered", what,
		"workers", c.cfg.Workers, "ring", fmt.Sprintf("%d KiB a worker", c.cfg.RingMemory>>10))
}

func (c *Capture) names() []string {
	names := make([]string, 0, len(c.members))
	for _, m := range c.members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

// Sources returns one source for each worker. Each is read by one goroutine,
// which closes it at its end.
func (c *Capture) Sources() []*Source { return c.sources }

// Interfaces returns the names of the interfaces that are captured now, sorted.
// Any goroutine may call it.
func (c *Capture) Interfaces() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names()
}

// Stop ends the capture: no new frame gets into a ring. Each source then hands
// over what waits in its rings, and returns io.EOF. Any goroutine may call it.
func (c *Capture) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	var errs []error
	for _, m := range c.members {
		errs = append(errs, c.retire(m.sockets))
	}
	errs = append(errs, c.retire(c.shared))
	for _, s := range c.sources {
		s.post(func() { s.stopping = true })
	}
	return errors.Join(errs...)
}

// retire closes the filters of a group and has its rings read to their end.
func (c *Capture) retire(group []*socket) error {
	var errs []error
	for w, sock := range group {
		errs = append(errs, sock.setFilter(&filterSpec{nothing: true}))
		s := c.sources[w]
		s.post(func() { s.retire(sock) })
	}
	return errors.Join(errs...)
}

// closeAll undoes an Open that failed.
func (c *Capture) closeAll() {
	for _, s := range c.sources {
		_ = s.Close() // returns nil
	}
}

// memoryTimeout is how long an interface that came back waits for the memory of
// its former ring; Run then tries again later.
const memoryTimeout = 300 * time.Millisecond

// awaitMemory waits until a reader has closed a ring, and reports whether one
// did before the timeout. c.mu is held, and let go meanwhile.
func (c *Capture) awaitMemory(timeout <-chan time.Time) bool {
	c.mu.Unlock()
	defer c.mu.Lock()
	select {
	case <-c.freed:
		return true
	case <-timeout:
		return false
	}
}
