package export

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What collectors make of the sampler that is announced.

var announced = []Sampling{{Interval: 100}, {Interval: 16383, Random: true}}

// otherForms are those that some collectors want.
var otherForms = []Sampling{
	{Interval: 100, Form: FormInterval},
	{Interval: 100, Form: FormFlowSampler}, {Interval: 100, Form: FormFlowSampler, Random: true},
	{Interval: 100, Form: FormSelector}, {Interval: 100, Form: FormSelector, Random: true},
}

func (s Sampling) String() string {
	return fmt.Sprintf("1 out of %d, random %v, by %v", s.Interval, s.Random, s.Form)
}

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
					if o[flowKeyIndicator] != nil {
						continue
					}
					n++
					if o.uint(305) != 0 || o.uint(50) != 0 || o.uint(34) != uint64(sampling.Interval) {
						t.Fatalf("%v, %v: options record %v", p, sampling, o)
					}
				}
			}
			if first := c.messages[0]; len(first.records()) > 0 || first.options()[0].uint(34) == 0 || n < 3 {
				t.Errorf("%v: the sampler was announced %d times, in the first message %d times beside %d records",
					p, n, len(first.options()), len(first.records()))
			}
		}
	}
}

// TestSamplerForms: goflow2 decodes each form as it is meant, and where flows have the
// sampler's id, the same one.
func TestSamplerForms(t *testing.T) {
	for _, p := range bothTemplated {
		for _, sampling := range otherForms {
			if p == NetFlow9 && sampling.Form == FormSelector {
				if _, err := NewSession(Config{Protocol: p, Sampling: sampling}, nil); err == nil {
					t.Error("NetFlow v9 takes PSAMP's elements")
				}
				continue
			}
			c := newCollector(t)
			feed(c.session(Config{Protocol: p, Sampling: sampling, Options: OptionIntervals{FlowKeys: Off}}), 20)
			o, r := c.messages[0].options()[0], c.all()[0]
			want := map[uint16]uint64{34: 100}
			switch {
			case sampling.Form == FormFlowSampler:
				want = map[uint16]uint64{48: 1, 49: uint64(sampling.algorithm()), 50: 100}
				if r.uint(48) != 1 || len(r[48]) != 1 {
					t.Errorf("%v, %v: sampler %x in a flow", p, sampling, r[48])
				}
			case sampling.Random: // 3: random n-out-of-N
				want = map[uint16]uint64{304: 3, 309: 1, 310: 100}
			case sampling.Form == FormSelector: // 1: systematic count-based
				want = map[uint16]uint64{304: 1, 305: 1, 306: 99}
			}
			if sampling.Form == FormSelector && (r.uint(302) != 1 || len(r[302]) != 4) {
				t.Errorf("%v, %v: selector %x in a flow", p, sampling, r[302])
			}
			got := map[uint16]uint64{}
			for id := range o {
				got[id] = o.uint(id)
			}
			if !maps.Equal(got, want) {
				t.Errorf("%v, %v: options %v, want %v", p, sampling, got, want)
			}
		}
	}
}

// TestNfacctdScales: pmacct multiplies packets and octets in all protocols, by all forms
// but one.
func TestNfacctdScales(t *testing.T) {
	t.Parallel()
	need(t, "nfacctd")
	for _, p := range []Protocol{NetFlow5, NetFlow9, IPFIX} {
		for _, sampling := range append(announced, otherForms...) {
			if p == NetFlow5 && sampling.Form != FormSampling || p == NetFlow9 && sampling.Form == FormSelector {
				continue
			}
			t.Run(p.String(), func(t *testing.T) {
				t.Parallel()
				dir, address := t.TempDir(), unusedPort(t)
				_, port, _ := net.SplitHostPort(address)
				file, conf := filepath.Join(dir, "out.json"), filepath.Join(dir, "conf")
				os.WriteFile(conf, fmt.Appendf(nil, nfacctdConf+"nfacctd_renormalize: true\n", port, file), 0o644)
				stop := daemon(t, address, "object handlers", "nfacctd", "-f", conf)
				sent := exportRecords(t, Config{Protocol: p, Address: address, Sampling: sampling}, judged(p))
				log := stop()
				_, got := readNfacctd(t, file)
				if strings.Contains(log, "WARN") || strings.Contains(log, "ERR") || strings.Contains(log, "expecting") {
					t.Errorf("nfacctd complains:\n%s", log)
				}
				n := uint64(sampling.Interval)
				if sampling.Form == FormSelector && sampling.Random {
					n = 1 // pmacct 1.7.7 does not read samplingSize and samplingPopulation
				}
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
		log, _, sent := nfcapdReads(t, Config{Protocol: NetFlow5, Sampling: sampling}, judged(NetFlow5))
		n := uint64(sampling.Interval)
		want := fmt.Sprintf("Flows: %d, Packets: %d, Bytes: %d, Sequence Errors: 0, Bad Packets: 0", sent.Records, n*sent.Packets, n*sent.Octets)
		if !strings.Contains(log, want) {
			t.Errorf("%v: nfcapd says\n%s\nwant %s", sampling, log, want)
		}
	}
}
