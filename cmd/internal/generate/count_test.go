package generate_test

import (
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture/synth"
	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/manifest"
)

// count returns the packets of the traffic of one router.
func count(t *testing.T, c generate.Config) (packets uint64) {
	t.Helper()
	boot := bootOf(t, c)
	begin := flow.Time(c.Start.Sub(boot))
	s, err := synth.New(synth.Config{Profile: c.Profile, Seed: c.Seed, Router: 1, Start: begin, End: begin.Add(c.Duration), Boot: boot})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]flow.Packet, 256)
	for {
		n, _, err := s.Read(batch)
		packets += uint64(n)
		if err != nil {
			return packets
		}
	}
}

// bootOf returns the boot instant that the manifest says.
func bootOf(t *testing.T, c generate.Config) time.Time {
	t.Helper()
	c.Duration, c.Restarts, c.Faults = time.Second, nil, nil
	m, err := manifest.NewReader(&run(t, t.Context(), c).manifest)
	if err != nil {
		t.Fatal(err)
	}
	return m.Exporters[0].Boot
}
