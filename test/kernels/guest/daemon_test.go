//go:build linux

package guest_test

import (
	"encoding/json"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/test/process"
)

const (
	program = "/cacheflow"
	socket  = "/tmp/control" // one for all, so that each start finds what the last has left
)

// daemon is the program, metering.
type daemon struct {
	*process.Process
	t      *testing.T
	ledger string
}

// patience is how long the program may take to start, to see what was sent and to
// end: an emulated processor needs ten seconds to check a program for the kernel.
const patience = time.Minute

// start runs the program on a link in a mode of capture, and returns once it
// answers. No flow ends before the program does.
func start(t *testing.T, l link, capture string, collector netip.AddrPort) *daemon {
	t.Helper()
	d := &daemon{t: t, ledger: filepath.Join(t.TempDir(), "ledger.json")}
	cmd := l.ns.Command(program, "run", "-i", l.name, "--capture", capture, "--inactive", "10m",
		"-e", collector.String(), "--socket", socket, "--ledger", d.ledger)
	d.Process = process.Start(t, cmd, func(*process.Process) bool { return true })
	begun := process.Printed("msg=exporting") // who asks earlier waits longer
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if begun(d.Process) {
			if _, err := show(); err == nil {
				return d
			}
		}
		if unix.Kill(d.Pid(), 0) != nil || time.Now().After(deadline) {
			t.Fatalf("the program does not run: %s", &d.Out)
		}
	}
}

// account is the part of the ledger that is looked at, as JSON has it.
type account struct {
	Quiet      bool
	Interfaces []struct {
		Name, Mode     string
		Lost, Observed uint64
		InRing         uint64
	}
	Balance []struct {
		Scope, Unit, Equation string
		Difference            int64
	}
}

// show asks for the present ledger.
func show() (a account, err error) {
	out, err := exec.Command(program, "show", "ledger", "--json", "--socket", socket).Output()
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(out, &a)
}

// observed waits until so many frames have been seen and none is left to read.
func (d *daemon) observed(frames uint64) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		a, err := show()
		if err != nil {
			d.t.Fatalf("ask for the ledger: %v: %s", err, &d.Out)
		}
		seen, left := uint64(0), uint64(0)
		for _, i := range a.Interfaces {
			seen += i.Observed
			left += i.InRing
		}
		if seen >= frames && left == 0 {
			return
		}
		if time.Now().After(deadline) {
			d.t.Errorf("%d frames observed of %d, %d in the ring: %s", seen, frames, left, &d.Out)
			return
		}
	}
}

// stop ends the program as a user does, and returns the final ledger.
func (d *daemon) stop() (a account) {
	d.t.Helper()
	d.Process.Stop(syscall.SIGTERM, patience)
	if status := d.Wait(patience); status != 0 {
		d.t.Errorf("the program ended with status %d", status)
	}
	d.t.Logf("the program said:\n%s", &d.Out)
	for line := range strings.Lines(d.Out.String()) {
		if !strings.Contains(line, "level=INFO") {
			d.t.Errorf("trouble: %s", line)
		}
	}
	if err := json.Unmarshal(process.ReadFile(d.t, d.ledger), &a); err != nil {
		d.t.Fatalf("read the ledger: %v", err)
	}
	return a
}

// exact sees that the ledger closes, that nothing was lost, and how it was captured.
func (a *account) exact(t *testing.T, mode string) {
	t.Helper()
	if !a.Quiet || len(a.Balance) < 8 || len(a.Interfaces) == 0 {
		t.Errorf("the final ledger: quiet %t, %d identities, %d interfaces", a.Quiet, len(a.Balance), len(a.Interfaces))
	}
	for _, i := range a.Balance {
		if i.Difference != 0 {
			t.Errorf("the ledger does not close: %s: %s: %d %s", i.Scope, i.Equation, i.Difference, i.Unit)
		}
	}
	for _, i := range a.Interfaces {
		if i.Mode != mode || i.Lost != 0 {
			t.Errorf("interface %s: captured by %s, want %s; %d frames lost", i.Name, i.Mode, mode, i.Lost)
		}
	}
}
