//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cilium/ebpf"
	bpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// A hooker attaches programs to devices of the calling thread's network namespace.
type hooker interface {
	// attach attaches a program at one side of a device, until it is closed.
	attach(ifindex uint32, p *ebpf.Program, egress bool) (io.Closer, error)
	// mode is what the ledger calls it.
	mode() string
}

// tcx attaches by links of the kernel's tcx (6.6), which end with the process. At
// ingress the program is the first, at egress the last: it sees what AF_PACKET
// sees, before filters drop what arrives and after they dropped what leaves. It
// lets every frame pass on to whoever is next.
type tcx struct{}

func (tcx) mode() string { return "tcx" }

func (tcx) attach(ifindex uint32, p *ebpf.Program, egress bool) (io.Closer, error) {
	o := bpflink.TCXOptions{Interface: int(ifindex), Program: p, Attach: ebpf.AttachTCXIngress, Anchor: bpflink.Head()}
	if egress {
		o.Attach, o.Anchor = ebpf.AttachTCXEgress, bpflink.Tail()
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

// probe finds out whether h works here, by attaching to lo and detaching at once.
// The program does nothing there: lo is no device that it knows.
func probe(h hooker, p *program) error {
	c, err := h.attach(1, p.ingress, false)
	if err != nil {
		return fmt.Errorf("attach by %s: %w", h.mode(), err)
	}
	return c.Close()
}
