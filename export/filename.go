package export

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// partSuffix ends the name of a file that is being written, so that no reader takes it
// for a complete one.
const partSuffix = ".part"

// fileName makes the names of the files of one exporter, from a path with conversions of
// strftime(3) in its last element.
type fileName struct {
	path  string
	parts *regexp.Regexp // matches the last element of what is being written, or was
}

// CheckFilePath returns what File's Path cannot be.
func CheckFilePath(path string) error {
	_, err := newFileName(path)
	return err
}

// conversions of strftime(3), as layouts of package time and as patterns.
var conversions = map[byte]struct{ layout, pattern string }{
	'Y': {"2006", `\d{4}`}, 'm': {"01", `\d\d`}, 'd': {"02", `\d\d`},
	'H': {"15", `\d\d`}, 'M': {"04", `\d\d`}, 'S': {"05", `\d\d`},
}

func newFileName(path string) (fileName, error) {
	dir, base := filepath.Split(path)
	switch {
	case base == "":
		return fileName{}, fmt.Errorf("%q is a directory", path)
	case strings.Contains(dir, "%"):
		return fileName{}, fmt.Errorf("%q: conversions are for the last element", path)
	}
	stem, suffix := cutSuffix(base)
	var pattern strings.Builder
	for part, verb := range pieces(stem) {
		pattern.WriteString(regexp.QuoteMeta(part))
		if c, ok := conversions[verb]; ok {
			pattern.WriteString(c.pattern)
		} else if verb != 0 {
			return fileName{}, fmt.Errorf("%q: %%%c is none of %%Y %%m %%d %%H %%M %%S %%%%", path, verb)
		}
	}
	parts, err := regexp.Compile(`^` + pattern.String() + `(-\d+)*` + regexp.QuoteMeta(suffix+partSuffix) + `$`)
	return fileName{path, parts}, err
}

// pieces yields what stands before each conversion with its letter, and what is behind the
// last one with 0. A percent sign that is doubled is part of the text, at the end of the
// text it is a conversion without a letter: a blank.
func pieces(s string) func(yield func(text string, verb byte) bool) {
	return func(yield func(string, byte) bool) {
		text := ""
		for {
			before, after, found := strings.Cut(s, "%")
			text += before
			switch {
			case !found:
				yield(text, 0)
				return
			case after == "":
				yield(text, ' ')
				return
			case after[0] == '%':
				text += "%"
			default:
				if !yield(text, after[0]) {
					return
				}
				text = ""
			}
			s = after[1:]
		}
	}
}

// cutSuffix cuts extensions such as .ipfix.gz off; numbers stand before them.
func cutSuffix(base string) (stem, suffix string) {
	stem = strings.TrimSuffix(base, ".gz")
	for _, kind := range []string{".ipfix", ".json", ".jsonl"} {
		stem = strings.TrimSuffix(stem, kind)
	}
	return stem, base[len(stem):]
}

// at returns the name of a file that begins at t, in UTC.
func (n *fileName) at(t time.Time) string {
	dir, base := filepath.Split(n.path)
	stem, suffix := cutSuffix(base)
	name := ""
	for text, verb := range pieces(stem) {
		name += text
		if verb != 0 {
			name += t.UTC().Format(conversions[verb].layout)
		}
	}
	return dir + name + suffix
}

// numbered returns the n-th other name for one that is taken; the 0th is name.
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	dir, base := filepath.Split(name)
	stem, suffix := cutSuffix(base)
	return fmt.Sprintf("%s%s-%d%s", dir, stem, n, suffix)
}
