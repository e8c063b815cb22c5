//go:build linux

package kernel

import (
	"fmt"

	"github.com/cilium/ebpf"

	"cacheflow/bpf"
)

// simple drains the simple flavour of the first level: an ordinary hash map for each
// generation. It takes system calls for each flow; it is there to judge the other
// flavour by, and for who mistrusts that.
type simple struct {
	maps    [2]*ebpf.Map
	entries []bpf.ProgramEntry // of the closed generation, once it has been read
	next    int
}

// readHalf hands over what a closed generation holds, and reports whether that was
// all of it. The map is empty then.
func (m *simple) readHalf(generation uint32, n int, deliver func(*bpf.ProgramEntry)) (done bool, err error) {
	if m.next == 0 {
		if m.entries, err = take(m.maps[generation], m.entries[:0]); err != nil {
			return false, err
		}
	}
	for ; n > 0 && m.next < len(m.entries); n-- {
		deliver(&m.entries[m.next])
		m.next++
	}
	if m.next < len(m.entries) {
		return false, nil
	}
	m.next = 0
	return true, nil
}

// take empties a map that nobody writes to.
func take(m *ebpf.Map, entries []bpf.ProgramEntry) ([]bpf.ProgramEntry, error) {
	var key bpf.SimpleSimpleKey
	var e bpf.ProgramEntry
	var keys []bpf.SimpleSimpleKey
	i := m.Iterate()
	for i.Next(&key, &e) {
		keys, entries = append(keys, key), append(entries, e)
	}
	if err := i.Err(); err != nil {
		return entries, fmt.Errorf("read the first level: %w", err)
	}
	for _, k := range keys {
		if err := m.Delete(&k); err != nil {
			return entries, fmt.Errorf("empty the first level: %w", err)
		}
	}
	return entries, nil
}

// each calls f with what is in both generations now.
func (m *simple) each(f func(*bpf.ProgramEntry)) {
	for i := m.next; m.next > 0 && i < len(m.entries); i++ {
		f(&m.entries[i])
	}
	for _, half := range m.maps {
		var key bpf.SimpleSimpleKey
		var e bpf.ProgramEntry
		for i := half.Iterate(); i.Next(&key, &e); {
			f(&e)
		}
	}
}

// isEmpty reports whether nothing is in the maps.
func (m *simple) isEmpty() bool {
	empty := true
	m.each(func(*bpf.ProgramEntry) { empty = false })
	return empty
}
