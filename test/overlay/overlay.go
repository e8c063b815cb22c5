package overlay

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// An Edit is a change to one file of the source.
type Edit struct {
	File string // relative to the module's root
	Old  string // occurs once in the file; empty for a file that is made
	New  string
}

// Write writes the edited files to dir, and returns what the go command's
// -overlay takes. Several edits may change one file, one after the other.
func Write(root, dir string, edits ...Edit) (string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		if e.Old == "" {
			texts[e.File] = e.New
			continue
		}
		text, ok := texts[e.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return "", err
			}
			text = string(b)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return "", fmt.Errorf("%s: %q occurs %d times", e.File, e.Old, n)
		}
		texts[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	replace := map[string]string{}
	for file, text := range texts {
		edited := filepath.Join(dir, fmt.Sprintf("edited%d.go", len(replace)))
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = edited
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, b, 0o600)
}
