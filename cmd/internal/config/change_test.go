package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const running = `
flow-monitor:
  interfaces: [eth0]
  cache: {timeout: {active: 1m}}
flow-exporter:
  - {name: a, destination: '192.0.2.1:2055'}
  - {name: b, destination: '192.0.2.2:2055', dscp: 8}
`

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChanges(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{running, nil},
		{ // the same in other words
			`
flow-monitor: {interfaces: [eth0], workers: 0, ring-memory: 65536KiB, cache: {entries: 65536, timeout: {active: 60s}}}
flow-exporter:
  - {destination: '192.0.2.2:2055', dscp: 8, ttl: 255, name: b}
  - {destination: '192.0.2.1:2055', name: a}
`, nil},
		{
			`
flow-monitor:
  interfaces: [eth0, 'ppp*']
  direction: ingress
  interface-direction: {ppp0: both, eth0: egress}
  cache: {preset: monitoring, tcp-linger: 2s}
flow-exporter:
  - {name: b, destination: '192.0.2.2:2055'}
  - {name: c, destination: '192.0.2.3:2055'}
log: {level: debug}
`, []string{
				`flow-monitor: interfaces: eth0 -> eth0 ppp*`,
				`flow-monitor: direction: auto -> ingress`,
				`flow-monitor: interface-direction: none -> eth0 egress, ppp0 both`,
				`flow-monitor: cache timeout inactive: 15s -> 10s`,
				`flow-monitor: cache tcp-linger: 1s -> 2s`,
				`log: level: info -> debug`,
				`flow-exporter "b": changed`,
				`flow-exporter "c": added`,
				`flow-exporter "a": removed`,
			},
		},
	} {
		got, err := mustParse(t, tt.text).Changes(mustParse(t, running))
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s\ngot  %q (%v)\nwant %q", tt.text, got, err, tt.want)
		}
	}
}

// What cannot change is refused with its place, whatever else changed.
func TestChangesRefused(t *testing.T) {
	monitor := func(rest string) string {
		return strings.Replace(running, "flow-monitor:\n  interfaces: [eth0]", "flow-monitor:\n  interfaces: [eth1]\n  "+rest, 1)
	}
	for text, want := range map[string]string{
		monitor("workers: 2"):                                            `c.yaml:4: flow-monitor: workers: 0 -> 2`,
		monitor("capture: afpacket"):                                     `c.yaml:4: flow-monitor: capture: auto -> afpacket`,
		monitor("ring-memory: 1MiB"):                                     `c.yaml:4: flow-monitor: ring-memory: 67108864 -> 1048576`,
		monitor("first-level: {entries: 512}"):                           `c.yaml:4: flow-monitor: first-level entries: 0 -> 512`,
		monitor("sampler:\n    one-out-of: 9"):                           `c.yaml:5: flow-monitor: sampler one-out-of: 1 -> 9`,
		strings.Replace(running, "cache: {", "cache: {entries: 16, ", 1): `c.yaml:4: flow-monitor: cache entries: 65536 -> 16`,
		running + "control: {mode: 0660}\n":                              `c.yaml:8: control: mode: 0600 -> 0660`,
		running + "log:\n  format: json\n":                               `c.yaml:9: log: format: text -> json`,
		"flow-exporter: []\n":                                            `c.yaml:1: flow-exporter: some -> none`,
	} {
		lines, err := mustParse(t, text).Changes(mustParse(t, running))
		want += ": cannot change while it runs: restart"
		var e *Error
		if lines != nil || !errors.As(err, &e) || err.Error() != want {
			t.Errorf("%s\ngot  %q, %v\nwant %s", text, lines, err, want)
		}
	}
}

// TestChangesSeesEveryField alters each field of a configuration in turn: none can
// change unnoticed.
func TestChangesSeesEveryField(t *testing.T) {
	names := func(c *Config) (paths []string) {
		leaves(reflect.ValueOf(c).Elem(), "", func(path string, _ reflect.Value) { paths = append(paths, path) })
		return paths
	}
	fresh := func() *Config {
		c := Default()
		c.Exporters = []Exporter{DefaultExporter("192.0.2.1:2055")}
		c.Groups = []Group{{Name: "g"}}
		return c
	}
	all := names(fresh())
	if len(all) < 35 {
		t.Fatalf("only %d fields found: %q", len(all), all)
	}
	for _, field := range all {
		c := fresh()
		leaves(reflect.ValueOf(c).Elem(), "", func(path string, v reflect.Value) {
			if path == field {
				alter(t, path, v)
			}
		})
		if lines, err := c.Changes(fresh()); len(lines) == 0 && err == nil {
			t.Errorf("%s changed unnoticed", field)
		}
	}
}

// leaves calls f with each exported field below v that is no plain struct.
func leaves(v reflect.Value, path string, f func(string, reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[[]Exporter](), v.Type() == reflect.TypeFor[[]Group]():
		leaves(v.Index(0), path+"[0]", f)
	case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[netip.Addr]():
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				leaves(v.Field(i), path+"."+field.Name, f)
			}
		}
	default:
		f(path, v)
	}
}

func alter(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch p := v.Addr().Interface().(type) {
	case *netip.Addr:
		*p = netip.MustParseAddr("192.0.2.7")
		return
	case *[]string:
		*p = append(*p, "eth9")
		return
	case *map[string]Direction:
		*p = map[string]Direction{"eth9": DirectionBoth}
		return
	case *slog.Level:
		*p = slog.LevelDebug
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	default:
		t.Fatalf("%s: this test cannot alter a %s", path, v.Type())
	}
}
