package binary

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cacheflow/test/process"
)

// Daemon is a running `cacheflow run`.
type Daemon struct {
	*process.Process
	// Socket is its control socket.
	Socket string

	t       testing.TB
	command process.Command
	path    string
	ledger  string
}

// Run starts `cacheflow run` with further arguments where command says, and
// returns when it answers on its control socket.
func Run(t testing.TB, m Mode, command process.Command, args ...string) *Daemon {
	t.Helper()
	dir := t.TempDir()
	d := &Daemon{Socket: filepath.Join(dir, "control"), t: t, command: command, path: Path(t), ledger: filepath.Join(dir, "ledger.json")}
	args = append([]string{"run", "--capture", string(m), "--socket", d.Socket, "--ledger", d.ledger}, args...)
	d.Process = process.Start(t, command.Make(d.path, args...), func(*process.Process) bool {
		return exec.Command(d.path, "show", "ledger", "--json", "--socket", d.Socket).Run() == nil
	})
	return d
}

// Show returns what `cacheflow show` prints, e.g. Show("ip cache flow", "--json").
func (d *Daemon) Show(what string, flags ...string) string {
	d.t.Helper()
	return d.call("show", what, flags)
}

// Clear runs `cacheflow clear`, e.g. Clear("cache").
func (d *Daemon) Clear(what string) {
	d.t.Helper()
	d.call("clear", what, nil)
}

// Reload runs `cacheflow reload` and returns what it prints, on either output, and
// whether it succeeded.
func (d *Daemon) Reload() (said string, ok bool) {
	d.t.Helper()
	out, err := exec.Command(d.path, "reload", "--socket", d.Socket).CombinedOutput()
	return string(out), err == nil
}

func (d *Daemon) call(verb, what string, flags []string) string {
	d.t.Helper()
	args := append(append([]string{verb}, strings.Fields(what)...), "--socket", d.Socket)
	return string(process.Run(d.t, exec.Command(d.path, append(args, flags...)...)))
}

// Stop sends SIGTERM, waits for the end, which must be a success, and returns
// the final ledger as JSON.
func (d *Daemon) Stop(patience time.Duration) json.RawMessage {
	d.t.Helper()
	d.Process.Stop(syscall.SIGTERM, patience)
	if status := d.Wait(patience); status != 0 {
		d.t.Errorf("cacheflow run ended with status %d: %s", status, &d.Out)
	}
	return process.ReadFile(d.t, d.ledger)
}
