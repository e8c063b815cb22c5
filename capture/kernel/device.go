//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"

	"cacheflow/bpf"
	"cacheflow/capture/link"
)

// device is an interface that has a hook.
type device struct {
	link.Link
	flags  bpf.ProgramDeviceFlag
	place  uint16 // of its counters, once it has been metered
	placed bool
	hooks  []io.Closer
	hooked [2]bool // at ingress, at egress
}

const metered = bpf.ProgramDeviceFlagDEVICE_INGRESS | bpf.ProgramDeviceFlagDEVICE_EGRESS | bpf.ProgramDeviceFlagDEVICE_EGRESS_ALL

// isMetered reports whether the device has counters.
func (d *device) isMetered() bool { return d.flags&metered != 0 }

// flagsOf says what is done with the frames of an interface.
func (c *Capture) flagsOf(l *link.Link, selected bool) (f bpf.ProgramDeviceFlag) {
	if !l.HasHeader() {
		f |= bpf.ProgramDeviceFlagDEVICE_RAW
	}
	if !selected {
		return f
	}
	switch c.cfg.direction(l.Name) {
	case Auto:
		f |= bpf.ProgramDeviceFlagDEVICE_INGRESS | bpf.ProgramDeviceFlagDEVICE_EGRESS
	case IngressOnly:
		f |= bpf.ProgramDeviceFlagDEVICE_INGRESS
	case EgressOnly:
		f |= bpf.ProgramDeviceFlagDEVICE_EGRESS_ALL
	case Both:
		f |= bpf.ProgramDeviceFlagDEVICE_INGRESS | bpf.ProgramDeviceFlagDEVICE_EGRESS_ALL
	}
	return f
}

// hook attaches the programs that the device needs: at ingress where it is metered
// there, at egress always, to note where forwarded packets leave; lo has the
// ingress hook only, for it shows each packet twice.
func (c *Capture) hook(d *device) error {
	if d.flags&bpf.ProgramDeviceFlagDEVICE_INGRESS != 0 && !d.hooked[0] {
		h, err := c.hooker.attach(d.Index, c.program.ingress, false)
		if err != nil {
			return err
		}
		d.hooks, d.hooked[0] = append(d.hooks, h), true
	}
	if d.Index != link.Loopback && !d.hooked[1] {
		h, err := c.hooker.attach(d.Index, c.program.egress, true)
		if err != nil {
			return err
		}
		d.hooks, d.hooked[1] = append(d.hooks, h), true
	}
	return nil
}

// unhook detaches the device, the first hook last: with clsact it owns the qdisc. A run
// may still be under way; the next flip waits for it.
func (d *device) unhook() error {
	var errs []error
	for _, h := range slices.Backward(d.hooks) {
		if err := h.Close(); err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("detach from %s: %w", d.Name, err))
		}
	}
	d.hooks, d.hooked = nil, [2]bool{}
	return errors.Join(errs...)
}

// gone marks a place in the table of devices that was in use: the search goes on
// behind it.
const gone = math.MaxUint32

// set tells the program of a device, in one store.
func (p *program) set(d *device) error {
	free := -1
	for i := range bpf.DeviceProbes {
		at := (int(d.Index) + i) % bpf.Devices
		known := p.deviceAt(at)
		if known.Ifindex == d.Index {
			free = at
			break
		}
		if free < 0 && (known.Ifindex == 0 || known.Ifindex == gone) {
			free = at
		}
		if known.Ifindex == 0 {
			break
		}
	}
	if free < 0 {
		return fmt.Errorf("no room for %s among the devices that the program knows", d.Name)
	}
	v := bpf.ProgramDevice{Ifindex: d.Index, Flags: uint16(d.flags), Interface: d.place}
	atomic.StoreUint64(&p.devices[free], *(*uint64)(unsafe.Pointer(&v)))
	return nil
}

// unset has the program forget a device.
func (p *program) unset(index uint32) {
	for i := range bpf.DeviceProbes {
		at := (int(index) + i) % bpf.Devices
		if p.deviceAt(at).Ifindex == index {
			v := bpf.ProgramDevice{Ifindex: gone}
			atomic.StoreUint64(&p.devices[at], *(*uint64)(unsafe.Pointer(&v)))
		}
	}
}

func (p *program) deviceAt(at int) bpf.ProgramDevice {
	v := atomic.LoadUint64(&p.devices[at])
	return *(*bpf.ProgramDevice)(unsafe.Pointer(&v))
}
