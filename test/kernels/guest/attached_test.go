//go:build linux

package guest_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"cacheflow/bpf"
)

// filters returns where there is a filter in the link's namespace, e.g. "b ingress",
// sorted; a place that has two is there twice.
func (l link) filters(t *testing.T) (found []string) {
	t.Helper()
	links, err := l.ns.Links().LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range links {
		// TC_H_MIN_INGRESS and TC_H_MIN_EGRESS of linux/pkt_sched.h, below TC_H_CLSACT
		for side, parent := range map[string]uint32{"ingress": 0xffff_fff2, "egress": 0xffff_fff3} {
			filters, err := l.ns.Links().FilterList(device, parent)
			if err != nil {
				t.Fatalf("list the filters of %s: %v", device.Attrs().Name, err)
			}
			for range filters {
				found = append(found, device.Attrs().Name+" "+side)
			}
		}
	}
	slices.Sort(found)
	return found
}

// qdiscs returns the interfaces in the link's namespace that have a clsact qdisc.
func (l link) qdiscs(t *testing.T) (names []string) {
	t.Helper()
	links, err := l.ns.Links().LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, device := range links {
		qdiscs, err := l.ns.Links().QdiscList(device)
		if err != nil {
			t.Fatalf("list the qdiscs of %s: %v", device.Attrs().Name, err)
		}
		for _, q := range qdiscs {
			if q.Type() == "clsact" {
				names = append(names, device.Attrs().Name)
			}
		}
	}
	return names
}

// programs returns our programs that are loaded in the kernel.
func programs(t *testing.T) (found []*ebpf.ProgramInfo) {
	t.Helper()
	for id := ebpf.ProgramID(0); ; {
		var err error
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, os.ErrNotExist) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just gone
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := p.Info()
		p.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(info.Name, "cacheflow_") {
			found = append(found, info)
		}
	}
}

// counted returns how many frames the loaded programs have counted, by their own
// counters.
func counted(t *testing.T) (frames uint64) {
	t.Helper()
	seen := map[ebpf.MapID]bool{}
	for _, p := range programs(t) {
		ids, _ := p.MapIDs()
		for _, id := range ids {
			if !seen[id] {
				frames += countedIn(t, id)
			}
			seen[id] = true
		}
	}
	return frames
}

// countedIn returns the sum in a map if it is that of the counters.
func countedIn(t *testing.T, id ebpf.MapID) (frames uint64) {
	t.Helper()
	m, err := ebpf.NewMapFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return 0 // it has just gone
	}
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != bpf.ProgramMapCounts {
		return 0
	}
	var key uint32
	var c bpf.ProgramCounters
	all := m.Iterate()
	for all.Next(&key, &c) {
		frames += c.Observed
	}
	if err := all.Err(); err != nil {
		t.Fatal(err)
	}
	return frames
}
