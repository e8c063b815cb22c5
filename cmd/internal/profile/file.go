package profile

import (
	"fmt"
	"net/netip"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture/synth"
)

// file is a profile as it stands.
type file struct {
	Description   string        `yaml:"description"`
	Conversations float64       `yaml:"conversations"`
	Day           day           `yaml:"day"`
	IPv6          float64       `yaml:"ipv6"`
	Networks      []network     `yaml:"networks"`
	Applications  []application `yaml:"applications"`
}

type day struct {
	Peak   time.Duration `yaml:"peak"`
	Trough *float64      `yaml:"trough"`
}

type network struct {
	Name      string       `yaml:"name"`
	Prefix    netip.Prefix `yaml:"prefix"`
	Interface uint32       `yaml:"interface"`
	NextHop   netip.Addr   `yaml:"next-hop"`
	AS        uint32       `yaml:"as"`
	Weight    *float64     `yaml:"weight"`
	Hosts     uint64       `yaml:"hosts"`
	Popular   bool         `yaml:"popular"`
}

type application struct {
	Name         string        `yaml:"name"`
	Weight       *float64      `yaml:"weight"`
	From         string        `yaml:"from"`
	To           string        `yaml:"to"`
	Protocol     protocol      `yaml:"protocol"`
	Port         span          `yaml:"port"`
	Packets      distribution  `yaml:"packets"`
	Answer       float64       `yaml:"answer"`
	Length       span          `yaml:"length"`
	AnswerLength *span         `yaml:"answer-length"`
	Train        *int          `yaml:"train"`
	Interval     time.Duration `yaml:"interval"`
	Steady       bool          `yaml:"steady"`
	DSCP         uint8         `yaml:"dscp"`
	Reset        float64       `yaml:"reset"`
}

type distribution struct {
	Pareto    float64 `yaml:"pareto"`
	LogNormal float64 `yaml:"lognormal"`
	Median    float64 `yaml:"median"`
	Least     float64 `yaml:"least"`
	Most      float64 `yaml:"most"`
}

// protocol is tcp, udp or icmp.
type protocol uint8

func (p *protocol) UnmarshalText(text []byte) error {
	n, ok := map[string]protocol{"tcp": flow.ProtocolTCP, "udp": flow.ProtocolUDP, "icmp": flow.ProtocolICMP}[string(text)]
	if !ok {
		return fmt.Errorf("protocol %q: want tcp, udp or icmp", text)
	}
	*p = n
	return nil
}

// or returns *v, or d where it is not given.
func or[T any](v *T, d T) T {
	if v == nil {
		return d
	}
	return *v
}

func (f *file) profile() *Profile {
	p := &Profile{Description: f.Description}
	p.Conversations, p.IPv6 = f.Conversations, f.IPv6
	p.Day = synth.Day{Peak: f.Day.Peak, Trough: or(f.Day.Trough, 1)}
	for _, n := range f.Networks {
		p.Networks = append(p.Networks, synth.Network{
			Name: n.Name, Prefix: n.Prefix, Interface: n.Interface, NextHop: n.NextHop, AS: n.AS,
			Weight: or(n.Weight, 1), Hosts: max(n.Hosts, 1), Popular: n.Popular,
		})
	}
	for _, a := range f.Applications {
		answers := or(a.AnswerLength, a.Length)
		p.Applications = append(p.Applications, synth.Application{
			Name: a.Name, Weight: or(a.Weight, 1), From: a.From, To: a.To, Protocol: uint8(a.Protocol),
			Ports: synth.PortRange{First: a.Port.first, Last: a.Port.last}, Packets: synth.Distribution(a.Packets), Answer: a.Answer,
			Length:       synth.LengthRange{Least: a.Length.first, Most: a.Length.last},
			AnswerLength: synth.LengthRange{Least: answers.first, Most: answers.last},
			Train:        or(a.Train, 1), Interval: a.Interval, Steady: a.Steady, DSCP: a.DSCP, Reset: a.Reset,
		})
	}
	return p
}
