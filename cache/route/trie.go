//go:build linux

package route

import (
	"net/netip"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// trie is a longest-prefix match that one goroutine changes while any may read.
// Until it is published it changes in place; from then on each change makes a
// new version that shares what it did not touch.
type trie struct {
	version   *atomic.Pointer[bart.Fast[*route]]
	published bool
}

func newTrie() trie {
	t := trie{version: new(atomic.Pointer[bart.Fast[*route]])}
	t.version.Store(new(bart.Fast[*route]))
	return t
}

// lookup returns the route of the longest prefix that contains a, nil for none.
// It may be called by any goroutine.
func (t *trie) lookup(a netip.Addr) *route {
	r, _ := t.version.Load().Lookup(a)
	return r
}

// get returns the route of exactly p, nil for none.
func (t *trie) get(p netip.Prefix) *route {
	r, _ := t.version.Load().Get(p)
	return r
}

// cover returns the route of the longest prefix that contains p, nil for none.
func (t *trie) cover(p netip.Prefix) *route {
	r, _ := t.version.Load().LookupPrefix(p)
	return r
}

func (t *trie) insert(p netip.Prefix, r *route) {
	if v := t.version.Load(); t.published {
		t.version.Store(v.InsertPersist(p, r))
	} else {
		v.Insert(p, r)
	}
}

func (t *trie) remove(p netip.Prefix) {
	if v := t.version.Load(); t.published {
		t.version.Store(v.DeletePersist(p))
	} else {
		v.Delete(p)
	}
}

func (t *trie) size() int {
	v := t.version.Load()
	return v.Size()
}
