package judge

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// drained waits until the collector has read all that its socket holds: it
// forgets the rest when it is stopped. The receive queue is that of
// /proc/PID/net/udp (proc_net(5)), in the collector's own namespace.
func drained(pid int, port uint16) {
	deadline := time.Now().Add(patience)
	for empty := 0; empty < 3 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if queued(pid, port) {
			empty = 0
		} else {
			empty++
		}
	}
}

// queued reports whether any UDP socket of the port has something to read.
func queued(pid int, port uint16) bool {
	for _, table := range []string{"udp", "udp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			// sl local_address rem_address st tx_queue:rx_queue …
			f := strings.Fields(line)
			if len(f) > 4 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && !strings.HasSuffix(f[4], ":00000000") {
				return true
			}
		}
	}
	return false
}
