package recordfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/render"
)

// line parses lines of JSON. What it returns is valid until it parses the next.
type line struct {
	record collector.Record
}

// parse reads an object whose members are elements of the registry; members of other names
// are left out.
func (l *line) parse(text []byte) (*collector.Record, error) {
	r := &l.record
	r.Options, r.Fields = false, r.Fields[:0]
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.Join(errors.New("no JSON object"), err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		value, err := d.Token()
		if err != nil {
			return nil, err
		}
		if err := l.member(name.(string), value); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one JSON object in a line")
	}
	slices.SortStableFunc(r.Fields, func(a, b render.Field) int {
		switch {
		case a.Before(b.Element):
			return -1
		case b.Before(a.Element):
			return 1
		}
		return 0
	})
	return r, nil
}

func (l *line) member(name string, value json.Token) error {
	if options, ok := value.(bool); ok && name == "options" {
		l.record.Options = options
		return nil
	}
	if delim, nested := value.(json.Delim); nested {
		return fmt.Errorf("%s: %v instead of a value", name, delim)
	}
	e := render.ElementByName(name)
	if e == nil || value == nil {
		return nil
	}
	v, ok := e.Kind.Parse(fmt.Sprint(value))
	if !ok {
		return fmt.Errorf("%s: %v is no value of it", name, value)
	}
	l.record.Fields = append(l.record.Fields, render.Field{Element: e, Value: v})
	return nil
}
