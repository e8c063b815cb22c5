package judge

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Command makes a command that runs in a namespace, as (*netns.NS).Command
// does. Nil stands for exec.Command.
type Command func(name string, args ...string) *exec.Cmd

func (c Command) make(name string, args ...string) *exec.Cmd {
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

// FreePort returns a UDP port of 127.0.0.1 that nothing listens on.
func FreePort(t testing.TB) uint16 {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// endpoint fills in what is left open of a listener's address.
func endpoint(t testing.TB, address netip.AddrPort) netip.AddrPort {
	if !address.Addr().IsValid() {
		address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), address.Port())
	}
	if address.Port() == 0 {
		address = netip.AddrPortFrom(address.Addr(), FreePort(t))
	}
	return address
}

// process is a running judge.
type process struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  output
	done chan struct{}
}

// start runs cmd until it has printed ready; it ends with the test.
func start(t testing.TB, cmd *exec.Cmd, ready string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // how it ended does not matter: its output is judged
		close(p.done)
	}()
	t.Cleanup(func() { p.stop(syscall.SIGKILL) })
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(p.out.String(), ready); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.done:
			t.Fatalf("%s ended: %s", cmd, &p.out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: %s", cmd, &p.out)
		}
	}
	return p
}

// stop sends the signal and waits for the end.
func (p *process) stop(signal os.Signal) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(signal) // it may have ended
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		p.t.Errorf("%s did not stop: %s", p.cmd, &p.out)
	}
}

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// run runs a program to its end and returns its standard output.
func run(t testing.TB, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	return out
}
