package cache

import "cacheflow/cache/flow"

// Stats returns a copy of the table's counters.
func (t *Table) Stats() Stats { return t.stats }

// ClearStats resets what `show ip cache flow` shows since the last clearing.
// The ledger's counters (Observed, Ended) go on. Flows that are in the cache
// count as added, so that added = ended + active still holds.
func (t *Table) ClearStats(now flow.Time) {
	for i := range t.stats.Families {
		f := &t.stats.Families[i]
		*f = FamilyStats{Active: f.Active, Added: uint64(f.Active)}
	}
	t.stats.HighWater = t.stats.Active
	t.stats.Cleared = max(now, 1)
}

func family(version uint8) int {
	if version == 4 {
		return 0
	}
	return 1
}

// count counts an observation that arrives.
func (t *Table) count(p *flow.Packet) {
	t.stats.Observed.Flows++
	t.stats.Observed.Packets += p.Packets
	t.stats.Observed.Octets += p.Octets
	length := p.MaxLength
	if p.MinLength != length {
		length = uint32(p.Octets / max(p.Packets, 1))
	}
	t.stats.Families[family(p.Version)].Sizes[sizeBucket(length)] += p.Packets
}

// sizeBucket returns the index into SizeLimits of the first limit that is not
// below length: steps of 32 up to 576, then 1024, then steps of 512.
func sizeBucket(length uint32) int {
	const small, large = 576, 1024 // SizeLimits[17], SizeLimits[18]
	switch {
	case length <= small:
		return int(max(length, 1)-1) / 32
	case length <= large:
		return 18
	}
	return min(18+int(length-large+511)/512, len(SizeLimits)-1)
}

// added counts a flow that was made.
func (t *Table) added(s *flow.Packet) {
	t.stats.Active++
	t.stats.HighWater = max(t.stats.HighWater, t.stats.Active)
	f := &t.stats.Families[family(s.Version)]
	f.Active++
	f.Added++
}

// left counts a record that leaves.
func (t *Table) left(r *flow.Record) {
	t.stats.Active--
	sum := Sum{1, r.Packets, r.Octets}
	t.stats.Ended[r.End].add(&sum)
	f := &t.stats.Families[family(r.Version)]
	f.Active--
	c := &f.Ended[classify(r)]
	c.add(&sum)
	c.ActiveMs += uint64(r.Last-r.First) / 1e6
	c.IdleMs += uint64(max(r.Expired-r.Last, 0)) / 1e6
}

// classify returns the row of the router's protocol table that counts r. A
// well-known port counts on either side; a later fragment has no ports.
func classify(r *flow.Record) Class {
	switch r.Protocol {
	case flow.ProtocolTCP:
		return byPort(r, tcpPort, TCPFrag)
	case flow.ProtocolUDP:
		return byPort(r, udpPort, UDPFrag)
	case flow.ProtocolICMP, flow.ProtocolICMPv6:
		return ICMP
	case flow.ProtocolIGMP:
		return IGMP
	case flow.ProtocolIPIP:
		return IPinIP
	case flow.ProtocolIPv6:
		return IPv6inIP
	case flow.ProtocolGRE:
		return GRE
	}
	return IPOther
}

func byPort(r *flow.Record, class func(uint16) (Class, bool), fragment Class) Class {
	if r.Fragment && r.SrcPort == 0 && r.DstPort == 0 {
		return fragment
	}
	c, known := class(r.DstPort)
	if !known {
		c, _ = class(r.SrcPort)
	}
	return c
}

func tcpPort(port uint16) (Class, bool) {
	switch {
	case port == 20:
		return TCPFTPData, true
	case port == 21:
		return TCPFTP, true
	case port == 23:
		return TCPTelnet, true
	case port == 25:
		return TCPSMTP, true
	case port == 80:
		return TCPWWW, true
	case port == 119:
		return TCPNNTP, true
	case port == 179:
		return TCPBGP, true
	case port >= 6000 && port <= 6063:
		return TCPX, true
	}
	return TCPOther, false
}

func udpPort(port uint16) (Class, bool) {
	switch port {
	case 53:
		return UDPDNS, true
	case 69:
		return UDPTFTP, true
	case 123:
		return UDPNTP, true
	}
	return UDPOther, false
}
