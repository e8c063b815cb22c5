package config

import (
	"slices"
	"testing"
	"time"
)

const three = `
flow-exporter:
  - {name: a, destination: '192.0.2.1:2055'}
  - {name: b, destination: '192.0.2.2:2055'}
  - {destination: '192.0.2.3:2055'}
`

func TestGroups(t *testing.T) {
	c := mustParse(t, three+`
flow-exporter-group:
  - {name: both, mode: failover, exporters: [b, a], return: 0s}
`)
	want := []Group{{"both", GroupFailover, []string{"b", "a"}, 0}}
	if d := equal(want, c.Groups); d != "" {
		t.Error(d)
	}
	c = mustParse(t, three+`
flow-exporter-group:
  - {name: all, mode: share, exporters: [a, b, '192.0.2.3:2055']}
`)
	want = []Group{{"all", GroupShare, []string{"a", "b", "192.0.2.3:2055"}, 10 * time.Second}}
	if d := equal(want, c.Groups); d != "" {
		t.Error(d)
	}
}

// What contradicts itself is told with its place, here in line 8 of the file.
func TestGroupFaults(t *testing.T) {
	for group, want := range map[string]string{
		"{mode: share, exporters: [a, b]}":                             `flow-exporter-group 1: name: missing`,
		"{name: 'x y', mode: share, exporters: [a, b]}":                `flow-exporter-group "x y": name: must have no blank and no control character`,
		"{name: g, exporters: [a, b]}":                                 `flow-exporter-group "g": mode: missing: must be share, failover`,
		"{name: g, mode: copy, exporters: [a, b]}":                     `flow-exporter-group "g": mode: "copy": must be share, failover`,
		"{name: g, mode: share}":                                       `flow-exporter-group "g": exporters: 0 of them: must be 2 to 64`,
		"{name: g, mode: share, exporters: [a]}":                       `flow-exporter-group "g": exporters: 1 of them: must be 2 to 64`,
		"{name: g, mode: share, exporters: [a, c]}":                    `flow-exporter-group "g": exporters 1: there is no flow-exporter "c"`,
		"{name: g, mode: share, exporters: [a, a]}":                    `flow-exporter-group "g": exporters 1: "a" is given twice`,
		"{name: g, mode: share, exporters: [a, b], return: 1s}":        `flow-exporter-group "g": return: mode failover only`,
		"{name: g, mode: failover, exporters: [a, b], return: -1s}":    `flow-exporter-group "g": return: -1s: must be 0s to 24h0m0s`,
		"{name: g, mode: failover, exporters: [a, b], return: 10}":     `flow-exporter-group "g": return: 10 has no unit: write 10s for seconds`,
		"{name: g, mode: share, exporters: [a, b], weights: [1, 2]}":   `unknown key "weights"`,
		"{name: first, mode: share, exporters: [b, '192.0.2.3:2055']}": `flow-exporter-group "first": name: is given twice`,
		"{name: g, mode: share, exporters: ['192.0.2.3:2055', z]}":     `flow-exporter-group "g": exporters 0: "192.0.2.3:2055" is in group "first" already`,
	} {
		first := "  - {name: first, mode: share, exporters: ['192.0.2.3:2055', b]}\n"
		line := "c.yaml:8: "
		if !slices.Contains([]string{"{name: first, mode: share, exporters: [b, '192.0.2.3:2055']}", "{name: g, mode: share, exporters: ['192.0.2.3:2055', z]}"}, group) {
			first, line = "", "c.yaml:7: "
		}
		if _, err := parse(three + "flow-exporter-group:\n" + first + "  - " + group + "\n"); err == nil || err.Error() != line+want {
			t.Errorf("%s\ngot  %v\nwant %s", group, err, line+want)
		}
	}
}

func TestGroupChanges(t *testing.T) {
	old := three + "flow-exporter-group:\n  - {name: g, mode: failover, exporters: [a, b]}\n"
	for text, want := range map[string][]string{
		old:   nil,
		three: {`flow-exporter-group "g": removed`},
		three + "flow-exporter-group:\n  - {name: g, mode: failover, exporters: [b, a]}\n": {`flow-exporter-group "g": changed`},
		three + "flow-exporter-group:\n  - {name: h, mode: failover, exporters: [a, b]}\n": {`flow-exporter-group "h": added`, `flow-exporter-group "g": removed`},
	} {
		if got, err := mustParse(t, text).Changes(mustParse(t, old)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %q (%v)\nwant %q", text, got, err, want)
		}
	}
}
