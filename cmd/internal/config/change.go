package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Changes returns in one line each what c has otherwise than old, by which a daemon
// runs. It is an *Error where one of these cannot change while it runs.
func (c *Config) Changes(old *Config) (lines []string, err error) {
	before := old.settings()
	for i, now := range c.settings() {
		if now.value == before[i].value {
			continue
		}
		change := before[i].value + " -> " + now.value
		if now.fixed {
			return nil, c.ErrorAt(now.key, fmt.Errorf("%s: cannot change while it runs: restart", change))
		}
		lines = append(lines, c.errorAt(now.key, errors.New(change)).Error())
	}
	lines = append(lines, c.exporterChanges(old)...)
	return append(lines, c.groupChanges(old)...), nil
}

// setting is a key with its value as a text. One that is fixed cannot change while
// the daemon runs.
type setting struct {
	key, value string
	fixed      bool
}

// settings returns all but the exporters, of which there may be more or fewer.
func (c *Config) settings() []setting {
	const of, cacheOf = "flow-monitor.", "flow-monitor.cache."
	m := &c.Monitor
	fixed := func(key string, value any) setting { return setting{key, fmt.Sprint(value), true} }
	free := func(key string, value any) setting { return setting{key, fmt.Sprint(value), false} }
	return []setting{
		fixed(of+"capture", m.Capture),
		fixed(of+"workers", m.Workers),
		fixed(of+"ring-memory", m.RingMemory),
		fixed(of+"first-level.entries", m.FirstLevel.Entries),
		fixed(of+"first-level.ring", m.FirstLevel.Ring),
		fixed(of+"fragments", m.Fragments),
		fixed(of+"own-exports", m.OwnExports),
		fixed(of+"sampler.one-out-of", m.Sampler.OneOutOf),
		fixed(of+"sampler.mode", m.Sampler.Mode),
		fixed(cacheOf+"entries", m.Cache.Entries),
		fixed("control.socket", c.Control.Socket),
		fixed("control.mode", fmt.Sprintf("%#o", c.Control.Mode)),
		fixed("log.format", c.Log.Format),
		fixed("flow-exporter", someOrNone(len(c.Exporters))), // without any the daemon shows flows itself
		free(of+"interfaces", list(m.Interfaces)),
		free(of+"direction", m.Direction),
		free(of+"interface-direction", directionList(m.Directions)),
		free(cacheOf+"timeout.active", m.Cache.Active),
		free(cacheOf+"timeout.inactive", m.Cache.Inactive),
		free(cacheOf+"tcp-linger", m.Cache.TCPLinger),
		free("log.level", strings.ToLower(c.Log.Level.String())),
	}
}

func someOrNone(n int) string {
	if n == 0 {
		return "none"
	}
	return "some"
}

func list(names []string) string {
	if len(names) == 0 {
		return "default"
	}
	return strings.Join(names, " ")
}

func directionList(directions map[string]Direction) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(directions)) {
		all = append(all, name+" "+string(directions[name]))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// exporterChanges compares exporters by their names; their order means nothing.
func (c *Config) exporterChanges(old *Config) (lines []string) {
	before := map[string]*Exporter{}
	for i := range old.Exporters {
		before[old.Exporters[i].Name] = &old.Exporters[i]
	}
	for i := range c.Exporters {
		now := &c.Exporters[i]
		was := before[now.Name]
		delete(before, now.Name)
		switch {
		case was == nil:
			lines = append(lines, fmt.Sprintf("flow-exporter %q: added", now.Name))
		case !reflect.DeepEqual(was, now):
			lines = append(lines, fmt.Sprintf("flow-exporter %q: changed", now.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		lines = append(lines, fmt.Sprintf("flow-exporter %q: removed", name))
	}
	return lines
}

// ErrorAt returns an Error for a key such as flow-monitor.direction, with the place
// where the file has it.
func (c *Config) ErrorAt(key string, err error) *Error {
	e := c.errorAt(key, err)
	e.File, e.Line = c.file, c.lines.of(key)
	return e
}
