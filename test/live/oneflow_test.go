//go:build linux

package live_test

import (
	"errors"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"cacheflow/test/binary"
	"cacheflow/test/judge"
)

// meterFrames has frames metered by two workers, and returns the collector's
// records. Timeouts are the defaults, so that each flow has one record.
func meterFrames(t *testing.T, m binary.Mode, frames [][]byte) *judge.Nfcapd {
	t.Helper()
	l := newLab(t)
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{Buffer: 4 << 20})
	d := start(t, m, l.meter, "-i", "in", "--workers", "2", "-e", collector.Address.String())
	send(t, l.sender, inTurn(frames), len(frames), 50_000)
	d.metered(uint64(len(frames)))
	final := d.stop()
	final.exact(t)
	collector.Stop()
	delivered(t, collector, final)
	return collector
}

// GRE carries many flows: by its outer header, which is metered, it is one.
func TestGREIsOneFlow(t *testing.T) { binary.InBothModes(t, greIsOneFlow) }

func greIsOneFlow(t *testing.T, m binary.Mode) {
	const tunnels, inner = 8, 2000
	var frames [][]byte
	for i := range uint16(inner) {
		for k := range byte(tunnels) {
			in := packet{src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(i >> 8), 1}), 1000+i), dst: port("10.0.0.1", 53), protocol: layers.IPProtocolUDP}
			gre := serialize(&layers.GRE{Protocol: layers.EthernetTypeIPv4}, gopacket.Payload(in.frame()[14:14+28]))
			out := packet{src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, k}), 0), dst: port("198.51.100.1", 0), protocol: layers.IPProtocolGRE, payload: gre}
			frames = append(frames, out.frame())
		}
	}
	flows := meterFrames(t, m, frames).Flows("proto gre")
	if len(flows) != tunnels {
		t.Fatalf("%d records of %d tunnels", len(flows), tunnels)
	}
	for _, f := range flows {
		if f.Uint("packetDeltaCount") != inner || f.Uint("octetDeltaCount") != inner*(20+4+28) {
			t.Errorf("record %v, want %d packets", f, inner)
		}
	}
}

// Half of the datagrams of UDP flows are fragmented: the fragments, which carry no
// ports but for the first, belong to their flow.
func TestFragmentsAreOneFlow(t *testing.T) { binary.InBothModes(t, fragmentsAreOneFlow) }

func fragmentsAreOneFlow(t *testing.T, m binary.Mode) {
	const flows, datagrams = 64, 100
	var frames [][]byte
	perFlow, octets := 0, 0
	for i := range datagrams {
		for k := range flows {
			p := packet{src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(k)}), uint16(5000+k)), dst: port("198.51.100.1", 2000),
				protocol: layers.IPProtocolUDP, id: uint16(i*flows + k), payload: make([]byte, 1000)}
			mtu := 0
			if (i+k)%2 == 0 {
				mtu = 480 // three fragments
			}
			fs := p.frames(mtu)
			frames = append(frames, fs...)
			if k == 0 {
				perFlow += len(fs)
				octets += 20*len(fs) + 8 + 1000
			}
		}
	}
	if perFlow != 2*datagrams {
		t.Fatalf("%d packets in %d datagrams: the test is wrong", perFlow, datagrams)
	}
	got := meterFrames(t, m, frames).Flows()
	if len(got) != flows {
		t.Errorf("%d records of %d flows", len(got), flows)
	}
	for _, f := range got {
		if f.Uint("packetDeltaCount") != uint64(perFlow) || f.Uint("octetDeltaCount") != uint64(octets) || f.Uint("destinationTransportPort") != 2000 {
			t.Errorf("record %v, want %d packets of %d octets to port 2000", f, perFlow, octets)
		}
	}
}

// stayOnOneCPU keeps the test's goroutine where it is: a flow does not change its CPU,
// as behind a NIC that spreads flows.
func stayOnOneCPU(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	var set unix.CPUSet
	set.Set(0)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
}

// A thousand connections use one pair of ports, one after another, within 100 ms:
// each has a record in each direction, with its own packets.
func TestReusedPorts(t *testing.T) { binary.InBothModes(t, reusedPorts) }

