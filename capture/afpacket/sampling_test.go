//go:build linux

package afpacket

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// Each worker takes one of each ten frames that come to it, whatever they hold, and
// counts the others.
func TestSampling(t *testing.T) {
	const n, sent = 10, 2000
	ip := ether(unix.ETH_P_IP, ip4("10.0.0.1", "10.0.0.2", flow.ProtocolUDP, udp(1000, 2000, 100)))
	arp := ether(unix.ETH_P_ARP, make([]byte, 46))
	for _, random := range []bool{false, true} {
		a, b := pair(t)
		r := capturing(t, b, Config{Interfaces: []string{"in"}, Workers: 1, Sampling: capture.Sampling{Interval: n, Random: random}})
		sender := newSender(t, a, "out")
		for range sent / 2 {
			sender.send(ip, arp)
		}
		r.await(sent)
		r.finish()
		c := r.counters()["in"]
		if c.Observed != sent || c.SampledOut != sent-sent/n || c.Metered+c.NotMetered[capture.NonIP] != sent/n {
			t.Errorf("random %v: %+v", random, c)
		}
		if seen := c.NotMetered[capture.NonIP]; random == (seen == 0) {
			t.Errorf("random %v: %d of the frames taken, each second frame, are ARP", random, seen)
		}
		if len(r.all()) != int(c.Metered) {
			t.Errorf("random %v: %d packets of %d frames", random, len(r.all()), c.Metered)
		}
	}
}

// A deterministic sampler takes the 1st, the 11th, the 21st frame of the ring; one that
// leaves when arriving frames alone are metered is no frame of the sampler's.
func TestSamplerCounts(t *testing.T) {
	clock := &fakeClock{now: flow.Time(time.Hour), wall: 1.7e18}
	k := newFakeKernel(clock, 8, 4096)
	s := fakeSource(k, stampDecoder{})
	s.ingressOnly = true
	s.sampler = capture.NewSampler(capture.Sampling{Interval: 10}, [2]uint64{})
	for i := range uint32(35) {
		data := binary.BigEndian.AppendUint32(make([]byte, 0, 64), i)[:64]
		k.receive(data, 64, unix.PACKET_HOST)
		k.receive(data, 64, unix.PACKET_OUTGOING)
	}
	k.timer()
	batch := make([]flow.Packet, 64)
	var got []uint64
	for n := s.fill(batch); n > 0; n = s.fill(batch) {
		for _, p := range batch[:n] {
			got = append(got, p.Octets)
		}
	}
	c := s.tallies.of(3)
	if !slices.Equal(got, []uint64{0, 10, 20, 30}) || c.SampledOut != 31 || c.NotMetered[capture.Leaving] != 35 {
		t.Errorf("frames %v were taken, counters %+v", got, c)
	}
}
