//go:build linux

package kernel

import (
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"cacheflow/bpf"
	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// corpus returns the complete Ethernet frames of the capture's corpus, by the file.
func corpus(t testing.TB) map[string][][]byte {
	t.Helper()
	files, err := filepath.Glob("../testdata/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus", err)
	}
	frames := map[string][][]byte{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := pcapgo.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for r.LinkType() == layers.LinkTypeEthernet {
			data, info, err := r.ReadPacketData()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if info.Length == len(data) {
				frames[filepath.Base(name)] = append(frames[filepath.Base(name)], data)
			}
		}
	}
	return frames
}

// inOrder returns all frames, in the same order each time: what is drawn from them by a seed is
// then the same too.
func inOrder(corpus map[string][][]byte) (all [][]byte) {
	for _, name := range slices.Sorted(maps.Keys(corpus)) {
		all = append(all, corpus[name]...)
	}
	return all
}

// judge compares what the program says of frames with what the decoder says. All
// runs are nested ones, so that each frame makes a record of its own at once.
type judge struct {
	*lab
	t    testing.TB
	want *capture.Decoder // sees every frame
	got  *capture.Decoder // sees what the program hands over
	// Frames by the way they went: read by the program itself, handed over, and not
	// expressed by BPF_PROG_RUN.
	read, handed, refused int
}

func newJudge(t testing.TB) *judge {
	j := &judge{
		lab: newLab(t, Config{}, bpf.ProgramDeviceFlagDEVICE_INGRESS), t: t,
		want: capture.NewDecoder(capture.DecoderOptions{Seed: 1}), got: capture.NewDecoder(capture.DecoderOptions{Seed: 2}),
	}
	for i := range j.states {
		j.states[i].Busy = 1
	}
	return j
}

// frame has both look at a frame, and reports whether they agree.
func (j *judge) frame(data []byte, gsoSize uint16) bool {
	j.t.Helper()
	if !j.ingress(j.t, data, skBuff{GsoSize: uint32(gsoSize)}) {
		j.refused++
		return true
	}
	var want, got flow.Packet
	f := capture.Frame{Data: data[:min(len(data), bpf.Snap)], Wire: len(data), Link: capture.LinkEthernet, Input: loopback, GSOSize: gsoSize}
	wanted := j.want.Decode(&f, &want)

	reason := capture.NonIP // where there is no record
	for i := range j.rings {
		r := &j.rings[i]
		for r.at != r.end() {
			record, behind, ok := r.next(r.at)
			if !ok || record == nil {
				j.t.Fatal("a record that is not committed")
			}
			reason = j.record(record, &got)
			r.at = behind
			r.release()
		}
	}
	if reason == capture.Decoded {
		want.First, want.Last, got.First, got.Last = 0, 0, 0, 0
	}
	if reason != wanted || reason == capture.Decoded && want != got {
		j.t.Errorf("frame %x, gso size %d:\nthe program %v %+v\nthe decoder %v %+v", data, gsoSize, reason, got, wanted, want)
		return false
	}
	return true
}

func (j *judge) record(record *bpf.ProgramRecord, p *flow.Packet) capture.Reason {
	if bpf.ProgramRecordKind(record.Kind) == bpf.ProgramRecordKindRECORD_VICTIM {
		j.read++
		f := &(*bpf.ProgramVictim)(unsafe.Pointer(record)).Flow
		j.source.clock.packet(&f.Entry, &f.Details, p)
		return capture.Decoded
	}
	j.handed++
	var f capture.Frame
	j.source.clock.frame((*bpf.ProgramSnapshot)(unsafe.Pointer(record)), &f)
	f.Time = 0
	return j.got.Decode(&f, p)
}

// The program and the decoder say the same of each frame of the corpus. All but
// what is rare, a fragment or broken the program reads itself.
func TestCorpus(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ways := map[string][2]int{}
	for name, frames := range corpus(t) {
		j := newJudge(t)
		for _, data := range frames {
			j.frame(data, 0)
		}
		ways[name] = [2]int{j.read, j.handed}
		t.Logf("%-28s %3d frames: %3d read by the program, %3d handed over, %3d not expressed", name, len(frames), j.read, j.handed, j.refused)
	}
	for name, atLeast := range map[string]int{"ipv4.pcap": 10, "ipv6.pcap": 5, "ipv6-extension-headers.pcap": 5, "vlan-qinq-802.1ad.pcap": 4, "mpls.pcap": 2, "pppoe.pcap": 2} {
		if ways[name][0] < atLeast {
			t.Errorf("%s: the program read %d frames, want %d and more", name, ways[name][0], atLeast)
		}
	}
}

// A million frames made of the corpus by chance: they agree on each.
func TestFuzzedCorpus(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	n := 1_000_000
	if testing.Short() {
		n = 20_000
	}
	all := inOrder(corpus(t))
	r := rand.New(rand.NewPCG(1, 2))
	j := newJudge(t)
	wrong := 0
	for range n {
		if !j.frame(mutate(r, all), gsoSize(r)) {
			if wrong++; wrong == 5 {
				break
			}
		}
	}
	t.Logf("%d read by the program, %d handed over, %d not IP, %d not expressed", j.read, j.handed, n-j.read-j.handed-j.refused, j.refused)
	if j.read < n/10 || j.handed < n/10 {
		t.Error("the frames are one-sided")
	}
}

// mutate makes a frame of one or two of the corpus.
func mutate(r *rand.Rand, corpus [][]byte) []byte {
	data := append([]byte(nil), corpus[r.IntN(len(corpus))]...)
	for range r.IntN(4) {
		switch at := r.IntN(min(len(data), 96)); r.IntN(6) {
		case 0: // another octet
			data[at] = byte(r.Uint32())
		case 1: // another bit
			data[at] ^= 1 << r.IntN(8)
		case 2: // cut off
			data = data[:max(14, at)]
		case 3: // the end of another frame
			other := corpus[r.IntN(len(corpus))]
			data = append(data[:max(14, at)], other[r.IntN(len(other)):]...)
		case 4: // an interesting number
			data[at] = []byte{0, 1, 6, 17, 44, 47, 50, 51, 58, 60, 0x45, 0x60, 0x81, 0x88, 0xff}[r.IntN(15)]
		case 5: // longer
			data = append(data, make([]byte, r.IntN(400))...)
		}
	}
	return data
}

func gsoSize(r *rand.Rand) uint16 {
	if r.IntN(8) > 0 {
		return 0
	}
	return uint16(1 + r.IntN(120))
}
