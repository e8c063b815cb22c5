package pcapfile

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

func sampled(t *testing.T, paths []string, sampling capture.Sampling, batch int) replay {
	t.Helper()
	s, err := OpenAll(paths, Options{Sampling: sampling})
	if err != nil {
		t.Fatal(err)
	}
	return read(t, s, batch)
}

// A deterministic sampler takes the 1st, the 4th, the 7th packet, over all files; what it
// leaves out moves the horizon on.
func TestSampling(t *testing.T) {
	w := little().pcap(magicMicro, 1)
	for i := range uint32(8) {
		w.packet(1000+i, 0, udpFrame(uint16(i)))
	}
	path := write(t, "capture", w.Bytes())
	r := sampled(t, []string{path, path}, capture.Sampling{Interval: 3}, 1)
	var ports []uint16
	for _, p := range r.packets {
		ports = append(ports, p.SrcPort)
	}
	if !cmp.Equal(ports, []uint16{0, 3, 6, 1, 4, 7}) {
		t.Errorf("packets %v were taken", ports)
	}
	if c := r.counters[0]; c.Observed != 16 || c.SampledOut != 10 || c.Metered != 6 {
		t.Errorf("%+v", c)
	}
	s, err := Open(path, Options{Sampling: capture.Sampling{Interval: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		if _, _, err := s.Read(make([]flow.Packet, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, horizon, _ := s.Read(make([]flow.Packet, 1)); horizon != flow.Time(time.Hour+7*time.Second) {
		t.Errorf("the horizon is %v at the end", horizon)
	}
}

// The same files give the same packets, from a random sampler too, however much is read
// at once; the terms close over every kind of frame.
func TestSamplingRepeats(t *testing.T) {
	paths, err := filepath.Glob("../testdata/*.pcap")
	if err != nil || len(paths) == 0 {
		t.Fatal(err, "no corpus")
	}
	random := capture.Sampling{Interval: 7, Random: true}
	want := sampled(t, paths, random, 1000)
	got := sampled(t, paths, random, 3)
	want.horizons, got.horizons = nil, nil
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(replay{})); diff != "" {
		t.Error(diff)
	}
	if len(want.packets) < 20 {
		t.Errorf("only %d packets were taken", len(want.packets))
	}
	first := sampled(t, paths, capture.Sampling{Interval: 7}, 1000)
	if cmp.Equal(want.packets, first.packets) {
		t.Error("a random sampler takes the first of each seven packets")
	}
}
