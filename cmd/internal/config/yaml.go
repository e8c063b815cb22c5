package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decode reads one YAML document, strictly, and where its keys stand.
func decode(text []byte) (*raw, lines, error) {
	in := new(raw)
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(in); err != nil && err != io.EOF { // io.EOF: an empty file
		return nil, nil, err
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return nil, nil, errors.New("more than one YAML document")
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, nil, err
	}
	l := lines{}
	for _, n := range root.Content {
		l.add("", n)
	}
	return in, l, nil
}

// lines tells the line of each key, such as flow-exporter.0.destination.
type lines map[string]int

func (l lines) add(at string, n *yaml.Node) {
	join := func(key string) string { return strings.TrimPrefix(at+"."+key, ".") }
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := join(n.Content[i].Value)
			l[key] = n.Content[i].Line
			l.add(key, n.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			key := join(strconv.Itoa(i))
			l[key] = item.Line
			l.add(key, item)
		}
	}
}

// of returns the line of key, or of what it would stand in.
func (l lines) of(key string) int {
	for key != "" {
		if n, ok := l[key]; ok {
			return n
		}
		key = key[:max(strings.LastIndexByte(key, '.'), 0)]
	}
	return 0
}

// The YAML library's words, and ours.
var (
	lineOf  = regexp.MustCompile(`(?s)^(?:yaml: )?(?:unmarshal errors:\s*)?line (\d+): (.*)$`)
	wording = []struct {
		theirs *regexp.Regexp
		ours   string
	}{
		{regexp.MustCompile(`^field (\S+) not found in type .*`), `unknown key "$1"`},
		{regexp.MustCompile(`^field (\S+) already set in type .*`), `key "$1" is given twice`},
		{regexp.MustCompile(`^mapping key "(.*)" already defined at line (\d+)`), `key "$1" is given twice, first in line $2`},
		{regexp.MustCompile(`^cannot unmarshal \S+ .*into \[\].*`), `must be a list`},
		{regexp.MustCompile(`^cannot unmarshal \S+ .*into config\..*`), `must hold keys with values`},
		{regexp.MustCompile(`^cannot unmarshal \S+ .*into string`), `must be a single value`},
	}
)

// explain turns the YAML library's error into one line of ours.
func explain(err error) *Error {
	text := err.Error()
	var t *yaml.TypeError
	if errors.As(err, &t) && len(t.Errors) > 0 {
		text = t.Errors[0]
	}
	e := &Error{Reason: strings.TrimPrefix(text, "yaml: ")}
	if m := lineOf.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Reason = m[2]
	}
	for _, w := range wording {
		if w.theirs.MatchString(e.Reason) {
			e.Reason = w.theirs.ReplaceAllString(e.Reason, w.ours)
			break
		}
	}
	e.Reason = strings.Join(strings.Fields(e.Reason), " ")
	return e
}
