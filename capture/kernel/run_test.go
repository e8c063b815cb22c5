//go:build linux

package kernel

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// lab is a loaded program that runs on frames of the test, by BPF_PROG_RUN, as if
// they had come in by lo.
type lab struct {
	*program
	source *Source
}

const loopback = 1

// newLab loads the program, with lo as a device. It skips the test where the rights
// are missing, unless it runs in CI.
func newLab(t testing.TB, cfg Config, flags bpf.ProgramDeviceFlag) *lab {
	t.Helper()
	l := loadLab(t, cfg, 0)
	if cfg.Decoder == nil {
		cfg.Decoder = capture.NewDecoder(capture.DecoderOptions{Seed: 1})
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSource(l.program, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.source = s
	t.Cleanup(func() { s.Close() })
	s.tallies.enter(0, loopback, "lo", "test")
	l.device(flags)
	return l
}

// loadLab loads the program, without what drains it.
func loadLab(t testing.TB, cfg Config, mapType ebpf.MapType) *lab {
	t.Helper()
	return loadWith(t, cfg, loadOptions{mapType: mapType})
}

// loadWith is loadLab with options of which it fills in what the configuration says.
func loadWith(t testing.TB, cfg Config, o loadOptions) *lab {
	t.Helper()
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	size, err := newSize(&cfg, cpus, 64<<30)
	if err != nil {
		t.Fatal(err)
	}
	o.size, o.simple, o.sampling, o.wakeAt = size, cfg.Simple, cfg.Sampling, size.wakeAfter(cfg.MaxFlows)
	p, err := load(o)
	if errors.Is(err, os.ErrPermission) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return &lab{program: p}
}

// device says what is done with the frames.
func (l *lab) device(flags bpf.ProgramDeviceFlag) {
	d := &device{flags: flags}
	d.Index, d.Name = loopback, "lo"
	if err := l.set(d); err != nil {
		panic(err) // an empty table has room
	}
}

// skBuff is as much of struct __sk_buff as BPF_PROG_RUN takes (linux/bpf.h).
type skBuff struct {
	Len, PktType, Mark, QueueMapping, Protocol, VlanPresent, VlanTci, VlanProto, Priority uint32
	IngressIfindex, Ifindex, TcIndex                                                      uint32
	Cb                                                                                    [5]uint32
	Hash, TcClassid, Data, DataEnd, NapiID                                                uint32
	Family, RemoteIP4, LocalIP4                                                           uint32
	RemoteIP6, LocalIP6                                                                   [4]uint32
	RemotePort, LocalPort, DataMeta                                                       uint32
	FlowKeys                                                                              uint64
	Tstamp                                                                                uint64
	WireLen, GsoSegs                                                                      uint32
	Sk                                                                                    uint64
	GsoSize                                                                               uint32
	TstampType                                                                            uint32
	Hwtstamp                                                                              uint64
}

// run has a program see a frame, and reports whether BPF_PROG_RUN can express it:
// not if it is cut off inside the link or the IP header.
func run(t testing.TB, p *ebpf.Program, frame []byte, skb skBuff) bool {
	t.Helper()
	skb.Ifindex = loopback
	got, err := p.Run(&ebpf.RunOptions{Data: frame, Context: skb})
	if errors.Is(err, unix.EINVAL) && len(frame) < 14+40 {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if int32(got) != -1 {
		t.Fatalf("the program returned %d: other programs would not be asked", int32(got))
	}
	return true
}

// ingress has a frame come in.
func (l *lab) ingress(t testing.TB, frame []byte, skb skBuff) bool {
	t.Helper()
	return run(t, l.program.ingress, frame, skb)
}

// drain closes the generation and returns all that it hands over.
func (l *lab) drain(t testing.TB) (all []flow.Packet) {
	t.Helper()
	l.source.stopping = true
	defer func() { l.source.stopping = false }()
	batch := make([]flow.Packet, 64)
	for {
		n, _, err := l.source.Read(batch)
		all = append(all, batch[:n]...)
		if err != nil {
			return all
		}
	}
}

func octets(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tcp4 is an Ethernet frame with IPv4 and a TCP segment.
const tcp4 = "020000000002 020000000001 0800" +
	"45000028 00070000 4006 0000 0a000001 c0000202" +
	"01bbc350 00000001 00000000 5012 03e8 0000 0000" + "000000000000"

func TestRun(t *testing.T) {
	l := newLab(t, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS)
	for range 3 {
		l.ingress(t, octets(t, tcp4), skBuff{})
	}
	all := l.drain(t)
	if len(all) != 1 || all[0].Packets != 3 || all[0].Octets != 120 || all[0].SrcPort != 443 || all[0].TCPFlags != 0x12 {
		t.Errorf("got %+v", all)
	}
	t.Logf("%+v", l.source.AppendCounters(nil))
}
