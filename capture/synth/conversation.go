package synth

import (
	"math"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// weights are a cumulative sum, to choose by.
type weights []float64

func (w *weights) add(weight float64) {
	sum := 0.0
	if n := len(*w); n > 0 {
		sum = (*w)[n-1]
	}
	*w = append(*w, sum+weight)
}

// choose returns the index that u, of 0 to 1, falls to.
func (w weights) choose(u float64) int {
	return min(sort.SearchFloat64s(w, u*w[len(w)-1]), len(w)-1)
}

// ends are the networks of one name, by IP version.
type ends struct{ ipv4, ipv6 choice }

type choice struct {
	networks []*Network
	inputs   []uint8 // index of the interface's counters
	weights  weights
}

// layOut prepares what conversations are drawn from.
func (s *Source) layOut() {
	s.ends = map[string]*ends{}
	for i := range s.cfg.Profile.Networks {
		n := &s.cfg.Profile.Networks[i]
		e := s.ends[n.Name]
		if e == nil {
			e = &ends{}
			s.ends[n.Name] = e
		}
		c := &e.ipv4
		if n.Prefix.Addr().Is6() {
			c = &e.ipv6
		}
		c.networks = append(c.networks, n)
		c.inputs = append(c.inputs, s.input(n.Interface))
		c.weights.add(n.Weight)
	}
	for i := range s.cfg.Profile.Applications {
		s.apps.add(s.cfg.Profile.Applications[i].Weight)
		for _, isIPv6 := range []bool{false, true} {
			for r := range roles {
				s.classes = append(s.classes, newClass(&s.cfg.Profile.Applications[i], r, isIPv6))
			}
		}
	}
}

// input returns where the counters of an interface are.
func (s *Source) input(index uint32) uint8 {
	i := slices.IndexFunc(s.counters, func(c capture.Counters) bool { return c.Index == index })
	if i < 0 {
		i = len(s.counters)
		s.counters = append(s.counters, capture.Counters{Index: index, Name: "if" + strconv.Itoa(int(index)), Mode: "synthetic"})
	}
	return uint8(i)
}

// role is what a stream does in its conversation.
type role uint8

const (
	client  role = iota
	server       // of a connection, or of whatever else is answered
	attempt      // TCP: SYN again and again, which nobody answers
	refusal      // TCP: RST
	roles
)

func (s *Source) class(app int, r role, isIPv6 bool) uint16 {
	i := 2 * app
	if isIPv6 {
		i++
	}
	return uint16(i*int(roles) + int(r))
}

// newClass gives TCP its flags (RFC 9293 §3.5, §3.6).
func newClass(app *Application, r role, isIPv6 bool) class {
	l := app.Length
	if r == server {
		l = app.AnswerLength
	}
	c := class{
		train: uint32(app.Train), least: uint32(l.Least), bare: 40, steady: app.Steady,
		protocol: app.Protocol, tos: app.DSCP << 2, version: 4,
	}
	if isIPv6 {
		c.version, c.bare, c.least = 6, c.bare+20, max(c.least, 48) // the header is 20 octets longer
		if app.Protocol == flow.ProtocolICMP {
			c.protocol = flow.ProtocolICMPv6
		}
	}
	if app.Protocol == flow.ProtocolTCP {
		c.least = max(c.least, c.bare)
		switch r {
		case client:
			c.opening, c.flags = flow.SYN, flow.ACK
		case server:
			c.opening, c.flags = flow.SYN|flow.ACK, flow.PSH|flow.ACK
		case attempt:
			c.flags = flow.SYN
		case refusal:
			c.flags = flow.RST | flow.ACK
		}
	}
	c.spread = max(uint32(l.Most), c.least) - c.least + 1
	if r == attempt || r == refusal {
		c.least, c.spread = c.bare, 1
	}
	return c
}

// nextArrival returns when the conversation behind one at t begins, in nanoseconds since
// Start. Of conversations that arrive at the rate of the peak, each takes place with the
// probability that the time of day gives it: so the process is Poisson's at any rate.
func (s *Source) nextArrival(t float64) float64 {
	p := s.cfg.Profile
	start := s.cfg.Boot.Add(time.Duration(s.cfg.Start))
	for {
		t += s.random.ExpFloat64() / p.Conversations * float64(time.Second)
		if p.Day.Trough == 1 || s.random.Float64() < p.Day.at(start.Add(time.Duration(t))) {
			return t
		}
	}
}

// at returns the part of the peak's conversations that begin at a time.
func (d Day) at(t time.Time) float64 {
	const day = 24 * time.Hour
	sinceMidnight := time.Duration(t.Unix()%int64(day/time.Second))*time.Second + time.Duration(t.Nanosecond())
	return d.Trough + (1-d.Trough)*(1+math.Cos(2*math.Pi*float64(sinceMidnight-d.Peak)/float64(day)))/2
}

// Ephemeral ports (RFC 6335 §6), and how long a packet is under way to a server and its
// answer back.
const (
	firstEphemeral = 49152
	minRoundTrip   = 1 * time.Millisecond
	maxRoundTrip   = 60 * time.Millisecond
)

// converse begins a conversation at a time since Start.
func (s *Source) converse(at flow.Time) {
	p := s.cfg.Profile
	number := s.apps.choose(s.random.Float64())
	app := &p.Applications[number]
	isIPv6 := p.IPv6 > 0 && s.random.Float64() < p.IPv6
	ask := stream{due: at, left: app.Packets.draw(s.random), gap: float32(app.Interval)}
	ask.src, ask.input = s.host(s.ends[app.From], isIPv6)
	answer := stream{left: uint32(min(float64(ask.left)*app.Answer+s.random.Float64(), maxPackets))} // rounded by chance
	answer.src, answer.input = s.host(s.ends[app.To], isIPv6)
	ask.dst, answer.dst = answer.src, ask.src
	s.ports(app, isIPv6, &ask, &answer)

	asks, answers := client, server
	if app.Protocol == flow.ProtocolTCP {
		asks, answers = s.connect(app, &ask, &answer)
	}
	ask.class, answer.class = s.class(number, asks, isIPv6), s.class(number, answers, isIPv6)
	s.begin(&ask)
	if answer.left == 0 {
		return
	}
	answer.due = at.Add(minRoundTrip + time.Duration(s.random.Float64()*float64(maxRoundTrip-minRoundTrip)))
	// Both directions last equally long.
	answer.gap = ask.gap * float32(trains(ask.left, app.Train)) / float32(trains(answer.left, app.Train))
	s.begin(&answer)
}

// trains returns in how many trains so many packets leave.
func trains(packets uint32, train int) uint32 { return (packets-1)/uint32(train) + 1 }

// connect decides how a TCP connection goes: a single packet is an attempt, which is refused
// where it is answered.
func (s *Source) connect(app *Application, ask, answer *stream) (asks, answers role) {
	switch {
	case answer.left == 0:
		return attempt, refusal
	case ask.left == 1:
		return client, refusal
	}
	ask.closing, answer.closing = flow.FIN|flow.ACK, flow.FIN|flow.ACK
	if app.Reset > 0 && s.random.Float64() < app.Reset {
		ask.closing, answer.closing = flow.RST, 0
	}
	return client, server
}

// ports fills in both directions' ports, or type and code of an echo.
func (s *Source) ports(app *Application, isIPv6 bool, ask, answer *stream) {
	switch {
	case app.Protocol != flow.ProtocolICMP:
		ask.srcPort = firstEphemeral + uint16(s.random.Uint32N(1<<16-firstEphemeral))
		ask.dstPort = app.Ports.First + uint16(s.random.Uint32N(uint32(app.Ports.Last-app.Ports.First)+1))
		answer.srcPort, answer.dstPort = ask.dstPort, ask.srcPort
	case isIPv6:
		ask.dstPort, answer.dstPort = 128<<8, 129<<8 // RFC 4443 §4
	default:
		ask.dstPort = 8 << 8 // echo request (RFC 792), a reply being 0
	}
}

// host draws one, laid out as in a flow.Key, and the index of its interface's counters.
func (s *Source) host(e *ends, isIPv6 bool) (a [16]byte, input uint8) {
	c := &e.ipv4
	if isIPv6 {
		c = &e.ipv6
	}
	i := 0
	if len(c.networks) > 1 {
		i = c.weights.choose(s.random.Float64())
	}
	n, input := c.networks[i], c.inputs[i]
	number := uint64(0)
	if n.Popular {
		// The integral of 1/k: a rank's logarithm is distributed evenly.
		number = min(n.Hosts, uint64(math.Exp(s.random.Float64()*math.Log(float64(n.Hosts+1))))) - 1
	} else {
		number = s.random.Uint64N(n.Hosts)
	}
	if n.Prefix.IsSingleIP() {
		return key(n.Prefix.Addr()), input
	}
	return add(key(n.Prefix.Addr()), n.Prefix.Addr().BitLen()/8, number+1), input
}

// key returns an address as a flow.Key has it.
func key(a netip.Addr) (k [16]byte) {
	copy(k[:], a.AsSlice())
	return k
}

// add adds n to an address of so many octets.
func add(a [16]byte, octets int, n uint64) [16]byte {
	for i := octets - 1; i >= 0 && n > 0; i-- {
		n += uint64(a[i])
		a[i] = byte(n)
		n >>= 8
	}
	return a
}
