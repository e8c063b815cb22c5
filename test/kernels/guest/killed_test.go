//go:build linux

package guest_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"cacheflow/test/process"
)

// heartbeatLimit is how long a program attached by clsact goes on counting for
// nobody.
const heartbeatLimit = 10 * time.Second

// What is left of a process that was killed stops counting, the next one takes its
// place, and leaves nothing when it ends.
func TestKilled(t *testing.T) {
	for _, w := range ways("auto", "clsact") {
		t.Run(w.capture, func(t *testing.T) { killed(t, newVeth(t), w) })
	}
}

func killed(t *testing.T, l link, w way) {
	collector := record(t, l)
	d := start(t, l, w.capture, collector.Address)
	loaded := len(programs(t))
	if loaded == 0 {
		t.Error("no program is loaded")
	}
	d.Stop(os.Kill, patience)
	var filters []string // of a process that counts
	if w.mode == "clsact" {
		filters = []string{"a egress", "b egress", "b ingress"}
		stopsCounting(t, l, func() { detaches(t, newVeth(t), w) })
	} else {
		await(t, "nothing is attached", func() bool { return len(programs(t)) == 0 })
	}
	hasFilters(t, l, filters)
	again := strings.Replace(w.capture, "auto", "ebpf", 1) // which is the same, or no start
	d = start(t, l, again, collector.Address)
	hasFilters(t, l, filters)
	await(t, "no program but the new ones is loaded", func() bool { return len(programs(t)) == loaded })
	everyPacket(t, l, d, collector, w.mode)
	await(t, "no program is loaded", func() bool { return len(programs(t)) == 0 })
}

// stopsCounting sees that the program goes on counting when nobody is there, and
// later does not; meanwhile does something.
func stopsCounting(t *testing.T, l link, meanwhile func()) {
	t.Helper()
	ps, _ := load()
	ps = ps[:100]
	want := counted(t) + uint64(len(ps))
	if err := l.send(ps); err != nil {
		t.Fatal(err)
	}
	await(t, "the frames are counted", func() bool { return counted(t) == want })
	later := time.Now().Add(heartbeatLimit + 2*time.Second)
	meanwhile()
	time.Sleep(time.Until(later))
	if err := l.send(ps); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // for what may still happen
	if got := counted(t); got != want {
		t.Errorf("%d frames are counted although nobody is there", got-want)
	}
}

// detaches kills a program and has another remove what it leaves.
func detaches(t *testing.T, l link, w way) {
	t.Helper()
	start(t, l, w.capture, record(t, l).Address).Stop(os.Kill, patience)
	said := slices.Sorted(strings.Lines(string(process.Run(t, l.ns.Command(program, "detach")))))
	if want := []string{"detached from a\n", "detached from b\n"}; !slices.Equal(said, want) {
		t.Errorf("detach printed %q, want %q", said, want)
	}
	hasFilters(t, l, nil)
}

func hasFilters(t *testing.T, l link, want []string) {
	t.Helper()
	if got := l.filters(t); !slices.Equal(got, want) {
		t.Errorf("filters %q, want %q", got, want)
	}
}

// await waits a little for what the kernel does later.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(heartbeatLimit / 2); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("not so: %s", what)
			return
		}
	}
}
