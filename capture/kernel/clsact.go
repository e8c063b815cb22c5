//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// filterName begins the names of our filters: by it what an earlier process left
// behind is recognised.
const filterName = "cacheflow_"

// firstPriority is where a filter comes before all others. Those of one priority are
// of one kind and protocol; among them a new BPF filter is the first.
const firstPriority = 1

// clsact attaches by filters of a clsact qdisc, for kernels before tcx. A filter
// outlives its process: the program therefore does nothing once the heartbeat is
// old, and who starts removes what is there by name. So there can be one such
// capture in a network namespace.
type clsact struct{}

func (clsact) mode() string { return "clsact" }

func (clsact) attach(ifindex uint32, p *ebpf.Program, egress bool) (io.Closer, error) {
	made, err := addQdisc(ifindex)
	if err != nil {
		return nil, fmt.Errorf("add a clsact qdisc: %w", err)
	}
	f := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: int(ifindex), Parent: netlink.HANDLE_MIN_INGRESS, Protocol: unix.ETH_P_ALL, Priority: firstPriority,
		},
		Fd: p.FD(), Name: filterName + "ingress", DirectAction: true,
	}
	if egress {
		f.Parent, f.Name = netlink.HANDLE_MIN_EGRESS, filterName+"egress"
	}
	if err := removeFilters(int(ifindex), f.Parent); err != nil {
		return nil, err
	}
	if err := netlink.FilterAdd(f); err != nil {
		return nil, fmt.Errorf("add a filter of priority %d, which only BPF filters for all protocols may have: %w", firstPriority, err)
	}
	return &filter{int(ifindex), f.Parent, made}, nil
}

// filter is one that is attached. made says that the qdisc is ours.
type filter struct {
	ifindex int
	parent  uint32
	made    bool
}

// Close removes the filter, and the qdisc if it is ours and empty.
func (f *filter) Close() error {
	err := removeFilters(f.ifindex, f.parent)
	if err == nil && f.made {
		err = removeQdisc(f.ifindex)
	}
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	return err
}

func clsactQdisc(ifindex int) netlink.Qdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
}

// addQdisc reports whether there was none before.
func addQdisc(ifindex uint32) (made bool, err error) {
	err = netlink.QdiscAdd(clsactQdisc(int(ifindex)))
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	return err == nil, err
}

// removeQdisc removes the qdisc of an interface if no filter is left there.
func removeQdisc(ifindex int) error {
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := listFilters(ifindex, parent)
		if err != nil || len(filters) > 0 {
			return err
		}
	}
	return netlink.QdiscDel(clsactQdisc(ifindex))
}

func listFilters(ifindex int, parent uint32) ([]netlink.Filter, error) {
	return netlink.FilterList(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}, parent)
}

// removeFilters removes our filters from one side of an interface.
func removeFilters(ifindex int, parent uint32) error {
	filters, err := listFilters(ifindex, parent)
	if err != nil {
		return fmt.Errorf("list the filters: %w", err)
	}
	for _, f := range filters {
		b, ok := f.(*netlink.BpfFilter)
		if !ok || !strings.HasPrefix(b.Name, filterName) {
			continue
		}
		if err := netlink.FilterDel(b); err != nil {
			return fmt.Errorf("remove a filter: %w", err)
		}
	}
	return nil
}

// Detach removes what captures of earlier processes have left on the interfaces of
// the calling thread's network namespace, and returns the names of those where there
// was something.
func Detach() (names []string, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	for _, l := range links {
		found, err := detach(l.Attrs().Index)
		if err != nil {
			return names, fmt.Errorf("detach from %s: %w", l.Attrs().Name, err)
		}
		if found {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

// detach removes our filters from both sides of an interface, and the qdisc where
// nothing else is in it: who was killed cannot tell whether it made it.
func detach(ifindex int) (found bool, err error) {
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := listFilters(ifindex, parent)
		if err != nil {
			return found, err
		}
		for _, f := range filters {
			b, ok := f.(*netlink.BpfFilter)
			found = found || ok && strings.HasPrefix(b.Name, filterName)
		}
		if err := removeFilters(ifindex, parent); err != nil {
			return found, err
		}
	}
	if !found {
		return false, nil
	}
	return true, removeQdisc(ifindex)
}
