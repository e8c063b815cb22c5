package generate

import (
	"bytes"
	"slices"

	"cacheflow/cmd/internal/manifest"
)

// message is a datagram on its way from its router.
type message struct {
	router  int
	of      *datagram
	octets  []byte
	records []manifest.Record
	uses    order // of its records
}

// clone returns a copy that lives longer than the round that it is of.
func (m *message) clone() message {
	of := *m.of
	return message{m.router, &of, bytes.Clone(m.octets), slices.Clone(m.records), m.uses}
}

// leave sends a message as its fault says, and writes it down. What a collector can decode of it is
// known only now: templates may have overtaken it.
func (g *generator) leave(m message) error {
	times, octets := 1, m.octets
	switch m.of.Fault {
	case manifest.Drop:
		times = 0
	case manifest.Duplicate:
		times = 2
	case manifest.Truncate:
		octets = octets[:len(octets)/2]
	}
	for range times {
		g.templates.arrive(m.router, octets)
		if err := g.cfg.Send(m.router, octets); err != nil {
			return err
		}
	}
	if times > 0 {
		g.templates.judge(&m)
	}
	g.count(&m)
	if g.truth == nil {
		return nil
	}
	return g.truth.Datagram(&m.of.Datagram, m.records)
}

// count counts a message that was sent, or dropped on purpose.
func (g *generator) count(m *message) {
	if m.of.Fault == manifest.Drop {
		g.dropped.Add(m.of.flows)
	} else {
		g.sent.Add(m.of.flows)
	}
	s := &g.stats
	s.Datagrams++
	s.Records += uint64(m.of.Records)
	s.Octets += uint64(m.of.Octets)
	if m.of.Fault != "" || m.of.Templates != "" {
		s.Faults++
	}
	for i := range m.records {
		if m.records[i].Changed != "" {
			s.Changed++
		}
		if m.records[i].Undecodable != "" {
			s.Undecodable++
		}
	}
}
