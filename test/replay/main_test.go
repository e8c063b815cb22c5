package replay

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/test/traffic"
)

// program is the binary under test, built once as it is delivered.
var program string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "replay")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "cacheflow")
	cmd := exec.Command("go", "build", "-o", program, "cacheflow/cmd/cacheflow")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n%s", cmd, err, out)
		return 1
	}
	return m.Run()
}

// cacheflow runs `cacheflow replay` and returns what it printed; env is added
// to its environment.
func cacheflow(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	return output(t, exec.CommandContext(ctx, program, append([]string{"replay", "--ledger", os.DevNull}, args...)...), env)
}

func output(t *testing.T, cmd *exec.Cmd, env []string) []byte {
	t.Helper()
	cmd.Env = append(cmd.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// capture writes a file of traffic and returns its name and truth.
func capture(t *testing.T, s traffic.Spec) (string, traffic.Truth) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "traffic.pcap")
	truth, err := traffic.WriteFile(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return name, truth
}

// lifelike is 2000 s of a busy line on which every kind of end occurs.
func lifelike(packets, flows int) traffic.Spec {
	return traffic.Spec{
		Packets: packets, Flows: flows, Zipf: 1.1, IPv6: 20, Lifelike: true, Seed: 1,
		Interval: 2000 * time.Second / time.Duration(packets), Snap: 96,
	}
}
