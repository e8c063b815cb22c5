package export

import "fmt"

// Sampling is the sampler that the exporter announces. Counters are exported as sampled:
// collectors multiply.
type Sampling struct {
	// Interval is out of how many frames one is metered; 0 is 1, all of them. NetFlow v5
	// has 14 bits for it, and says nothing of 1.
	Interval uint32
	// Random says that it is one by chance; else it is each Interval-th.
	Random bool
	// NoMode leaves the mode bits of NetFlow v5's sampling word at 0, for collectors that
	// read all 16 bits as the interval.
	NoMode bool
	// Form is that of the sampler table.
	Form SamplerForm
}

// SamplerForm is one of the elements by which a sampler is described. No form is read
// by every collector.
type SamplerForm uint8

const (
	// FormSampling is samplingInterval and samplingAlgorithm (34, 35), which most read.
	// The registry has deprecated them for PSAMP's selectorAlgorithm and its parameters
	// (RFC 5477 §8), but goflow2 takes a systematic sampler of PSAMP for 1 out of 1, and
	// the elements of a random one only pmacct knows.
	FormSampling SamplerForm = iota
	// FormInterval is samplingInterval alone, for nfdump before 1.7.2.
	FormInterval
	// FormFlowSampler is flowSamplerId, its mode and its interval (48, 49, 50), as IOS
	// has it; each flow record then has the id.
	FormFlowSampler
	// FormSelector is PSAMP's selectorId and selectorAlgorithm with its parameters, of
	// IPFIX only; each flow record then has the id.
	FormSelector

	samplerForms
)

var samplerFormNames = [samplerForms]string{"sampling", "interval", "flow-sampler", "selector"}

// String returns the form as the configuration names it.
func (f SamplerForm) String() string {
	if f < samplerForms {
		return samplerFormNames[f]
	}
	return fmt.Sprintf("sampler form %d", uint8(f))
}

// ParseSamplerForm reads what String writes.
func ParseSamplerForm(s string) (SamplerForm, error) {
	for f, name := range samplerFormNames {
		if s == name {
			return SamplerForm(f), nil
		}
	}
	return 0, fmt.Errorf("unknown sampler form %q: want sampling, interval, flow-sampler or selector", s)
}

// theSampler is the number of the one sampler that there is.
const theSampler = 1

// interval is the interval in words of the registry, where 1 is every packet.
func (s Sampling) interval() uint32 { return max(1, s.Interval) }

// word returns the last header field of NetFlow v5: two bits of mode (1 packet interval,
// 2 random), 14 of interval.
func (s Sampling) word() uint16 {
	w := uint16(s.Interval) & maxInterval5
	switch {
	case s.Interval <= 1:
		return 0
	case s.NoMode:
		return w
	}
	return w | uint16(s.algorithm())<<14
}

const maxInterval5 = 1<<14 - 1

// algorithm is samplingAlgorithm: 1 deterministic, 2 random.
func (s Sampling) algorithm() uint8 {
	if s.Random {
		return 2
	}
	return 1
}

// sampler lays out the sampler table: one sampler, valid for all that this exporter sends.
// nfdump wants the algorithm beside the interval, and goflow2 four octets of interval.
func (o *options) sampler(c *Config) {
	s, scope := c.Sampling, domainScope(c.Protocol)
	values := be.AppendUint32(nil, c.SourceID)
	switch s.Form {
	case FormSampling:
		o.layout(c.Protocol, scope, field{samplingInterval, 4}, field{samplingAlgorithm, 1})
		values = append(be.AppendUint32(values, s.interval()), s.algorithm())
	case FormInterval:
		o.layout(c.Protocol, scope, field{samplingInterval, 4})
		values = be.AppendUint32(values, s.interval())
	case FormFlowSampler:
		o.layout(c.Protocol, scope, field{samplerID, 1}, field{flowSamplerMode, 1}, field{flowSamplerRandomInterval, 4})
		values = be.AppendUint32(append(values, theSampler, s.algorithm()), s.interval())
	case FormSelector:
		values = o.selector(s)
	}
	o.constant = true
	o.records = func(b []byte) []byte { return append(b, values...) }
}

// selector lays out PSAMP's Selector Report Interpretation (RFC 5476 §6.5.2) and returns
// its values: systematic count-based sampling takes 1 packet and leaves N-1, random n-out-of-N
// sampling takes 1 of N.
func (o *options) selector(s Sampling) []byte {
	const countBased, nOutOfN = 1, 3 // selectorAlgorithm (RFC 5477 §8.2.1)
	algorithm, second, value := uint16(countBased), field{samplingPacketSpace, 4}, s.interval()-1
	first := field{samplingPacketInterval, 4}
	if s.Random {
		algorithm, first, second, value = nOutOfN, field{samplingSize, 4}, field{samplingPopulation, 4}, s.interval()
	}
	o.layout(IPFIX, field{selectorID, 4}, field{selectorAlgorithm, 2}, first, second)
	b := be.AppendUint16(be.AppendUint32(nil, theSampler), algorithm)
	return be.AppendUint32(be.AppendUint32(b, 1), value)
}
