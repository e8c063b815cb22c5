package pcapfile

import (
	"fmt"
	"slices"

	"cacheflow/capture"
)

// interfaces are those of a replay, by their numbers from 1.
type interfaces struct {
	list   []*capture.Counters
	known  map[portKey]*capture.Counters
	taken  map[uint32]bool
	newest uint32
}

// portKey is what two files must agree in for an interface to be the same.
type portKey struct {
	id   int
	name string
}

func newInterfaces() interfaces {
	return interfaces{known: map[portKey]*capture.Counters{}, taken: map[uint32]bool{}}
}

// join gives p its counters: those of the same interface in an earlier file, or
// new ones. Its number is its place in the file, from 1, or one more than the
// largest where an earlier file has another interface in that place.
func (n *interfaces) join(p *port) error {
	key := portKey{p.id, p.name}
	if c := n.known[key]; c != nil {
		p.counters = c
		return nil
	}
	if len(n.list) == maxInterfaces {
		return fmt.Errorf("more than %d interfaces", maxInterfaces)
	}
	index := uint32(p.id) + 1
	if n.taken[index] {
		index = n.newest + 1
	}
	n.taken[index] = true
	n.newest = max(n.newest, index)
	c := &capture.Counters{Index: index, Name: p.name, Mode: "file"}
	if c.Name == "" {
		c.Name = fmt.Sprintf("file#%d", index)
	}
	n.list = append(n.list, c)
	n.known[key] = c
	p.counters = c
	return nil
}

// append appends the counters of all interfaces by their numbers.
func (n *interfaces) append(c []capture.Counters) []capture.Counters {
	slices.SortFunc(n.list, func(a, b *capture.Counters) int { return int(a.Index) - int(b.Index) })
	for _, i := range n.list {
		c = append(c, *i)
	}
	return c
}
