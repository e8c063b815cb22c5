package synth_test

import (
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture/synth"
)

// These tests measure in the records of a flow cache what a profile asks for. The seed is
// fixed, so they pass always or never; the bounds are those that chance exceeds once in a
// thousand times.

// records meters a profile from midnight on, and returns what leaves a cache that holds it.
func records(t *testing.T, p *synth.Profile, length time.Duration) (all []flow.Record) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs much traffic")
	}
	s := open(t, synth.Config{Profile: p, Seed: 5, End: flow.Time(length)})
	table, err := cache.New(cache.Config{
		Entries: 1 << 17, Active: cache.MaxTimeout, Inactive: time.Minute, Linger: time.Second, Router: s,
		Emit: func(r *flow.Record) { all = append(all, *r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]flow.Packet, 256)
	for {
		n, horizon, err := s.Read(batch)
		table.Observe(batch[:n])
		table.Expire(horizon, 1<<17)
		if errors.Is(err, io.EOF) {
			table.Flush(1 << 17)
			return all
		}
	}
}

// askers returns the records of the clients' direction.
func askers(all []flow.Record) []flow.Record {
	return slices.DeleteFunc(all, func(r flow.Record) bool { return r.Input != 1 })
}

// farthest returns the largest distance between the distribution function of the numbers and
// want, which is that of P(X ≤ n) (Kolmogorov and Smirnov), in units of the bound.
func farthest(numbers []float64, want func(float64) float64) float64 {
	slices.Sort(numbers)
	d := 0.0
	for i, x := range numbers {
		if i+1 < len(numbers) && numbers[i+1] == x {
			continue // the step of a discrete distribution ends here
		}
		d = max(d, math.Abs(float64(i+1)/float64(len(numbers))-want(x)))
	}
	return d / (1.95 / math.Sqrt(float64(len(numbers))))
}

func TestSizesAreThoseOfTheProfile(t *testing.T) {
	normal := func(z float64) float64 { return (1 + math.Erf(z/math.Sqrt2)) / 2 }
	for _, c := range []struct {
		name string
		d    synth.Distribution
		want func(n float64) float64 // P(X ≤ n) of what is rounded down: P(x < n + 1)
	}{
		{"pareto", synth.Distribution{Pareto: 1.2, Least: 4, Most: 10_000}, func(n float64) float64 {
			return (1 - math.Pow(4/(n+1), 1.2)) / (1 - math.Pow(4/10_001., 1.2))
		}},
		{"lognormal", synth.Distribution{LogNormal: 1, Median: 20, Least: 2, Most: 5000}, func(n float64) float64 {
			if n >= 5000 {
				return 1
			}
			return normal(math.Log((n + 1) / 20))
		}},
		{"uniform", synth.Distribution{Least: 5, Most: 50}, func(n float64) float64 { return (n - 4) / 46 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := profile()
			p.Applications[0].Packets, p.Applications[0].Interval = c.d, time.Millisecond
			var sizes []float64
			for _, r := range askers(records(t, p, 2*time.Minute)) {
				if r.End == flow.EndOfFlow { // else it was under way at the end
					sizes = append(sizes, float64(r.Packets))
				}
			}
			if d := farthest(sizes, c.want); len(sizes) < 10_000 || d > 1 {
				t.Errorf("%d flows, whose sizes are %.2f times as far from the distribution as chance takes them", len(sizes), d)
			}
		})
	}
}

// surprise returns how far counts are from those expected (Pearson's chi-squared), in units
// of what chance exceeds once in a thousand times (by Wilson and Hilferty).
func surprise(got []int, want []float64) float64 {
	x, k := 0.0, float64(len(got)-1)
	for i := range got {
		x += (float64(got[i]) - want[i]) * (float64(got[i]) - want[i]) / want[i]
	}
	return x / (k * math.Pow(1-2/(9*k)+3.09*math.Sqrt(2/(9*k)), 3))
}

func TestApplicationsAndVersionsAreThoseOfTheProfile(t *testing.T) {
	p := profile()
	weights, sum := []float64{60, 30, 9, 1}, 0.0
	for i, w := range weights {
		a := p.Applications[0]
		a.Weight, a.Ports = w, synth.PortRange{First: uint16(1000 * i), Last: uint16(1000*i + 99)}
		a.Protocol, a.Packets, a.Interval = flow.ProtocolUDP, synth.Distribution{Least: 1, Most: 3}, time.Millisecond
		if i == 0 {
			p.Applications = nil
		}
		p.Applications = append(p.Applications, a)
		sum += w
	}
	asked := askers(records(t, p, 10*time.Minute))
	apps, ports, versions, hosts := make([]int, 4), make([]int, 100), make([]int, 2), make([]int, 200)
	for _, r := range asked {
		apps[r.DstPort/1000]++
		ports[r.DstPort%1000]++
		if r.Version == 6 {
			versions[1]++
		} else {
			versions[0]++
			hosts[r.Src[3]-1]++
		}
	}
	n := float64(len(asked))
	even := func(n float64, parts int) []float64 { return slices.Repeat([]float64{n / float64(parts)}, parts) }
	for i := range weights {
		weights[i] *= n / sum
	}
	for _, c := range []struct {
		of   string
		got  []int
		want []float64
	}{
		{"applications", apps, weights}, {"ports", ports, even(n, 100)}, {"hosts", hosts, even(float64(versions[0]), 200)},
		{"IP versions", versions, []float64{0.75 * n, 0.25 * n}},
	} {
		if s := surprise(c.got, c.want); n < 50_000 || s > 1 {
			t.Errorf("%.0f flows: their %s are %.2f times as far from the profile as chance takes them", n, c.of, s)
		}
	}
}

// Zipf's law: the k-th host takes part as often as 1/k says.
func TestPopularHosts(t *testing.T) {
	p := profile()
	p.IPv6, p.Networks[1].Popular, p.Networks[1].Hosts = 0, true, 50
	p.Applications[0].Packets, p.Applications[0].Interval = synth.Distribution{Least: 2, Most: 2}, time.Millisecond
	got, want := make([]int, 50), make([]float64, 50)
	asked := askers(records(t, p, 5*time.Minute))
	for _, r := range asked {
		got[r.Dst[3]-1]++
	}
	for k := range want { // the integral of 1/k
		want[k] = float64(len(asked)) * math.Log(float64(k+2)/float64(k+1)) / math.Log(51)
	}
	if s := surprise(got, want); s > 1 {
		t.Errorf("%d flows: %.2f times as far from Zipf's law as chance takes them", len(asked), s)
	}
}

// The arrivals of a day, by quarters of an hour, follow the profile's curve.
func TestArrivalsFollowTheDay(t *testing.T) {
	p := profile()
	p.Conversations, p.Day = 2, synth.Day{Peak: 15 * time.Hour, Trough: 0.1}
	p.Applications[0].Protocol, p.Applications[0].Packets = flow.ProtocolUDP, synth.Distribution{Least: 1, Most: 1}
	const bins, width = 96, 15 * time.Minute
	got, want := make([]int, bins), make([]float64, bins)
	for _, r := range askers(records(t, p, 24*time.Hour)) {
		got[time.Duration(r.First)/width]++
	}
	for i := range want {
		middle := (time.Duration(i)*width + width/2).Hours()
		want[i] = 2 * width.Seconds() * (0.1 + 0.9*(1+math.Cos(2*math.Pi*(middle-15)/24))/2)
	}
	if s := surprise(got, want); s > 1 {
		t.Errorf("%.2f times as far from the curve as chance takes them: %v", s, got)
	}
}
