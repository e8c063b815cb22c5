package process

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Command makes a command that runs in a namespace, as (*netns.NS).Command
// does. Nil stands for exec.Command.
type Command func(name string, args ...string) *exec.Cmd

// Make makes the command.
func (c Command) Make(name string, args ...string) *exec.Cmd {
	if c == nil {
		return exec.Command(name, args...)
	}
	return c(name, args...)
}

// Need sees that programs are there: without one the test is skipped, or fails
// where CI is set.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed; make tools installs it", p)
		}
		t.Skipf("skipping: %s is not installed", p)
	}
}

// Process is a running program.
type Process struct {
	// Out is what it prints, on both outputs unless the command says otherwise.
	Out Output

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts cmd and returns when ready does true; it fails the test if the
// program ends before, or is not ready within 20 s. The program ends with the test.
func Start(t testing.TB, cmd *exec.Cmd, ready func(*Process) bool) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.Out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.Out
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // ExitCode tells
		close(p.done)
	}()
	t.Cleanup(func() { p.Stop(os.Kill, time.Minute) })
	for deadline := time.Now().Add(20 * time.Second); !ready(p); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.done:
			t.Fatalf("%s ended: %s", cmd, &p.Out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %s", cmd, &p.Out)
		}
	}
	return p
}

// Printed is ready once the program has printed text.
func Printed(text string) func(*Process) bool {
	return func(p *Process) bool { return strings.Contains(p.Out.String(), text) }
}

// Pid returns the process ID.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Stop sends a signal and waits for the program's end. If that takes longer than
// patience, the program is killed and the test fails.
func (p *Process) Stop(signal os.Signal, patience time.Duration) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(signal) // it may have ended
	p.Wait(patience)
}

// Wait waits for the program's end as Stop does, and returns its exit status.
func (p *Process) Wait(patience time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		p.t.Errorf("%s did not end within %v: %s", p.cmd, patience, &p.Out)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Output collects what a process prints.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends to what was printed.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String returns what was printed so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Run runs a program to its end and returns its standard output; it fails the
// test if the program fails.
func Run(t testing.TB, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	return out
}

// ReadFile reads a file that a program wrote.
func ReadFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
