package export

import "sort"

// Element is an Information Element of the IANA registry (RFC 7012), as far as
// this package exports it.
type Element struct {
	ID   uint16
	Name string
	Type Type
	// Length is the length in octets of the abstract data type, 0 for a string, which
	// has none. A template may give an integer fewer (RFC 7011 §6.2, reduced-size
	// encoding).
	Length int
}

// Type is an abstract data type of RFC 7012 §3.1.
type Type uint8

const (
	OctetArray Type = iota
	Unsigned8
	Unsigned16
	Unsigned32
	Unsigned64
	MACAddress
	String
	IPv4Address
	IPv6Address
	DateTimeMilliseconds
	DateTimeMicroseconds
	DateTimeNanoseconds
)

// Ids of the Information Elements, by their IANA names. Those below 128 are
// NetFlow v9's field types too (RFC 3954 §8), there under other names.
const (
	octetDeltaCount              = 1
	packetDeltaCount             = 2
	protocolIdentifier           = 4
	ipClassOfService             = 5
	tcpControlBits               = 6
	sourceTransportPort          = 7
	sourceIPv4Address            = 8
	sourceIPv4PrefixLength       = 9
	ingressInterface             = 10
	destinationTransportPort     = 11
	destinationIPv4Address       = 12
	destIPv4PrefixLength         = 13
	egressInterface              = 14
	ipNextHopIPv4Address         = 15
	bgpSourceAsNumber            = 16
	bgpDestinationAsNumber       = 17
	bgpNextHopIPv4Address        = 18
	flowEndSysUpTime             = 21
	flowStartSysUpTime           = 22
	minimumIPTotalLength         = 25
	maximumIPTotalLength         = 26
	sourceIPv6Address            = 27
	destinationIPv6Address       = 28
	sourceIPv6PrefixLength       = 29
	destIPv6PrefixLength         = 30
	flowLabelIPv6                = 31
	icmpTypeCodeIPv4             = 32
	samplingInterval             = 34
	samplingAlgorithm            = 35
	exportedOctetTotalCount      = 40
	exportedMessageTotalCount    = 41
	exportedFlowRecordTotalCount = 42
	samplerID                    = 48
	flowSamplerMode              = 49
	flowSamplerRandomInterval    = 50
	minimumTTL                   = 52
	maximumTTL                   = 53
	sourceMacAddress             = 56
	vlanID                       = 58
	postVlanID                   = 59
	ipVersion                    = 60
	flowDirection                = 61
	ipNextHopIPv6Address         = 62
	bgpNextHopIPv6Address        = 63
	ipv6ExtensionHeaders         = 64
	mplsTopLabelStackSection     = 70
	mplsLabelStackSection2       = 71
	mplsLabelStackSection3       = 72
	destinationMacAddress        = 80
	interfaceName                = 82
	interfaceDescription         = 83
	forwardingStatus             = 89
	applicationID                = 95
	flowEndReason                = 136
	icmpTypeCodeIPv6             = 139
	exportingProcessID           = 144
	templateID                   = 145
	flowID                       = 148
	observationDomainID          = 149
	flowStartMilliseconds        = 152
	flowEndMilliseconds          = 153
	flowStartMicroseconds        = 154
	flowEndMicroseconds          = 155
	flowStartNanoseconds         = 156
	flowEndNanoseconds           = 157
	systemInitTime               = 160
	ignoredPacketTotalCount      = 164
	ignoredOctetTotalCount       = 165
	notSentFlowTotalCount        = 166
	notSentPacketTotalCount      = 167
	notSentOctetTotalCount       = 168
	flowKeyIndicator             = 173
	ipDiffServCodePoint          = 195
	fragmentFlags                = 197
	mplsLabelStackDepth          = 202
	ingressVRFID                 = 234
	egressVRFID                  = 235
	biflowDirection              = 239
	dot1qVlanID                  = 243
	dot1qPriority                = 244
	dot1qCustomerVlanID          = 245
	dot1qCustomerPriority        = 246
	selectorID                   = 302
	selectorAlgorithm            = 304
	samplingPacketInterval       = 305
	samplingPacketSpace          = 306
	samplingSize                 = 309
	samplingPopulation           = 310
	observationTimeMilliseconds  = 323
)

