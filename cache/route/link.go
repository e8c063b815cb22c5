//go:build linux

package route

import (
	"cmp"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// links are the interfaces by index. The Table's goroutine changes them, any may
// read.
type links struct {
	mu    sync.RWMutex
	index map[uint32]link
}

type link struct {
	Interface
	admin bool // administratively up
}

// parseLink reads the payload of an RTM_NEWLINK or RTM_DELLINK message: struct
// ifinfomsg and attributes. ok is false for those that tell of a bridge's port.
func parseLink(b []byte) (l link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return l, false
	}
	const up = unix.IFF_UP | unix.IFF_LOWER_UP
	flags := native.Uint32(b[8:])
	l.Index, l.Up, l.admin = native.Uint32(b[4:]), flags&up == up, flags&unix.IFF_UP != 0
	for t, v := range attributes(b[unix.SizeofIfInfomsg:]) {
		switch t {
		case unix.IFLA_IFNAME:
			l.Name = unix.ByteSliceToString(v)
		case unix.IFLA_IFALIAS:
			l.Alias = unix.ByteSliceToString(v)
		}
	}
	return l, true
}

// set enters l and returns what was known of it before.
func (t *links) set(l link) (old link, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, known = t.index[l.Index]
	t.index[l.Index] = l
	return old, known
}

func (t *links) remove(index uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.index, index)
}

// reset makes l all that there are.
func (t *links) reset(l map[uint32]link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.index = l
}

// down reports whether the interface is known to be down or without carrier.
func (t *links) down(index uint32) bool {
	if index == 0 {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	l, known := t.index[index]
	return known && !l.Up
}

// InterfaceName returns the name of the interface, "" where there is none of the
// index. Any goroutine may call it.
func (t *Table) InterfaceName(index uint32) string {
	t.links.mu.RLock()
	defer t.links.mu.RUnlock()
	return t.links.index[index].Name
}

// Interfaces returns the interfaces in the order of their index. Any goroutine
// may call it.
func (t *Table) Interfaces() []Interface {
	t.links.mu.RLock()
	defer t.links.mu.RUnlock()
	all := make([]Interface, 0, len(t.links.index))
	for _, l := range t.links.index {
		all = append(all, l.Interface)
	}
	slices.SortFunc(all, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
	return all
}
