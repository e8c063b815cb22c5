//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	bpflink "github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"cacheflow/capture/link"
)

// A hooker attaches programs to devices of the calling thread's network namespace.
type hooker interface {
	// attach attaches a program at one side of a device, until it is closed.
	attach(ifindex uint32, p *ebpf.Program, egress bool) (io.Closer, error)
	// mode is what the ledger calls it.
	mode() string
}

// tcx attaches by links of the kernel's tcx (6.6), which end with the process. The
// program is the first at each hook: behind one that accepts it would never run. It
// lets every frame pass on to whoever is next; what that one drops has been counted.
type tcx struct{}

func (tcx) mode() string { return "tcx" }

func (tcx) attach(ifindex uint32, p *ebpf.Program, egress bool) (io.Closer, error) {
	o := bpflink.TCXOptions{Interface: int(ifindex), Program: p, Attach: ebpf.AttachTCXIngress, Anchor: bpflink.Head()}
	if egress {
		o.Attach = ebpf.AttachTCXEgress
	}
	l, err := bpflink.AttachTCX(o)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// isGone reports whether err says that the device is not there any more.
func isGone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrNotExist)
}

// probe finds out whether h works here, by a program that does nothing: it is attached
// to lo and detached at once.
func probe(h hooker) error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("memory limit: %w", err)
	}
	p, err := ebpf.NewProgram(nothing)
	if err != nil {
		return fmt.Errorf("load a program: %w", err)
	}
	defer p.Close()
	c, err := h.attach(link.Loopback, p, false)
	if err != nil {
		return fmt.Errorf("attach by %s: %w", h.mode(), err)
	}
	return c.Close()
}

// nothing lets every frame pass on to whoever is next.
var nothing = &ebpf.ProgramSpec{
	Name: "nothing", Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
	Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
}
