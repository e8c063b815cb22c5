//go:build linux

package link

import (
	"fmt"
	"os"
	"path"
	"strings"
)

// IsPattern reports whether an entry of a list of interfaces can match several
// names. Patterns are as path.Match takes them ("ppp*").
func IsPattern(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// CheckPatterns returns what is wrong in a list of names and patterns.
func CheckPatterns(patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return fmt.Errorf("interface pattern %q is malformed", p)
		}
	}
	return nil
}

// A Choice is which of the host's interfaces are to be captured.
type Choice struct {
	Links []Link
	// Several says that more than one interface is selected. A name counts
	// whether the interface is there or not, a pattern for each that is up.
	Several bool
}

// Choose picks, of all interfaces of the host, those that the names and patterns
// select, whether they are up or not. Without any it picks, where the host
// forwards, each that is up and has an address, except lo and what lies below
// another of them; otherwise those of the default routes. It asks for these in
// the network namespace of the calling thread.
func Choose(links []Link, patterns []string) (Choice, error) {
	if len(patterns) == 0 {
		chosen, err := defaultLinks(links)
		return Choice{chosen, len(chosen) > 1}, err
	}
	var c Choice
	names := map[string]bool{}
	for _, p := range patterns {
		if !IsPattern(p) {
			names[p] = true
		}
	}
	for _, l := range links {
		for _, p := range patterns {
			if ok, _ := path.Match(p, l.Name); ok {
				if l.Up {
					names[l.Name] = true
				}
				c.Links = append(c.Links, l)
				break
			}
		}
	}
	c.Several = len(names) > 1
	return c, nil
}

// defaultLinks picks the interfaces of a host whose operator named none.
func defaultLinks(links []Link) ([]Link, error) {
	if !forwards() {
		routed, err := defaultRoutes()
		return pick(links, func(l *Link) bool { return l.Up && routed[l.Index] }), err
	}
	has, err := addressed()
	if err != nil {
		return nil, err
	}
	chosen := pick(links, func(l *Link) bool { return l.Up && has[l.Index] && l.Index != Loopback })
	lower := map[uint32]bool{}
	for _, l := range chosen {
		Below(links, l, lower)
	}
	return pick(chosen, func(l *Link) bool { return !lower[l.Index] }), nil
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

// Below adds to found the interfaces that l lies on: what a VLAN or macvlan is
// made of, the ports of a bridge, the members of a bond or VRF, and so on down.
func Below(links []Link, l Link, found map[uint32]bool) {
	for _, o := range links {
		if (o.Index == l.Lower || o.Master == l.Index) && !found[o.Index] {
			found[o.Index] = true
			Below(links, o, found)
		}
	}
}

func pick(links []Link, want func(*Link) bool) []Link {
	var out []Link
	for i := range links {
		if want(&links[i]) {
			out = append(out, links[i])
		}
	}
	return out
}
