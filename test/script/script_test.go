package script

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/traffic"
)

func TestMain(m *testing.M) { os.Exit(binary.Main(m)) }

func TestScripts(t *testing.T) {
	path := filepath.Dir(binary.Path(t)) + string(os.PathListSeparator) + os.Getenv("PATH")
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", path)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pcap":     pcap,
			"status":   status,
			"sum":      sum,
			"truncate": truncate,
		},
	})
}

// status is `status N command argument…`: it runs a command, whose exit status
// must be N. The script can then look at stdout and stderr.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command argument…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d instead of %d", got, want)
	}
}

// pcap is `pcap file Field=value…`: it writes a capture of the traffic.Spec with
// these fields and sets PACKETS, OCTETS and FLOWS to its truth.
func pcap(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: pcap file Field=value…")
	}
	var spec traffic.Spec
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a, "=")
		ts.Check(set(reflect.ValueOf(&spec).Elem().FieldByName(name), name, value))
	}
	truth, err := traffic.WriteFile(ts.MkAbs(args[0]), spec)
	ts.Check(err)
	total := truth.Total()
	for name, n := range map[string]uint64{"PACKETS": total.Packets, "OCTETS": total.Octets, "FLOWS": total.Flows} {
		ts.Setenv(name, strconv.FormatUint(n, 10))
	}
}

// sum is `sum file packets octets`: the records in a file of JSON lines carry
// just as much.
func sum(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sum file packets octets")
	}
	flows, err := judge.ReadJSON(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	got := judge.Add(flows)
	if fmt.Sprint(got.Packets, got.Octets) != args[1]+" "+args[2] {
		ts.Fatalf("%d packets and %d octets instead of %s and %s", got.Packets, got.Octets, args[1], args[2])
	}
}

// truncate is `truncate file size`.
func truncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truncate file size")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// set gives a field its value.
func set(field reflect.Value, name, value string) error {
	if !field.IsValid() {
		return fmt.Errorf("traffic has no field %s", name)
	}
	switch field.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(value)
		field.SetInt(int64(d))
		return err
	case bool:
		b, err := strconv.ParseBool(value)
		field.SetBool(b)
		return err
	case float64:
		f, err := strconv.ParseFloat(value, 64)
		field.SetFloat(f)
		return err
	case uint64:
		n, err := strconv.ParseUint(value, 10, 64)
		field.SetUint(n)
		return err
	case int:
		n, err := strconv.Atoi(value)
		field.SetInt(int64(n))
		return err
	}
	return fmt.Errorf("field %s cannot be set", name)
}
