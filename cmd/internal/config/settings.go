package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// WithSettings returns the configuration of one exporter with settings, each KEY=VALUE as the keys of
// a flow-exporter are in a file, those in groups with dots: template.timeout=10s. Keys are those
// that may be set.
func WithSettings(destination string, protocol Protocol, settings, keys []string) (*Config, error) {
	x := map[string]any{"destination": destination, "protocol": string(protocol)}
	for _, text := range settings {
		key, value, hasValue := strings.Cut(text, "=")
		switch {
		case !hasValue:
			return nil, fmt.Errorf("%q: want KEY=VALUE", text)
		case !slices.Contains(keys, key):
			return nil, fmt.Errorf("%s: want one of %s", key, strings.Join(keys, ", "))
		}
		in := x
		if group, name, isIn := strings.Cut(key, "."); isIn {
			if in[group] == nil {
				in[group] = map[string]any{}
			}
			in, key = in[group].(map[string]any), name
		}
		if in[key] != nil {
			return nil, fmt.Errorf("%s: given twice", text)
		}
		in[key] = value
	}
	text, err := yaml.Marshal(map[string]any{"flow-exporter": []any{x}})
	if err != nil {
		return nil, err
	}
	c, err := Parse("", bytes.NewReader(text))
	if e := (*Error)(nil); errors.As(err, &e) { // the lines are nobody's
		return nil, fmt.Errorf("%s: %s", strings.TrimPrefix(e.key, "flow-exporter.0."), e.Reason)
	}
	return c, err
}
