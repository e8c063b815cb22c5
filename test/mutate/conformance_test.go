package mutate

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"cacheflow/test/overlay"
)

// A requirement is a row of the conformance record.
type requirement struct {
	ID, Asks string
	// Mutation names the test that holds the requirement, and what it notices. It is the
	// zero value where no test can.
	Mutation
	Breaks string // what the mutation does
	Note   string // why no test can hold it, or what of it does not apply
}

// TestConformance: each requirement is held by its test, which notices when it is broken.
func TestConformance(t *testing.T) {
	root := onDemand(t)
	for _, table := range [][]requirement{rfc5471, interop} {
		for _, r := range table {
			if r.Test != "" {
				t.Run(r.ID, func(t *testing.T) { noticed(t, root, r.Mutation) })
			}
		}
	}
}

// page is the committed record.
const page = "../CONFORMANCE.md"

var update = flag.Bool("update", false, "write the conformance record")

// TestPage: the record is that of the tables, whose tests and lines are there.
func TestPage(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(preface)
	b.WriteString(prefaceRFC5471)
	writeTable(t, &b, rfc5471)
	b.WriteString(prefaceInterop)
	writeTable(t, &b, interop)
	if *update {
		if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if committed, err := os.ReadFile(page); err != nil || !bytes.Equal(committed, b.Bytes()) {
		t.Errorf("test/CONFORMANCE.md is not that of the tables (%v): run make generate", err)
	}
	for i, r := range interop {
		if want := fmt.Sprint("IR-", i+1); r.ID != want || r.Test == "" {
			t.Errorf("row %s is held by %q; want %s, and a test", r.ID, r.Test, want)
		}
	}
}

const preface = `# Conformance of the Exporting Process

For authors of collectors: what this exporter is held to, and by which test. A row names the test, and a mutation: one line of the source that is
changed so that the test fails, which shows that it can. CI makes each of them by itself, and so does ` + "`make mutate`" + `.
The judges are goflow2's decoder, tshark, openssl and the octets themselves, never a decoder of ours.

This page is made from the tables in ` + "`test/mutate`" + ` by ` + "`make generate`" + `.
`

const prefaceRFC5471 = `
## RFC 5471

The tests of RFC 5471, *Guidelines for IP Flow Information Export (IPFIX) Testing*, by its sections. Some of them test the collector, and want an exporter that does wrong.

`

const prefaceInterop = `
## Interoperability

What collectors are known to check, or to trip over, beyond what the RFCs say or where they leave a choice.

`

func writeTable(t *testing.T, b *bytes.Buffer, rows []requirement) {
	t.Helper()
	b.WriteString("| | asks | test | noticed mutation | remarks |\n|---|---|---|---|---|\n")
	seen := map[string]bool{}
	for _, r := range rows {
		test, mutation := "–", "–"
		switch {
		case r.Test != "":
			test = fmt.Sprintf("[%s](../%s)", strings.ReplaceAll(r.Test, "_", " "), findTest(t, &r.Mutation))
			mutation = fmt.Sprintf("[%s](../%s): %s", path.Base(r.File), r.File, r.Breaks)
			if _, err := overlay.Write("../..", t.TempDir(), overlay.Edit{File: r.File, Old: r.Old, New: r.New}); err != nil || r.Breaks == "" {
				t.Errorf("%s: the mutation does not apply, or nothing is said of it: %v", r.ID, err)
			}
		case r.Note == "":
			t.Errorf("%s: no test, and no reason", r.ID)
		}
		if seen[r.ID] || strings.Contains(r.Asks+r.Breaks+r.Note, "|") {
			t.Errorf("%s: stands twice, or breaks the table", r.ID)
		}
		seen[r.ID] = true
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", r.ID, r.Asks, test, mutation, r.Note)
	}
}

// findTest returns the file that declares the mutation's test, relative to the module's
// root.
func findTest(t *testing.T, m *Mutation) string {
	t.Helper()
	name, _, _ := strings.Cut(m.Test, "/")
	files, _ := filepath.Glob(filepath.Join("../..", m.Package, "*_test.go"))
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && d.Recv == nil && d.Name.Name == name {
				return path.Join(m.Package, filepath.Base(file))
			}
		}
	}
	t.Errorf("%s has no test %s", m.Package, name)
	return ""
}
