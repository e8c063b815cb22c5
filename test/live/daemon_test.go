//go:build linux

package live_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"cacheflow/test/binary"
	"cacheflow/test/netns"
)

// daemon is a running cacheflow that is asked for its ledger.
type daemon struct {
	*binary.Daemon
	t    testing.TB
	mode binary.Mode
}

// start runs cacheflow in ns, which captures in the mode m, and returns once it
// meters. It ends with the test.
func start(t testing.TB, m binary.Mode, ns *netns.NS, args ...string) *daemon {
	t.Helper()
	return &daemon{binary.Run(t, m, ns.Command, args...), t, m}
}

// stop ends the daemon by SIGTERM and returns its final ledger. It must end with
// exit status 0.
func (d *daemon) stop() *ledger {
	d.t.Helper()
	l := parseLedger(d.t, d.Stop(90*time.Second))
	l.ended(d.t, d.mode)
	return l
}

// ledger asks for the present ledger.
func (d *daemon) ledger() *ledger {
	d.t.Helper()
	return parseLedger(d.t, []byte(d.Show("ledger", "--json")))
}

// await asks for the ledger until it is as wanted, and returns it.
func (d *daemon) await(what string, limit time.Duration, is func(*ledger) bool) *ledger {
	d.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		l := d.ledger()
		if is(l) {
			return l
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: not within %v: %+v\n%s", what, limit, l, &d.Out)
		}
	}
}

// metered waits until so many packets have been metered.
func (d *daemon) metered(packets uint64) *ledger {
	d.t.Helper()
	return d.await(fmt.Sprintf("%d packets metered", packets), 30*time.Second, func(l *ledger) bool { return l.total().Packets >= packets })
}

// arrived waits until so many frames have been metered or lost.
func (d *daemon) arrived(frames uint64) *ledger {
	d.t.Helper()
	return d.await(fmt.Sprintf("%d frames", frames), 30*time.Second, func(l *ledger) bool {
		i := l.total()
		return i.Observed >= frames && i.InRing == 0 && i.Metered+i.Lost >= frames
	})
}

// closes waits for an instant at which nothing moves between two parts of the
// ledger: there every identity holds.
func (d *daemon) closes() *ledger {
	d.t.Helper()
	return d.await("the ledger closes", 10*time.Second, (*ledger).isClosed)
}

// warnings returns the lines on stderr that tell of trouble.
func (d *daemon) warnings() (lines []string) {
	for line := range strings.Lines(d.Out.String()) {
		if !strings.Contains(line, "level=INFO") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// memory returns a value of /proc/PID/status (proc_pid_status(5)) in KiB.
func (d *daemon) memory(name string) int {
	d.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid()))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	d.t.Fatalf("no %s in the status of the process", name)
	return 0
}
