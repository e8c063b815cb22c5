package mutate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Mutation is one line of the source that is broken, and the test that must
// notice.
type Mutation struct {
	File string // relative to the module's root
	Old  string // occurs once in the file
	New  string
	// Package and Test are what `go test -run` is given.
	Package, Test string
}

// Survives runs the mutation's test against the mutated source, in dir for
// scratch files, and reports whether the test passed all the same. The source
// itself is not touched. It returns an error where the mutation does not apply
// or the mutated source does not build.
func (m *Mutation) Survives(root, dir string) (bool, error) {
	path := filepath.Join(root, m.File)
	source, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	if n := bytes.Count(source, []byte(m.Old)); n != 1 {
		return false, fmt.Errorf("%s: %q occurs %d times", m.File, m.Old, n)
	}
	mutant := filepath.Join(dir, "mutant.go")
	if err := os.WriteFile(mutant, bytes.Replace(source, []byte(m.Old), []byte(m.New), 1), 0o600); err != nil {
		return false, err
	}
	overlay := filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutant}})
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return false, err
	}
	cmd := exec.Command("go", "test", "-overlay", overlay, "-count=1", "-run", "^"+m.Test+"$", m.Package)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil && strings.Contains(string(out), "no tests to run"):
		return false, fmt.Errorf("%s has no test %s", m.Package, m.Test)
	case err == nil:
		return true, nil
	case bytes.Contains(out, []byte("--- FAIL: ")):
		return false, nil
	}
	return false, fmt.Errorf("%s: %s → %s: %w\n%s", m.File, m.Old, m.New, err, out)
}
