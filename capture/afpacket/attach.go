//go:build linux

package afpacket

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/capture/link"
)

// apply brings what is captured in line with what is chosen. c.mu is held.
func (c *Capture) apply(links []link.Link, chosen link.Choice) error {
	if c.stopped {
		return nil
	}
	wanted := map[uint32]link.Link{}
	for _, l := range chosen.Links {
		wanted[l.Index] = l
	}
	detached, err := c.detach(wanted)
	if err != nil {
		return err
	}
	link.WarnStacked(c.cfg.Log, links, chosen.Links, c.warned)
	turned, err := c.setDirection(chosen.Several)
	if err != nil {
		return err
	}
	var fresh []link.Link
	for _, l := range chosen.Links {
		if c.members[l.Index] == nil && l.Up {
			fresh = append(fresh, l)
		}
	}
	sharing, err := c.attachAll(fresh)
	if !c.stopped && (sharing || detached || turned && c.shared != nil) {
		err = errors.Join(err, c.shareRing(links))
	}
	return err
}

// attachAll captures on interfaces that are new, and reports whether one of them
// is to be on the shared ring. One that fails does not keep the others out.
func (c *Capture) attachAll(fresh []link.Link) (sharing bool, err error) {
	var errs []error
	share := c.plan.share(len(fresh))
	for _, l := range fresh {
		m, err := c.attach(l, share)
		switch {
		case errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENETDOWN):
			continue // gone or down again: it will be told
		case errors.Is(err, os.ErrPermission) || errors.Is(err, unix.ENOMEM):
			return sharing, errors.Join(append(errs, err)...) // so will the others
		case err != nil:
			errs = append(errs, fmt.Errorf("capture on %s: %w", l.Name, err))
			continue
		}
		c.members[l.Index] = m
		sharing = sharing || m.sockets == nil
	}
	return sharing, errors.Join(errs...)
}

// detach lets go of interfaces that are gone or no longer wanted, and reports
// whether one of them was on the shared ring.
func (c *Capture) detach(wanted map[uint32]link.Link) (shared bool, err error) {
	var errs []error
	for index, m := range c.members {
		if l, ok := wanted[index]; ok {
			c.rename(m, l.Name)
			continue
		}
		delete(c.members, index)
		if m.sockets != nil {
			errs = append(errs, c.retire(m.sockets))
			continue
		}
		shared = true
		for _, s := range c.sources {
			s.post(func() { s.tallies.leave(index) })
		}
	}
	return shared, errors.Join(errs...)
}

func (c *Capture) rename(m *member, name string) {
	if m.Name == name {
		return
	}
	m.Name = name
	for _, s := range c.sources {
		s.post(func() { s.tallies.enter(m.Index, name) })
	}
}

// setDirection decides which frames are metered, and tells the filters; that of
// the shared ring it leaves to shareRing. It reports whether the decision is new.
func (c *Capture) setDirection(several bool) (bool, error) {
	c.several = c.several || several
	ingressOnly := c.cfg.Direction == IngressOnly || c.cfg.Direction == Auto && c.several
	if ingressOnly == c.ingressOnly {
		return false, nil
	}
	c.ingressOnly = ingressOnly
	for _, s := range c.sources {
		s.post(func() { s.ingressOnly = ingressOnly })
	}
	var errs []error
	for _, m := range c.members {
		for _, sock := range m.sockets {
			errs = append(errs, sock.setFilter(c.filter()))
		}
	}
	return true, errors.Join(errs...)
}

// filter is what the socket of one interface lets through.
func (c *Capture) filter() *filterSpec {
	return &filterSpec{snap: c.cfg.Snap, ingressOnly: c.ingressOnly}
}

// attach captures on an interface, by rings of its own of size octets where the
// plan has room.
func (c *Capture) attach(l link.Link, size int) (*member, error) {
	m := &member{Link: l}
	if !c.plan.take(size) {
		if c.plan.shared > 0 {
			return m, nil
		}
		// Its former self's ring is in the way.
		for timeout := time.After(memoryTimeout); !c.plan.take(size); {
			if !c.awaitMemory(timeout) || c.stopped {
				return nil, errors.New("its former ring is still being read")
			}
		}
	}
	group, err := c.openGroup(l.Index, size)
	if err != nil {
		c.plan.give(size)
		return nil, err
	}
	m.sockets, m.size = group, size
	c.release(group, size)
	c.hand(group, l.Index, l.Name)
	var errs []error
	for _, sock := range group {
		errs = append(errs, sock.setFilter(c.filter()))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, c.retire(group))
	}
	return m, nil
}

// release gives the memory of a group back to the plan when the last of its
// sockets has been closed.
func (c *Capture) release(group []*socket, size int) {
	left := len(group)
	for _, sock := range group {
		sock.closed = func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if left--; left > 0 {
				return
			}
			c.plan.give(size)
			select {
			case c.freed <- struct{}{}:
			default:
			}
		}
	}
}

// hand gives each source its socket of the group.
func (c *Capture) hand(group []*socket, index uint32, name string) {
	since := c.cfg.Clock.Now()
	for w, sock := range group {
		s := c.sources[w]
		s.post(func() { s.addFeed(sock, index, name, since) })
	}
}

// openGroup opens a socket for each worker, bound to the interface (0 is all)
// and joined to a fanout. They let nothing through until their filters are set:
// a group that is not complete would spread flows differently.
func (c *Capture) openGroup(index uint32, size int) (group []*socket, err error) {
	defer func() {
		if err != nil {
			for _, sock := range group {
				sock.close()
			}
			group = nil
		}
	}()
	ignoring := c.ingressOnly || index == link.Loopback
	id := 0
	for range c.cfg.Workers {
		sock, err := openSocket(size)
		if err != nil {
			return group, err
		}
		group = append(group, sock)
		if ignoring {
			sock.ignoreOutgoing()
		}
		if err := sock.bind(index); err != nil {
			return group, fmt.Errorf("bind: %w", err)
		}
		if c.cfg.Workers == 1 {
			break
		}
		if id, err = sock.join(id, ignoring); err != nil {
			return group, err
		}
	}
	if c.cfg.Workers > 1 {
		return group, group[0].setProgram(c.program)
	}
	return group, nil
}

// shareRing lets the shared ring have the frames of the interfaces that have
// none of their own. links are all interfaces of the host.
func (c *Capture) shareRing(links []link.Link) error {
	if c.shared == nil {
		group, err := c.openGroup(0, whole(c.plan.shared))
		if err != nil {
			return fmt.Errorf("capture on several interfaces: %w", err)
		}
		c.shared = group
		c.hand(group, 0, "shared ring")
	}
	var wanted, existing []uint32
	for index, m := range c.members {
		if m.sockets != nil {
			continue
		}
		wanted = append(wanted, index)
		for _, s := range c.sources {
			s.post(func() { s.tallies.enter(index, m.Name) })
		}
	}
	for _, l := range links {
		existing = append(existing, l.Index)
	}
	spec := c.filter()
	spec.indexes = runs(wanted, existing)
	var errs []error
	for _, sock := range c.shared {
		errs = append(errs, sock.setFilter(spec))
	}
	return errors.Join(errs...)
}
