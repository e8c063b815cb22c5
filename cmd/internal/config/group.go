package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Group is exporters of which each record goes to one.
type Group struct {
	Name      string // unique
	Mode      GroupMode
	Exporters []string      // their names; GroupFailover prefers the first
	Return    time.Duration // GroupFailover: for how long one must have been up again to be returned to
}

// GroupMode tells which exporter of a group gets a record.
type GroupMode string

const (
	GroupShare    GroupMode = "share"    // by a hash of its conversation, one of those that are up
	GroupFailover GroupMode = "failover" // the first one that is up
)

// MaxMembers is how many exporters a group can have.
const MaxMembers = 64

const (
	defaultReturn = 10 * time.Second
	groupKey      = "flow-exporter-group"
)

func (r *reader) group(i int, in *rawGroup) {
	of := fmt.Sprintf(groupKey+".%d.", i)
	g := Group{Name: in.Name, Mode: GroupMode(in.Mode), Exporters: in.Exporters, Return: defaultReturn}
	r.c.Groups = append(r.c.Groups, g)
	r.set(of+"return", in.Return, func(string) error {
		if g.Mode != GroupFailover {
			return fmt.Errorf("mode %s only", GroupFailover)
		}
		return nil
	})
	r.duration(of+"return", in.Return, &r.c.Groups[i].Return)
}

func (c *Config) groupChecks() (checks []check) {
	member := map[string]string{} // the group of each exporter
	for i := range c.Groups {
		g, of := &c.Groups[i], fmt.Sprintf(groupKey+".%d.", i)
		checks = append(checks, check{of + "name", c.checkGroupName(i)}, check{of + "mode", g.checkMode()},
			check{of + "exporters", g.checkSize()}, check{of + "return", within(g.Return, 0, maxRefreshTime)})
		for j, name := range g.Exporters {
			checks = append(checks, check{fmt.Sprintf("%sexporters.%d", of, j), c.checkMember(name, g.Name, member)})
		}
	}
	return checks
}

func (c *Config) checkGroupName(i int) error {
	name := c.Groups[i].Name
	switch {
	case name == "":
		return errors.New("missing")
	case strings.ContainsFunc(name, isBlank):
		return errors.New("must have no blank and no control character")
	case slices.ContainsFunc(c.Groups[:i], func(g Group) bool { return g.Name == name }):
		return errors.New("is given twice")
	}
	return nil
}

func (g *Group) checkMode() error {
	if g.Mode == "" {
		return fmt.Errorf("missing: must be %s, %s", GroupShare, GroupFailover)
	}
	return oneOf(g.Mode, GroupShare, GroupFailover)
}

func (g *Group) checkSize() error {
	if n := len(g.Exporters); n < 2 || n > MaxMembers {
		return fmt.Errorf("%d of them: must be 2 to %d", n, MaxMembers)
	}
	return nil
}

// checkMember enters an exporter of a group into those that have one.
func (c *Config) checkMember(name, group string, member map[string]string) error {
	other, taken := member[name]
	member[name] = group
	switch {
	case !slices.ContainsFunc(c.Exporters, func(e Exporter) bool { return e.Name == name }):
		return fmt.Errorf("there is no flow-exporter %q", name)
	case taken && other == group:
		return fmt.Errorf("%q is given twice", name)
	case taken:
		return fmt.Errorf("%q is in group %q already", name, other)
	}
	return nil
}

// groupChanges compares groups by their names; their order means nothing.
func (c *Config) groupChanges(old *Config) (lines []string) {
	find := func(groups []Group, name string) int {
		return slices.IndexFunc(groups, func(g Group) bool { return g.Name == name })
	}
	for _, g := range c.Groups {
		switch at := find(old.Groups, g.Name); {
		case at < 0:
			lines = append(lines, fmt.Sprintf("%s %q: added", groupKey, g.Name))
		case !reflect.DeepEqual(old.Groups[at], g):
			lines = append(lines, fmt.Sprintf("%s %q: changed", groupKey, g.Name))
		}
	}
	for _, g := range old.Groups {
		if find(c.Groups, g.Name) < 0 {
			lines = append(lines, fmt.Sprintf("%s %q: removed", groupKey, g.Name))
		}
	}
	return lines
}
