package profile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture/synth"
	"cacheflow/cmd/internal/profile"
)

// Each profile that comes with the program is valid, says what it is, and has traffic.
func TestEmbedded(t *testing.T) {
	names := profile.Names()
	if len(names) != 8 {
		t.Errorf("profiles: %q", names)
	}
	for _, name := range names {
		p, err := profile.Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if p.Description == "" {
			t.Errorf("%s has no description", name)
		}
		s, err := synth.New(synth.Config{Profile: &p.Profile, Seed: 1, End: flow.Time(time.Minute), Boot: time.Unix(0, 0).Add(12 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		packets, n := 0, 1
		for batch := make([]flow.Packet, 256); n > 0; packets += n {
			n, _, _ = s.Read(batch)
		}
		if packets < 50 {
			t.Errorf("%s has %d packets in a minute", name, packets)
		}
	}
}

// A copy in a file is the same profile.
func TestLoadFile(t *testing.T) {
	text, err := profile.Text("office")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mine.yaml")
	changed := strings.Replace(string(text), "conversations: 60 ", "conversations: 70 ", 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := profile.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if p.Conversations != 70 || p.Applications[0].Ports != (synth.PortRange{First: 443, Last: 443}) {
		t.Errorf("%+v", p.Profile)
	}
}

// What is wrong is said with the profile's name and the place.
func TestErrors(t *testing.T) {
	const good = `
conversations: 1
networks:
  - {name: a, prefix: 10.0.0.0/8, interface: 1}
applications:
  - {name: x, from: a, to: a, protocol: udp, port: 53, packets: {least: 1, most: 1}, length: 60, interval: 1s}
`
	if _, err := profile.Parse("mine", strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{"conversations: 1", "conversation: 1", `line 2: unknown key "conversation"`},
		{"conversations: 1", "conversations: 0", "0 conversations a second"},
		{"conversations: 1", "conversations: 1\nday: {peak: 25h}", "peak at 25h"},
		{"conversations: 1", "conversations: 1\nipv6: 2", "share of 2 of IPv6"},
		{"conversations: 1", "conversations: 1\nipv6: 0.5", `application "x": network "a" has no IPv6 prefix`},
		{"10.0.0.0/8", "10.0.0.1/8", `network "a": prefix 10.0.0.1/8`},
		{"10.0.0.0/8", "ten", "ten"},
		{"interface: 1", "interface: 0", "no interface"},
		{"interface: 1", "interface: 1, hosts: 16777216", "room for 1 to 16777215"},
		{"to: a", "to: b", `no network "b"`},
		{"protocol: udp", "protocol: gre", `want tcp, udp or icmp`},
		{"port: 53", "port: 53-52", "ports 53 to 52"},
		{"port: 53", "port: all", "want a number"},
		{"least: 1, most: 1", "least: 2, most: 1", "2 to 1"},
		{"least: 1, most: 1", "pareto: 1, lognormal: 1, least: 1, most: 1", "both pareto and lognormal"},
		{"least: 1, most: 1", "lognormal: 1, least: 1, most: 1", "median"},
		{"length: 60", "length: 20", "lengths of 20 to 20 octets"},
		{"interval: 1s", "interval: 0s", "interval of 0s"},
		{"interval: 1s", "interval: 1s, train: 0", "trains of 0 packets"},
		{"interval: 1s", "interval: 1s, answer: -1", "-1 answers"},
		{"interval: 1s", "interval: 1s, dscp: 64", "DSCP 64"},
		{"interval: 1s", "interval: 1s, reset: 1.5", "1.5 of resets"},
		{"interval: 1s", "interval: 1s, weight: 0", "weight 0"},
	} {
		_, err := profile.Parse("mine", strings.NewReader(strings.Replace(good, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "profile mine: ") {
			t.Errorf("%s: %v instead of %q", c.to, err, c.want)
		}
	}
	if _, err := profile.Load("mine"); err == nil || !strings.Contains(err.Error(), "want data-centre, ddos") {
		t.Errorf("a name that no profile has: %v", err)
	}
}

// FuzzParse has no text crash, and what is accepted makes a source.
func FuzzParse(f *testing.F) {
	for _, name := range profile.Names() {
		text, _ := profile.Text(name)
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := profile.Parse("fuzz", strings.NewReader(text))
		if err != nil {
			return
		}
		s, err := synth.New(synth.Config{Profile: &p.Profile, Seed: 1, End: flow.Time(time.Millisecond), Boot: time.Unix(0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		batch := make([]flow.Packet, 64)
		for range 10 {
			if _, _, err := s.Read(batch); err != nil {
				return
			}
		}
	})
}