// elements is sorted by id.
var elements = [...]Element{
	{octetDeltaCount, "octetDeltaCount", Unsigned64, 8},
	{packetDeltaCount, "packetDeltaCount", Unsigned64, 8},
	{protocolIdentifier, "protocolIdentifier", Unsigned8, 1},
	{ipClassOfService, "ipClassOfService", Unsigned8, 1},
	{tcpControlBits, "tcpControlBits", Unsigned16, 2},
	{sourceTransportPort, "sourceTransportPort", Unsigned16, 2},
	{sourceIPv4Address, "sourceIPv4Address", IPv4Address, 4},
	{sourceIPv4PrefixLength, "sourceIPv4PrefixLength", Unsigned8, 1},
	{ingressInterface, "ingressInterface", Unsigned32, 4},
	{destinationTransportPort, "destinationTransportPort", Unsigned16, 2},
	{destinationIPv4Address, "destinationIPv4Address", IPv4Address, 4},
	{destIPv4PrefixLength, "destinationIPv4PrefixLength", Unsigned8, 1},
	{egressInterface, "egressInterface", Unsigned32, 4},
	{ipNextHopIPv4Address, "ipNextHopIPv4Address", IPv4Address, 4},
	{bgpSourceAsNumber, "bgpSourceAsNumber", Unsigned32, 4},
	{bgpDestinationAsNumber, "bgpDestinationAsNumber", Unsigned32, 4},
	{bgpNextHopIPv4Address, "bgpNextHopIPv4Address", IPv4Address, 4},
	{flowEndSysUpTime, "flowEndSysUpTime", Unsigned32, 4},
	{flowStartSysUpTime, "flowStartSysUpTime", Unsigned32, 4},
	{minimumIPTotalLength, "minimumIpTotalLength", Unsigned64, 8},
	{maximumIPTotalLength, "maximumIpTotalLength", Unsigned64, 8},
	{sourceIPv6Address, "sourceIPv6Address", IPv6Address, 16},
	{destinationIPv6Address, "destinationIPv6Address", IPv6Address, 16},
	{sourceIPv6PrefixLength, "sourceIPv6PrefixLength", Unsigned8, 1},
	{destIPv6PrefixLength, "destinationIPv6PrefixLength", Unsigned8, 1},
	{flowLabelIPv6, "flowLabelIPv6", Unsigned32, 4},
	{icmpTypeCodeIPv4, "icmpTypeCodeIPv4", Unsigned16, 2},
	{samplingInterval, "samplingInterval", Unsigned32, 4},
	{samplingAlgorithm, "samplingAlgorithm", Unsigned8, 1},
	{exportedOctetTotalCount, "exportedOctetTotalCount", Unsigned64, 8},
	{exportedMessageTotalCount, "exportedMessageTotalCount", Unsigned64, 8},
	{exportedFlowRecordTotalCount, "exportedFlowRecordTotalCount", Unsigned64, 8},
	{samplerID, "samplerId", Unsigned8, 1},
	{flowSamplerMode, "samplerMode", Unsigned8, 1},
	{flowSamplerRandomInterval, "samplerRandomInterval", Unsigned32, 4},
	{minimumTTL, "minimumTTL", Unsigned8, 1},
	{maximumTTL, "maximumTTL", Unsigned8, 1},
	{sourceMacAddress, "sourceMacAddress", MACAddress, 6},
	{vlanID, "vlanId", Unsigned16, 2},
	{postVlanID, "postVlanId", Unsigned16, 2},
	{ipVersion, "ipVersion", Unsigned8, 1},
	{flowDirection, "flowDirection", Unsigned8, 1},
	{ipNextHopIPv6Address, "ipNextHopIPv6Address", IPv6Address, 16},
	{bgpNextHopIPv6Address, "bgpNextHopIPv6Address", IPv6Address, 16},
	{ipv6ExtensionHeaders, "ipv6ExtensionHeaders", Unsigned32, 4},
	{mplsTopLabelStackSection, "mplsTopLabelStackSection", OctetArray, 3},
	{mplsLabelStackSection2, "mplsLabelStackSection2", OctetArray, 3},
	{mplsLabelStackSection3, "mplsLabelStackSection3", OctetArray, 3},
	{destinationMacAddress, "destinationMacAddress", MACAddress, 6},
	{interfaceName, "interfaceName", String, 0},
	{interfaceDescription, "interfaceDescription", String, 0},
	{forwardingStatus, "forwardingStatus", Unsigned8, 1},
	{applicationID, "applicationId", OctetArray, 4},
	{flowEndReason, "flowEndReason", Unsigned8, 1},
	{icmpTypeCodeIPv6, "icmpTypeCodeIPv6", Unsigned16, 2},
	{exportingProcessID, "exportingProcessId", Unsigned32, 4},
	{templateID, "templateId", Unsigned16, 2},
	{flowID, "flowId", Unsigned64, 8},
	{observationDomainID, "observationDomainId", Unsigned32, 4},
	{flowStartMilliseconds, "flowStartMilliseconds", DateTimeMilliseconds, 8},
	{flowEndMilliseconds, "flowEndMilliseconds", DateTimeMilliseconds, 8},
	{flowStartMicroseconds, "flowStartMicroseconds", DateTimeMicroseconds, 8},
	{flowEndMicroseconds, "flowEndMicroseconds", DateTimeMicroseconds, 8},
	{flowStartNanoseconds, "flowStartNanoseconds", DateTimeNanoseconds, 8},
	{flowEndNanoseconds, "flowEndNanoseconds", DateTimeNanoseconds, 8},
	{systemInitTime, "systemInitTimeMilliseconds", DateTimeMilliseconds, 8},
	{ignoredPacketTotalCount, "ignoredPacketTotalCount", Unsigned64, 8},
	{ignoredOctetTotalCount, "ignoredOctetTotalCount", Unsigned64, 8},
	{notSentFlowTotalCount, "notSentFlowTotalCount", Unsigned64, 8},
	{notSentPacketTotalCount, "notSentPacketTotalCount", Unsigned64, 8},
	{notSentOctetTotalCount, "notSentOctetTotalCount", Unsigned64, 8},
	{flowKeyIndicator, "flowKeyIndicator", Unsigned64, 8},
	{ipDiffServCodePoint, "ipDiffServCodePoint", Unsigned8, 1},
	{fragmentFlags, "fragmentFlags", Unsigned8, 1},
	{mplsLabelStackDepth, "mplsLabelStackDepth", Unsigned32, 4},
	{ingressVRFID, "ingressVRFID", Unsigned32, 4},
	{egressVRFID, "egressVRFID", Unsigned32, 4},
	{biflowDirection, "biflowDirection", Unsigned8, 1},
	{dot1qVlanID, "dot1qVlanId", Unsigned16, 2},
	{dot1qPriority, "dot1qPriority", Unsigned8, 1},
	{dot1qCustomerVlanID, "dot1qCustomerVlanId", Unsigned16, 2},
	{dot1qCustomerPriority, "dot1qCustomerPriority", Unsigned8, 1},
	{selectorID, "selectorId", Unsigned64, 8},
	{selectorAlgorithm, "selectorAlgorithm", Unsigned16, 2},
	{samplingPacketInterval, "samplingPacketInterval", Unsigned32, 4},
	{samplingPacketSpace, "samplingPacketSpace", Unsigned32, 4},
	{samplingSize, "samplingSize", Unsigned32, 4},
	{samplingPopulation, "samplingPopulation", Unsigned32, 4},
	{observationTimeMilliseconds, "observationTimeMilliseconds", DateTimeMilliseconds, 8},
}

// ElementByID returns the Information Element with this id, if this package
// exports it.
func ElementByID(id uint16) (Element, bool) {
	i := sort.Search(len(elements), func(i int) bool { return elements[i].ID >= id })
	if i < len(elements) && elements[i].ID == id {
		return elements[i], true
	}
	return Element{}, false
}
