package export

// Length returns how many octets flow records of the session give an Information Element, at most;
// 0 where they do not have it.
func (s *Session) Length(id uint16) (octets int) {
	if s.cfg.Protocol == NetFlow5 {
		return longest(fields5, id)
	}
	for _, t := range s.templates.all {
		for _, g := range t.groups {
			octets = max(octets, longest(g.fields, id))
		}
	}
	return octets
}

func longest(fields []field, id uint16) (octets int) {
	for _, f := range fields {
		if f.id == id {
			octets = max(octets, int(f.length))
		}
	}
	return octets
}

// fields5 are those of a NetFlow v5 record.
var fields5 = []field{
	{sourceIPv4Address, 4}, {destinationIPv4Address, 4}, {ipNextHopIPv4Address, 4}, {ingressInterface, 2}, {egressInterface, 2},
	{packetDeltaCount, 4}, {octetDeltaCount, 4}, {flowStartSysUpTime, 4}, {flowEndSysUpTime, 4}, {sourceTransportPort, 2},
	{destinationTransportPort, 2}, {tcpControlBits, 1}, {protocolIdentifier, 1}, {ipClassOfService, 1}, {bgpSourceAsNumber, 2},
	{bgpDestinationAsNumber, 2}, {sourceIPv4PrefixLength, 1}, {destIPv4PrefixLength, 1},
}
