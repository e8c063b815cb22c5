package mutate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"cacheflow/test/overlay"
	"cacheflow/test/process"
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

// Survives runs the mutation's test, by command, against the mutated source, in dir for
// scratch files, and reports whether the test passed all the same. The source
// itself is not touched. It returns an error where the mutation does not apply
// or the mutated source does not build.
func (m *Mutation) Survives(root, dir string, command process.Command) (bool, error) {
	edited, err := m.write(root, dir)
	if err != nil {
		return false, err
	}
	// Compiling takes longer than the test: without optimization it takes half as long.
	cmd := command("go", "test", "-overlay", edited, "-vet=off", "-gcflags=cacheflow/...=-N -l -dwarf=false", "-ldflags=-s -w",
		"-short", "-count=1", "-timeout", "2m", "-run", "^"+m.Test+"$", m.Package)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil && strings.Contains(string(out), "no tests to run"):
		return false, fmt.Errorf("%s has no test %s", m.Package, m.Test)
	case err == nil:
		return true, nil
	case bytes.Contains(out, []byte("--- FAIL: ")), bytes.Contains(out, []byte("panic: ")):
		return false, nil
	}
	return false, fmt.Errorf("%s: %s → %s: %w\n%s", m.File, m.Old, m.New, err, out)
}

// write writes the overlay: the edited Go file or, for C, the object that is made of
// the edited source.
func (m *Mutation) write(root, dir string) (string, error) {
	if path.Dir(m.File) != "bpf" {
		return overlay.Write(root, dir, overlay.Edit{File: m.File, Old: m.Old, New: m.New})
	}
	source := filepath.Join(dir, "bpf")
	if err := os.CopyFS(source, os.DirFS(filepath.Join(root, "bpf"))); err != nil {
		return "", err
	}
	name := filepath.Join(source, path.Base(m.File))
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(text, []byte(m.Old)); n != 1 {
		return "", fmt.Errorf("%s: %q occurs %d times", m.File, m.Old, n)
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte(m.Old), []byte(m.New), 1), 0o600); err != nil {
		return "", err
	}
	// As doc.go there has it, for this machine's byte order.
	object := filepath.Join(dir, "program.o")
	cmd := exec.Command("clang-19", "-O2", "-g", "-mcpu=v3", "-target", "bpfel", "-idirafter", "/usr/include/x86_64-linux-gnu",
		"-c", "cacheflow.c", "-o", object)
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %s → %s: %w\n%s", m.File, m.Old, m.New, err, out)
	}
	b, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "bpf/program_bpfel.o"): object}})
	if err != nil {
		return "", err
	}
	edited := filepath.Join(dir, "overlay.json")
	return edited, os.WriteFile(edited, b, 0o600)
}
