//go:build linux

package kernels_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const emulator = "qemu-system-x86_64"

// machine is a virtual machine without disk or network: the guest is its init.
type machine struct {
	image          image
	guest, program string
	modes          string        // as kernel has them
	limit          time.Duration // of all that it does
}

// run starts the machine and waits until it is off. It fails the test unless the
// guest's tests passed and the kernel had nothing to complain about.
func (m machine) run(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	root, console := filepath.Join(dir, "root"), filepath.Join(dir, "console")
	if err := m.writeRoot(root); err != nil {
		t.Fatalf("make the root file system: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), m.limit)
	defer cancel()
	// Two processors, so that something can go wrong between them. They have RDRAND, so
	// that the kernel's random numbers are ready before the second one runs: what it
	// patches then in its own code (crng_set_ready in drivers/char/random.c), the emulator
	// has been seen to execute half patched on the other. The kernel speaks to the first
	// serial line, the guest to the second.
	cmd := exec.CommandContext(ctx, emulator, "-accel", "tcg", "-cpu", "qemu64,+rdrand", "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", m.image.kernel(), "-initrd", root, "-append", "console=ttyS0 loglevel=5 panic=-1 -- "+m.arguments(),
		"-serial", "file:"+console, "-serial", "stdio")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	out := strings.ReplaceAll(string(b), "\r\n", "\n")
	t.Log("\n" + out)
	if err != nil {
		t.Errorf("%s: %v: %s", emulator, errors.Join(err, ctx.Err()), &stderr)
	}
	said, _ := os.ReadFile(console) // empty if it said nothing
	if !strings.HasSuffix(out, "\nPASS\n") || complaint.Match(said) {
		t.Errorf("the kernel said:\n%s", said)
	}
}

// arguments returns those of the guest. Where it hangs it has time left to say so.
func (m machine) arguments() string {
	return fmt.Sprintf("-test.v -test.timeout=%v -modes=%s", max(m.limit-30*time.Second, time.Second).Round(time.Second), m.modes)
}

// complaint begins what a kernel says of a defect in itself.
var complaint = regexp.MustCompile(`BUG:|WARNING:|Oops:`)

// writeRoot writes the root file system that the machine starts with.
func (m machine) writeRoot(name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	modules, err := m.image.modules()
	if err != nil {
		return err
	}
	c := &cpio{w: f}
	err = errors.Join(
		c.addFile("init", m.guest), c.addFile("cacheflow", m.program), c.add("nsenter", symlink, []byte("init")),
		c.add("tmp", directory, nil), c.add("modules", directory, nil))
	for i, module := range modules {
		// Numbers, so that they sort in the order of loading.
		err = errors.Join(err, c.addFile(fmt.Sprintf("modules/%02d-%s", i, filepath.Base(module)), module))
	}
	return errors.Join(err, c.end())
}
