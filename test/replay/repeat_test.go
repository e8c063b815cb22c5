//go:build linux

package replay

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cacheflow/test/judge"
	"cacheflow/test/netns"
)

// fingerprint replays file to a collector and returns the hash of all datagrams
// in their order, with how many there were.
func fingerprint(t *testing.T, r *judge.Recorder, command func(string, ...string) *exec.Cmd, file, protocol string, env []string, seed int) string {
	t.Helper()
	before := len(r.Datagrams())
	conf := filepath.Join(t.TempDir(), "conf.yaml")
	exporter := fmt.Sprintf("flow-exporter: [{destination: '%s', protocol: %s, export-rate: 50000}]\n", r.Address, protocol)
	if err := os.WriteFile(conf, []byte(exporter), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, command(program, "replay", "--ledger", os.DevNull, "--entries", "4096", "--active", "60s",
		"--hash-seed", fmt.Sprint(seed), "-c", conf, file), env)
	r.Settle(100 * time.Millisecond)
	h := sha256.New()
	datagrams := r.Datagrams()[before:]
	for _, d := range datagrams {
		fmt.Fprintf(h, "%d:", len(d.Data))
		h.Write(d.Data)
	}
	return fmt.Sprintf("%d datagrams, %x", len(datagrams), h.Sum(nil))
}

// The same file gives the same octets: with two seeds of the hash, on one
// processor and on two, with routes and without.
func TestSameOctets(t *testing.T) {
	file, _ := capture(t, lifelike(500_000, 100_000))
	ns := netns.New(t) // its loopback is up; it has no route
	const port = 20550
	local := judge.StartRecorder(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
	var inside *judge.Recorder
	ns.Run(func() { inside = judge.StartRecorder(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)) })
	for _, protocol := range []string{"netflow5", "netflow9", "ipfix"} {
		t.Run(protocol, func(t *testing.T) {
			first := fingerprint(t, local, exec.Command, file, protocol, nil, 1)
			t.Log(first)
			for name, again := range map[string]string{
				"another seed":   fingerprint(t, local, exec.Command, file, protocol, nil, 2),
				"one processor":  fingerprint(t, local, exec.Command, file, protocol, []string{"GOMAXPROCS=1"}, 1),
				"two processors": fingerprint(t, local, exec.Command, file, protocol, []string{"GOMAXPROCS=2"}, 1),
				"no routes":      fingerprint(t, inside, ns.Command, file, protocol, nil, 1),
			} {
				if again != first {
					t.Errorf("%s: %s instead of %s", name, again, first)
				}
			}
		})
	}
}
