package export

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What collectors make of the sampler that is announced.

var announced = []Sampling{{Interval: 100}, {Interval: 16383, Random: true}}

func (s Sampling) String() string { return fmt.Sprintf("1 out of %d, random %v", s.Interval, s.Random) }

// TestTsharkSampling: tshark names the interval and the algorithm, in v5 the mode.
func TestTsharkSampling(t *testing.T) {
	t.Parallel()
	need(t, "tshark")
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		for _, sampling := range announced {
			w := newPcap(t)
			s, err := NewSession(Config{Protocol: p, TemplatePackets: 3, Sampling: sampling}, w.add)
			if err != nil {
				t.Fatal(err)
			}
			feed(s, 200)
			interval, algorithm := "cflow.sampling_interval", "cflow.sampling_algorithm"
			if p == NetFlow5 {
				interval, algorithm = "cflow.samplerate", "cflow.samplingmode"
			}
			lines := strings.Fields(tshark(t, w, "-Y", interval, "-T", "fields", "-E", "separator=,", "-e", interval, "-e", algorithm))
			if len(lines) < 3 {
				t.Fatalf("%v: tshark sees the sampler %d times", p, len(lines))
			}
			for _, line := range lines {
				if want := fmt.Sprintf("%d,%d", sampling.Interval, sampling.algorithm()); line != want {
					t.Errorf("%v, %v: tshark reads %s, want %s", p, sampling, line, want)
				}
			}
			if complaints := tshark(t, w, "-Y", faults); complaints != "" {
				t.Errorf("%v: tshark complains:\n%.2000s", p, complaints)
			}
		}
	}
}

// TestGoflow2Sampling looks the rate up as goflow2 does: the first of 305, 50 and 34 in
// any options record of a message.
func TestGoflow2Sampling(t *testing.T) {
	for _, p := range bothTemplated {
		for _, sampling := range announced {
			c := newCollector(t)
			feed(c.session(Config{Protocol: p, TemplatePackets: 3, Sampling: sampling}), 200)
			n := 0
			for _, m := range c.messages {
				for _, o := range m.options() {
					n++
					if o.uint(305) != 0 || o.uint(50) != 0 || o.uint(34) != uint64(sampling.Interval) {
						t.Fatalf("%v, %v: options record %v", p, sampling, o)
					}
				}
			}
			if first := c.messages[0]; len(first.records()) > 0 || len(first.options()) != 1 || n < 3 {
				t.Errorf("%v: the sampler was announced %d times, in the first message %d times beside %d records",
					p, n, len(first.options()), len(first.records()))
			}
		}
	}
}

// TestNfacctdScales: pmacct multiplies packets and octets in all protocols.
func TestNfacctdScales(t *testing.T) {
	t.Parallel()
	need(t, "nfacctd")
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		for _, sampling := range announced {
			t.Run(p.String(), func(t *testing.T) {
				t.Parallel()
				dir, address := t.TempDir(), unusedPort(t)
				_, port, _ := net.SplitHostPort(address)
				file, conf := filepath.Join(dir, "out.json"), filepath.Join(dir, "conf")
				os.WriteFile(conf, fmt.Appendf(nil, nfacctdConf+"nfacctd_renormalize: true\n", port, file), 0o644)
				stop := daemon(t, address, "object handlers", "nfacctd", "-f", conf)
				sent := exportJudged(t, p, address, sampling)
				log := stop()
				_, got := readNfacctd(t, file)
				if strings.Contains(log, "WARN") || strings.Contains(log, "ERR") || strings.Contains(log, "expecting") {
					t.Errorf("nfacctd complains:\n%s", log)
				}
				n := uint64(sampling.Interval)
				if got.Packets != n*sent.Packets || got.Octets != n*sent.Octets {
					t.Errorf("%v: nfacctd has %+v of %+v", sampling, got, sent)
				}
			})
		}
	}
}

// TestNfcapdScales: nfcapd 1.7.1 multiplies in v5, whatever the mode bits. (Of the options
// of v9 and IPFIX it reads none that carry the algorithm; 1.7.2 does.)
func TestNfcapdScales(t *testing.T) {
	t.Parallel()
	need(t, "nfcapd", "nfdump")
	for _, sampling := range append(announced, Sampling{Interval: 100, NoMode: true}) {
		dir, address := t.TempDir(), unusedPort(t)
		_, port, _ := net.SplitHostPort(address)
		stop := daemon(t, address, "Startup", "nfcapd", "-b", "127.0.0.1", "-p", port, "-w", dir)
		sent := exportJudged(t, NetFlow5, address, sampling)
		log := stop()
		n := uint64(sampling.Interval)
		want := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: 0, Bad Packets: 0", sent.Records, n*sent.Packets, n*sent.Octets)
		if !strings.Contains(log, want) {
			t.Errorf("%v: nfcapd says\n%s\nwant %s", sampling, log, want)
		}
	}
}
