//go:build linux

package kernel

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"cacheflow/bpf"
	"cacheflow/capture/link"
)

func TestDirectionOfAnInterface(t *testing.T) {
	c := &Capture{cfg: Config{Direction: IngressOnly, Directions: map[string]Direction{"w*": EgressOnly, "wan": Both}}}
	const in, out, all = bpf.ProgramDeviceFlagDEVICE_INGRESS, bpf.ProgramDeviceFlagDEVICE_EGRESS, bpf.ProgramDeviceFlagDEVICE_EGRESS_ALL
	for name, want := range map[string]bpf.ProgramDeviceFlag{"lan": in, "wlan0": all, "wan": in | all} {
		l := link.Link{Name: name, Type: unix.ARPHRD_ETHER}
		if got := c.flagsOf(&l, true); got != want {
			t.Errorf("%s: flags %#x, want %#x", name, got, want)
		}
	}
	c.cfg = Config{}
	for l, want := range map[link.Link]bpf.ProgramDeviceFlag{
		{Type: unix.ARPHRD_ETHER}: in | out,
		{Type: unix.ARPHRD_NONE}:  in | out | bpf.ProgramDeviceFlagDEVICE_RAW,
	} {
		if got := c.flagsOf(&l, true); got != want {
			t.Errorf("type %d: flags %#x, want %#x", l.Type, got, want)
		}
	}
}

// A device is found wherever it had to go, until the places for it are full.
func TestDeviceTable(t *testing.T) {
	p := &program{devices: make([]uint64, bpf.Devices)}
	at := func(n int) *device {
		return &device{Link: link.Link{Index: uint32(5 + n*bpf.Devices)}, place: uint16(n)}
	}
	for n := range bpf.DeviceProbes {
		if err := p.set(at(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.set(at(bpf.DeviceProbes)); err == nil {
		t.Error("there is room for more devices than places")
	}
	p.unset(at(3).Index)
	if err := p.set(at(bpf.DeviceProbes)); err != nil {
		t.Error(err)
	}
	again := at(6)
	again.flags = bpf.ProgramDeviceFlagDEVICE_INGRESS
	if err := p.set(again); err != nil {
		t.Error(err)
	}
	seen := map[uint32]int{}
	for i := range p.devices {
		d := p.deviceAt(i)
		if d.Ifindex != 0 {
			seen[d.Ifindex]++
		}
		if d.Ifindex == again.Index && d.Flags != uint16(again.flags) {
			t.Errorf("%+v was not changed", d)
		}
	}
	if len(seen) != bpf.DeviceProbes || seen[at(6).Index] != 1 || seen[at(3).Index] != 0 {
		t.Errorf("the table has %v", seen)
	}
}

func TestSize(t *testing.T) {
	for _, c := range []struct {
		cfg     Config
		cpus    int
		memory  int64
		entries int // of one CPU and generation; 0: an error
	}{
		{Config{}, 1, 24 << 30, 16384},
		{Config{}, 2, 1 << 30, 4096},
		{Config{}, 8, 8 << 30, 8192},
		{Config{}, 256, 64 << 30, 2048},
		{Config{}, 256, 1 << 30, 256},
		{Config{Entries: 1 << 20}, 2, 1 << 30, 1 << 20},  // what is asked for is given
		{Config{Entries: 1 << 20}, 16, 1 << 40, 1 << 20}, // but not all of the logs
		{Config{Ring: os.Getpagesize()}, 2, 24 << 30, 16384},
		{Config{Entries: 1000}, 2, 1 << 30, 0},
		{Config{Entries: 128}, 2, 1 << 30, 0},
		{Config{Ring: 5000}, 2, 1 << 30, 0},
		{Config{}, 2000, 1 << 40, 0},
	} {
		s, err := newSize(&c.cfg, c.cpus, c.memory)
		if (err == nil) != (c.entries > 0) || err == nil && s.entries() != c.entries {
			t.Errorf("%+v, %d CPUs, %d octets: %d entries, %v", c.cfg, c.cpus, c.memory, s.entries(), err)
		}
		if err != nil {
			continue
		}
		powers := s.ring&(s.ring-1) == 0 && s.places&(s.places-1) == 0
		if logs := s.places * logPlace; !powers || s.ring < os.Getpagesize() || storesInOrder && (logs < s.ring || c.cpus*logs > maxLogs) {
			t.Errorf("%+v, %d CPUs, %d octets: logs of %d, rings of %d", c.cfg, c.cpus, c.memory, logs, s.ring)
		}
		if err == nil && c.cfg.Entries == 0 && s.setShift > minShift && s.memory() > c.memory/memoryShare {
			t.Errorf("%+v, %d CPUs, %d octets: takes %d octets", c.cfg, c.cpus, c.memory, s.memory())
		}
	}
}
