//go:build linux

package live_test

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
	"cacheflow/test/process"
)

// The interface table names what the records number, in the first datagram and before
// any flow: tshark reads the names, and the alias that an operator gave.
func TestInterfaceTable(t *testing.T) { inParallel(t, interfaceTable) }

func interfaceTable(t *testing.T, m binary.Mode) {
	l := newLab(t)
	l.meter.MustRun("ip", "link", "set", "in", "alias", "to the customer")
	for _, p := range []string{"netflow9", "ipfix"} {
		var r *judge.Recorder
		l.meter.Run(func() { r = judge.StartRecorder(t, netip.AddrPort{}) })
		d := start(t, m, l.meter, "-i", "in", "--protocol", p, "-e", r.Address.String())
		datagrams(t, l.sender, 1000, 10)
		d.arrived(10)
		d.stop()
		r.Stop()
		out := process.Run(t, exec.Command("tshark", "-r", r.WritePcap(), "-c", "1", "-d", "udp.port==2055,cflow", "-T", "fields",
			"-E", "separator=|", "-e", "cflow.if_name", "-e", "cflow.if_descr", "-e", "cflow.srcaddr"))
		names, rest, _ := strings.Cut(strings.TrimRight(string(out), "\n"), "|")
		aliases, flows, _ := strings.Cut(rest, "|")
		if names != "lo,in" || !strings.HasSuffix(aliases, "to the customer") || flows != "" {
			t.Errorf("%s: tshark reads %q in the first datagram", p, out)
		}
	}
}
