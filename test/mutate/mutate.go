package mutate

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"

	"cacheflow/test/overlay"
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
	edited, err := overlay.Write(root, dir, overlay.Edit{File: m.File, Old: m.Old, New: m.New})
	if err != nil {
		return false, err
	}
	cmd := exec.Command("go", "test", "-overlay", edited, "-count=1", "-run", "^"+m.Test+"$", m.Package)
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
