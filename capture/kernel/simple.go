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
	maps  [2]*ebpf.Map
	flows []bpf.ProgramFlow // of the closed generation, once it has been read
	next  int
}

// readHalf hands over what a closed generation holds, and reports whether that was
// all of it. The map is empty then.
func (m *simple) readHalf(generation uint32, n int, deliver func(*bpf.ProgramEntry, *bpf.ProgramDetails)) (done bool, err error) {
	if m.next == 0 {
		if m.flows, err = take(m.maps[generation], m.flows[:0]); err != nil {
			return false, err
		}
	}
	for ; n > 0 && m.next < len(m.flows); n-- {
		deliver(&m.flows[m.next].Entry, &m.flows[m.next].Details)
		m.next++
	}
	if m.next < len(m.flows) {
		return false, nil
	}
	m.next = 0
	return true, nil
}

// take empties a map that nobody writes to.
func take(m *ebpf.Map, flows []bpf.ProgramFlow) ([]bpf.ProgramFlow, error) {
	var key bpf.SimpleSimpleKey
	var f bpf.ProgramFlow
	var keys []bpf.SimpleSimpleKey
	i := m.Iterate()
	for i.Next(&key, &f) {
		keys, flows = append(keys, key), append(flows, f)
	}
	if err := i.Err(); err != nil {
		return flows, fmt.Errorf("read the first level: %w", err)
	}
	for _, k := range keys {
		if err := m.Delete(&k); err != nil {
			return flows, fmt.Errorf("empty the first level: %w", err)
		}
	}
	return flows, nil
}

// each calls do with what is in both generations now.
func (m *simple) each(do func(*bpf.ProgramEntry, *bpf.ProgramDetails)) {
	for i := m.next; m.next > 0 && i < len(m.flows); i++ {
		do(&m.flows[i].Entry, &m.flows[i].Details)
	}
	for _, half := range m.maps {
		var key bpf.SimpleSimpleKey
		var f bpf.ProgramFlow
		for i := half.Iterate(); i.Next(&key, &f); {
			do(&f.Entry, &f.Details)
		}
	}
}

// isEmpty reports whether nothing is in the maps.
func (m *simple) isEmpty() bool {
	empty := true
	m.each(func(*bpf.ProgramEntry, *bpf.ProgramDetails) { empty = false })
	return empty
}
