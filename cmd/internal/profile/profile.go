package profile

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"cacheflow/capture/synth"
)

//go:embed profiles/*.yaml
var embedded embed.FS

// Profile is a traffic profile with what it says of itself.
type Profile struct {
	Description string
	synth.Profile
}

// maxFile bounds a profile, in octets.
const maxFile = 1 << 20

// Names returns the profiles that come with the program, by name.
func Names() (names []string) {
	files, _ := embedded.ReadDir("profiles") // it is in the binary
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	return names
}

// Text returns the file of a profile that comes with the program.
func Text(name string) ([]byte, error) {
	text, err := embedded.ReadFile("profiles/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no profile %q: want %s, or a file", name, strings.Join(Names(), ", "))
	}
	return text, nil
}

// Load returns a profile that comes with the program, or that of a file: its name has a dot
// or a slash.
func Load(name string) (*Profile, error) {
	if !strings.ContainsAny(name, "./") {
		text, err := Text(name)
		if err != nil {
			return nil, err
		}
		return Parse(name, bytes.NewReader(text))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Parse(name, f)
}

// Parse reads a profile; name is what errors call it.
func Parse(name string, r io.Reader) (*Profile, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("longer than %d octets", maxFile)
	}
	var in file
	if err == nil {
		err = decode(text, &in)
	}
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	p := in.profile()
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	return p, nil
}

// decode reads one YAML document, strictly.
func decode(text []byte, in *file) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(in); err != nil {
		return explain(err)
	}
	if err := d.Decode(new(yaml.Node)); err != io.EOF {
		return errors.New("more than one YAML document")
	}
	return nil
}

var unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)

// explain says the YAML library's error in one line.
func explain(err error) error {
	if err == io.EOF {
		return errors.New("empty")
	}
	text := err.Error()
	var t *yaml.TypeError
	if errors.As(err, &t) && len(t.Errors) > 0 {
		text = t.Errors[0]
	}
	return errors.New(unknownField.ReplaceAllString(strings.TrimPrefix(text, "yaml: "), `unknown key "$1"`))
}

// span is N, or N-M.
type span struct{ first, last uint16 }

func (s *span) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	a, err := strconv.ParseUint(first, 10, 16)
	b, err2 := strconv.ParseUint(last, 10, 16)
	if err != nil || err2 != nil {
		return fmt.Errorf("%q: want a number up to 65535, or two as in 1-1024", text)
	}
	s.first, s.last = uint16(a), uint16(b)
	return nil
}
