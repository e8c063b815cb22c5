//go:build linux

package afpacket

import (
	"testing"
	"time"

	"cacheflow/test/netns"
)

// Interfaces are added and left out while packets flow, by names and patterns: not a
// packet of the one that stays is lost or metered twice, and what was counted on the
// others stays.
func TestSelect(t *testing.T) {
	a, b := pair(t)
	netns.Veth(t, netns.End{NS: a, Name: "out2"}, netns.End{NS: b, Name: "in2"})
	r := capturing(t, b, Config{Interfaces: []string{"in"}, Direction: IngressOnly, Workers: 2, Changing: true})
	selections := [][]string{{"in", "in2"}, {"i*"}, {"in2", "in"}, {"in"}}
	const rounds, each = 40, 50
	stays, comes := newSender(t, a, "out"), newSender(t, a, "out2")
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				sent <- n
				return
			default:
				stays.send(probe)
				time.Sleep(50 * time.Microsecond)
			}
		}
	}()
	var err error
	for i := range rounds {
		chosen := selections[i%len(selections)]
		b.Run(func() { err = r.capture.Select(chosen) })
		if err != nil {
			t.Fatalf("%v: %v", chosen, err)
		}
		comes.send(times(each, probe)...)
		time.Sleep(10 * time.Millisecond)
	}
	close(stop)
	want := uint64(<-sent)
	r.await(int(want) + rounds*each*3/4)
	r.stop()
	r.finish()
	got := r.counters()
	if c := got["in"]; c.Metered != want || c.Observed != want {
		t.Errorf("%d frames sent: %+v", want, c)
	}
	if c := got["in2"]; c.Metered != rounds*each*3/4 || c.Lost != 0 {
		t.Errorf("%d frames sent while it was selected: %+v", rounds*each*3/4, c)
	}
}

// Without a name or pattern the choice follows addresses and routes, which a
// selection by name did not.
func TestSelectNone(t *testing.T) {
	_, b := pair(t)
	r := capturing(t, b, Config{Interfaces: []string{"nosuch"}, Workers: 1, Changing: true})
	var err error
	b.Run(func() { err = r.capture.Select(nil) })
	if err != nil {
		t.Fatal(err)
	}
	r.awaitInterfaces()
	b.MustRun("ip", "addr", "add", "192.0.2.1/24", "dev", "in")
	b.MustRun("ip", "route", "add", "default", "via", "192.0.2.2")
	r.awaitInterfaces("in")
	b.Run(func() { err = r.capture.Select([]string{"[x"}) })
	if err == nil {
		t.Error("a malformed pattern is taken")
	}
	r.awaitInterfaces("in")
}
