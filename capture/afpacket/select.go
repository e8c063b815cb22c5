//go:build linux

package afpacket

import (
	"os"
	"path"
	"strings"
)

// A choice is which of the host's interfaces are to be captured.
type choice struct {
	links []link
	// several says that more than one interface is selected. A name counts
	// whether the interface is there or not, a pattern for each that is up.
	several bool
}

// choose picks the interfaces that the patterns select, or the default ones.
func choose(links []link, patterns []string) (choice, error) {
	if len(patterns) == 0 {
		chosen, err := defaultLinks(links)
		return choice{chosen, len(chosen) > 1}, err
	}
	var c choice
	names := map[string]bool{}
	for _, p := range patterns {
		if !isPattern(p) {
			names[p] = true
		}
	}
	for _, l := range links {
		for _, p := range patterns {
			if ok, _ := path.Match(p, l.name); ok {
				if l.up {
					names[l.name] = true
				}
				c.links = append(c.links, l)
				break
			}
		}
	}
	c.several = len(names) > 1
	return c, nil
}

// defaultLinks picks the interfaces of a host whose operator named none.
func defaultLinks(links []link) ([]link, error) {
	if !forwards() {
		routed, err := defaultRoutes()
		return pick(links, func(l *link) bool { return l.up && routed[l.index] }), err
	}
	has, err := addressed()
	if err != nil {
		return nil, err
	}
	chosen := pick(links, func(l *link) bool { return l.up && has[l.index] && l.index != loopbackIndex })
	lower := map[uint32]bool{}
	for _, l := range chosen {
		below(links, l, lower)
	}
	return pick(chosen, func(l *link) bool { return !lower[l.index] }), nil
}

// forwards reports whether the host forwards IPv4 or IPv6.
func forwards() bool {
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		b, err := os.ReadFile("/proc/sys/net/" + name)
		if err == nil && strings.TrimSpace(string(b)) == "1" {
			return true
		}
	}
	return false
}

// below adds to found the interfaces that l lies on: what a VLAN or macvlan is
// made of, the ports of a bridge, the members of a bond or VRF, and so on down.
func below(links []link, l link, found map[uint32]bool) {
	for _, o := range links {
		if (o.index == l.lower || o.master == l.index) && !found[o.index] {
			found[o.index] = true
			below(links, o, found)
		}
	}
}

func pick(links []link, want func(*link) bool) []link {
	var out []link
	for i := range links {
		if want(&links[i]) {
			out = append(out, links[i])
		}
	}
	return out
}
