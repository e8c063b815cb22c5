package synth

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"cacheflow/cache/flow"
)

// Profile describes the traffic that crosses a router.
type Profile struct {
	// Conversations is how many begin in a second, on average, at the peak of the day.
	Conversations float64
	Day           Day
	// IPv6 is the share of conversations of that version, 0 to 1.
	IPv6         float64
	Networks     []Network
	Applications []Application
}

// Day is how the arrival of conversations follows the time of day, in UTC: a cosine
// between 1 at Peak (since midnight) and Trough twelve hours from it.
type Day struct {
	Peak   time.Duration
	Trough float64 // 0 to 1; 1 makes all hours alike
}

// Network is some hosts behind an interface of the router, and the route to them.
type Network struct {
	// Name is by what applications know it. Several networks can have one name: a
	// conversation takes one of its IP version, by weight.
	Name      string
	Prefix    netip.Prefix
	Interface uint32     // ifIndex
	NextHop   netip.Addr // the zero Addr where the hosts are on the link
	AS        uint32     // the origin of the route by BGP; 0 for one of the router's own
	Weight    float64
	// Hosts is how many hosts take part: the first addresses of Prefix but for its zero.
	Hosts uint64
	// Popular makes the k-th host take part as often as 1/k says (Zipf's law); else all do alike.
	Popular bool
}

// Application is one kind of conversation.
type Application struct {
	Name     string
	Weight   float64 // how many of them there are, against the others
	From, To string  // networks of clients and of servers
	// Protocol is TCP, UDP, or ICMP for echoes of either IP version.
	Protocol uint8
	// Ports are the server's; a conversation takes one of them. The client's is ephemeral.
	Ports PortRange
	// Packets is how many a client sends in a conversation.
	Packets Distribution
	// Answer is how many packets the server sends for each of the client's, on average. 0
	// is a server that is silent.
	Answer float64
	// Length and AnswerLength are IP total lengths. A TCP segment without data is shorter.
	Length, AnswerLength LengthRange
	// Train is how many packets follow each other back to back, Interval the mean time from
	// train to train of the client: exponentially distributed, or always the same where Steady.
	Train    int
	Interval time.Duration
	Steady   bool
	DSCP     uint8
	// Reset is the share of TCP conversations that end with RST rather than FIN.
	Reset float64
}

// PortRange is the ports from First to Last.
type PortRange struct{ First, Last uint16 }

// LengthRange is the octets from Least to Most, all alike.
type LengthRange struct{ Least, Most uint16 }

// Bounds of a profile.
const (
	minConversations = 1e-6
	maxConversations = 10_000_000
	maxWeight        = 1e9
	maxInterval      = 24 * time.Hour
	maxTrain         = 1000
	maxNetworks      = 256
	maxAnswer        = 100
	minLength        = 28 // of IPv4 and UDP
)

// Check returns what is wrong with p.
func (p *Profile) Check() error {
	switch {
	case !(p.Conversations >= minConversations && p.Conversations <= maxConversations):
		return fmt.Errorf("%v conversations a second: want %v to %d", p.Conversations, minConversations, maxConversations)
	case !isShare(p.IPv6):
		return fmt.Errorf("a share of %v of IPv6: want 0 to 1", p.IPv6)
	case p.Day.Peak < 0 || p.Day.Peak >= 24*time.Hour:
		return fmt.Errorf("a peak at %v: want a time of day, less than 24h", p.Day.Peak)
	case !isShare(p.Day.Trough):
		return fmt.Errorf("a trough of %v: want 0 to 1", p.Day.Trough)
	case len(p.Applications) == 0:
		return errors.New("no applications")
	case len(p.Networks) > maxNetworks:
		return fmt.Errorf("%d networks: want at most %d", len(p.Networks), maxNetworks)
	}
	for i := range p.Networks {
		if err := p.Networks[i].check(); err != nil {
			return fmt.Errorf("network %q: %w", p.Networks[i].Name, err)
		}
	}
	for i := range p.Applications {
		if err := p.checkApplication(&p.Applications[i]); err != nil {
			return fmt.Errorf("application %q: %w", p.Applications[i].Name, err)
		}
	}
	return nil
}

func isShare(x float64) bool { return x >= 0 && x <= 1 }

func isWeight(x float64) bool { return x > 0 && x <= maxWeight }

func (n *Network) check() error {
	room := uint64(1) << min(n.Prefix.Addr().BitLen()-n.Prefix.Bits(), 63)
	switch {
	case n.Name == "":
		return errors.New("no name")
	case !n.Prefix.IsValid() || n.Prefix != n.Prefix.Masked():
		return fmt.Errorf("prefix %s: want an address and a length, with zeros behind it", n.Prefix)
	case n.Interface == 0:
		return errors.New("no interface")
	case !isWeight(n.Weight):
		return fmt.Errorf("weight %v: want more than 0", n.Weight)
	case n.Hosts == 0 || n.Hosts > max(room-1, 1):
		return fmt.Errorf("%d hosts: %s has room for 1 to %d", n.Hosts, n.Prefix, max(room-1, 1))
	}
	return nil
}

func (p *Profile) checkApplication(a *Application) error {
	switch {
	case !isWeight(a.Weight):
		return fmt.Errorf("weight %v: want more than 0", a.Weight)
	case a.Protocol != flow.ProtocolTCP && a.Protocol != flow.ProtocolUDP && a.Protocol != flow.ProtocolICMP:
		return fmt.Errorf("protocol %d: want TCP, UDP or ICMP", a.Protocol)
	case a.Ports.First > a.Ports.Last:
		return fmt.Errorf("ports %d to %d: the first is larger", a.Ports.First, a.Ports.Last)
	case !(a.Answer >= 0 && a.Answer <= maxAnswer):
		return fmt.Errorf("%v answers to a packet: want 0 to %d", a.Answer, maxAnswer)
	case a.Train < 1 || a.Train > maxTrain:
		return fmt.Errorf("trains of %d packets: want 1 to %d", a.Train, maxTrain)
	case a.Interval <= 0 || a.Interval > maxInterval:
		return fmt.Errorf("interval of %v: want more than 0, at most %v", a.Interval, maxInterval)
	case a.DSCP > 63:
		return fmt.Errorf("DSCP %d: want 0 to 63", a.DSCP)
	case !isShare(a.Reset):
		return fmt.Errorf("a share of %v of resets: want 0 to 1", a.Reset)
	}
	for _, l := range []LengthRange{a.Length, a.AnswerLength} {
		if l.Least < minLength || l.Least > l.Most {
			return fmt.Errorf("lengths of %d to %d octets: want at least %d, the first not above the second", l.Least, l.Most, minLength)
		}
	}
	if err := a.Packets.Check(); err != nil {
		return fmt.Errorf("packets: %w", err)
	}
	for _, name := range []string{a.From, a.To} {
		if err := p.checkEnd(name); err != nil {
			return err
		}
	}
	return nil
}

// checkEnd finds a network that has no hosts of a version that conversations have.
func (p *Profile) checkEnd(name string) error {
	var has4, has6 bool
	for i := range p.Networks {
		if n := &p.Networks[i]; n.Name == name {
			has4, has6 = has4 || n.Prefix.Addr().Is4(), has6 || n.Prefix.Addr().Is6()
		}
	}
	switch {
	case !has4 && !has6:
		return fmt.Errorf("no network %q", name)
	case p.IPv6 < 1 && !has4:
		return fmt.Errorf("network %q has no IPv4 prefix", name)
	case p.IPv6 > 0 && !has6:
		return fmt.Errorf("network %q has no IPv6 prefix", name)
	}
	return nil
}
