//go:build linux

package live_test

import (
	"testing"

	"cacheflow/test/judge"
	"cacheflow/test/netns"
	"cacheflow/test/sender"
)

// lab is the simplest topology: a host that sends, and one that is metered at
// its interface "in" and has the collector.
type lab struct {
	host, meter *netns.NS
	sender      *sender.Sender // at the other end of "in"
}

// newLab makes a lab whose veth pair is out–in, with offloads off.
func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{host: netns.New(t), meter: netns.New(t)}
	netns.Veth(t, netns.End{NS: l.host, Name: "out"}, netns.End{NS: l.meter, Name: "in"})
	l.sender = openSender(t, l.host, "out")
	return l
}

func openSender(t testing.TB, ns *netns.NS, name string) (s *sender.Sender) {
	t.Helper()
	var err error
	ns.Run(func() { s, err = sender.Open(name) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// send sends frames and fails the test if it cannot.
func send(t testing.TB, s *sender.Sender, next func([]byte) []byte, n, rate int) {
	t.Helper()
	if err := s.Send(next, n, rate); err != nil {
		t.Fatal(err)
	}
}

// nfcapd starts a collector in ns.
func nfcapd(t testing.TB, ns *netns.NS, c judge.NfcapdConfig) *judge.Nfcapd {
	t.Helper()
	c.Command = ns.Command
	return judge.StartNfcapd(t, c)
}

// protocols are the export protocols by their names in the command line.
var protocols = []string{"netflow5", "netflow9", "ipfix"}