func reusedPorts(t *testing.T, m binary.Mode) {
	const connections = 1000
	client, server := port("192.0.2.1", 40000), port("192.0.2.2", 80)
	side := func(src, dst netip.AddrPort, flags byte) []byte {
		return packet{src: src, dst: dst, protocol: layers.IPProtocolTCP, flags: flags}.frame()
	}
	connection := [][]byte{
		side(client, server, syn), side(server, client, syn|ack), side(client, server, ack),
		side(client, server, fin|ack), side(server, client, fin|ack), side(client, server, ack),
	}
	l := newLab(t)
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{})
	d := start(t, m, l.meter, "-i", "in", "--workers", "2", "-e", collector.Address.String(), "--protocol", "ipfix")
	stayOnOneCPU(t)
	begun := time.Now()
	send(t, l.sender, inTurn(connection), connections*len(connection), 0)
	took := time.Since(begun)
	d.metered(connections * uint64(len(connection)))
	final := d.stop()
	final.exact(t)
	collector.Stop()
	delivered(t, collector, final)
	for way, packets := range map[string]uint64{"src": 4, "dst": 2} {
		flows := collector.Flows(way + " port 40000")
		if len(flows) != connections {
			t.Errorf("%s port: %d records of %d connections", way, len(flows), connections)
		}
		for _, f := range flows {
			if f.Uint("packetDeltaCount") != packets {
				t.Errorf("a record of %s packets, want %d: %v", f["packetDeltaCount"], packets, f)
				break
			}
		}
	}
	if ended := term(final.Cache.Ended, "end of flow detected"); ended.Count < 2*connections-2 {
		t.Errorf("%+v", final.Cache.Ended)
	}
	t.Logf("%d connections within %v", connections, took)
}

// A flow whose packets come a little faster than the inactive timeout stays one
// flow, although the exporter stands still for three seconds in between: it is
// judged against what has been read, not the clock.
func TestSlowFlow(t *testing.T) { inParallel(t, slowFlow) }

func slowFlow(t *testing.T, m binary.Mode) {
	inactive, gap, packets := 1500*time.Millisecond, 1480*time.Millisecond, 12
	if long {
		inactive, gap, packets = 15*time.Second, 14800*time.Millisecond, 13
	}
	l := newLab(t)
	collector := nfcapd(t, l.meter, judge.NfcapdConfig{})
	d := start(t, m, l.meter, "-i", "in", "--workers", "2", "--inactive", inactive.String(), "-e", collector.Address.String())
	p := packet{src: port("192.0.2.1", 1), dst: port("192.0.2.2", 2), protocol: layers.IPProtocolUDP}
	frame := inTurn([][]byte{p.frame()})
	late := 0 // gaps that may have been longer than the timeout, as the kernel stamped them
	longest := inactive
	if m == binary.EBPF {
		longest -= tick
	}
	begun := time.Now()
	still := standStill(d, begun.Add(time.Duration(packets/2)*gap-time.Second), 3*time.Second)
	var before time.Time
	for i := range packets {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * gap)))
		send(t, l.sender, frame, 1, 0)
		if i > 0 && time.Since(before) >= longest {
			late++
		}
		before = begun.Add(time.Duration(i) * gap) // it was sent after this
	}
	if err := <-still; err != nil {
		t.Error(err)
	}
	d.metered(uint64(packets))
	final := d.stop()
	final.exact(t)
	collector.Stop()
	delivered(t, collector, final)
	if got := collector.Statistics().Records; got == 0 || got > uint64(1+late) {
		t.Errorf("%d records of one flow, %d packets were late: %v", got, late, collector.Flows())
	}
	t.Logf("%d packets %v apart, %d late", packets, gap, late)
}

// tick is how long one of the kernel's lasts at most (HZ is 100 or more): it stamps
// by them what it counts itself.
const tick = 10 * time.Millisecond

// standStill stops the daemon at an instant, by SIGSTOP, and has it go on after a
// time.
func standStill(d *daemon, at time.Time, last time.Duration) <-chan error {
	done := make(chan error, 1)
	go func() {
		time.Sleep(time.Until(at))
		err := syscall.Kill(d.Pid(), syscall.SIGSTOP)
		time.Sleep(last)
		done <- errors.Join(err, syscall.Kill(d.Pid(), syscall.SIGCONT))
	}()
	return done
}
