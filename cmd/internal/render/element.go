package render

import (
	"slices"
	"sort"
)

// Element is an Information Element as it is written.
type Element struct {
	// ID is the element's number in the IANA registry; 0 for all others.
	ID   uint16
	Name string
	Kind Kind

	key      string // the JSON member's name with quotes and colon
	rank     int    // position in the order of a line, from 1; unranked go behind
	omitZero bool
}

// Kind is an abstract data type of RFC 7012 §3.1, as far as types are written
// differently.
type Kind uint8

const (
	Octets   Kind = iota // hexadecimal text
	Unsigned             // of 1 to 8 octets, also where fewer than the registry says (RFC 7011 §6.2)
	Signed
	Float
	Boolean // 1 true, 2 false (RFC 7011 §6.1.5)
	Text    // UTF-8; NetFlow v9 pads it with zeros
	MAC
	IPv4
	IPv6
	Seconds      // since 1970, four octets
	Milliseconds // since 1970, eight octets
	Microseconds // NTP's 64-bit timestamp (RFC 5905 §6)
	Nanoseconds  // the same
)

// Fits reports whether a value of n octets can be of kind k. Only integers and
// floats have several sizes.
func (k Kind) Fits(n int) bool {
	switch k {
	case Unsigned, Signed:
		return n >= 1 && n <= 8
	case Float:
		return n == 4 || n == 8
	case Boolean:
		return n == 1
	case MAC:
		return n == 6
	case IPv4, Seconds:
		return n == 4
	case IPv6:
		return n == 16
	case Milliseconds, Microseconds, Nanoseconds:
		return n == 8
	}
	return true
}

// order is the order of the elements in a line.
var order = [...]string{
	"sourceIPv4Address", "destinationIPv4Address",
	"sourceIPv6Address", "destinationIPv6Address",
	"sourceTransportPort", "destinationTransportPort",
	"protocolIdentifier", "ipClassOfService", "ipDiffServCodePoint", "tcpControlBits",
	"ingressInterface", "egressInterface", "flowDirection",
	"packetDeltaCount", "octetDeltaCount",
	"flowStartMilliseconds", "flowEndMilliseconds",
	"minimumIpTotalLength", "maximumIpTotalLength", "minimumTTL", "maximumTTL",
	"sourceMacAddress", "destinationMacAddress",
	"vlanId", "postVlanId", "dot1qPriority", "dot1qCustomerVlanId", "dot1qCustomerPriority",
	"mplsTopLabelStackSection", "mplsLabelStackSection2", "mplsLabelStackSection3",
	"mplsLabelStackDepth",
	"icmpTypeCodeIPv4", "icmpTypeCodeIPv6", "flowLabelIPv6", "fragmentFlags",
	"ipNextHopIPv4Address", "ipNextHopIPv6Address",
	"sourceIPv4PrefixLength", "destinationIPv4PrefixLength",
	"sourceIPv6PrefixLength", "destinationIPv6PrefixLength",
	"forwardingStatus", "flowEndReason", "ipVersion",
}

// zeroMeansNone lists the elements that are left out where they are zero.
var zeroMeansNone = [...]string{
	"ipNextHopIPv4Address", "ipNextHopIPv6Address", "bgpNextHopIPv4Address", "bgpNextHopIPv6Address",
	"bgpSourceAsNumber", "bgpDestinationAsNumber", "bgpNextAdjacentAsNumber", "bgpPrevAdjacentAsNumber",
	"flowLabelIPv6",
	"icmpTypeCodeIPv4", "icmpTypeCodeIPv6",
	"sourceMacAddress", "postDestinationMacAddress", "destinationMacAddress", "postSourceMacAddress",
	"vlanId", "postVlanId", "dot1qVlanId", "postDot1qVlanId",
	"dot1qCustomerVlanId", "postDot1qCustomerVlanId", "dot1qPriority", "dot1qCustomerPriority",
	"mplsTopLabelStackSection", "mplsLabelStackSection2", "mplsLabelStackSection3", "mplsLabelStackSection4",
	"mplsLabelStackSection5", "mplsLabelStackSection6", "mplsLabelStackSection7",
	"mplsLabelStackSection8", "mplsLabelStackSection9", "mplsLabelStackSection10",
	"mplsLabelStackDepth",
	"fragmentFlags",
}

// Ids that the package treats by name.
const (
	icmpTypeCodeIPv4 = 32
	icmpTypeCodeIPv6 = 139
)

func init() {
	for i := range registry {
		registry[i].key = key(registry[i].Name)
	}
	for i, name := range order {
		elementByName(name).rank = i + 1
	}
	for _, name := range zeroMeansNone {
		elementByName(name).omitZero = true
	}
}

// ElementByID returns the IANA element of that number, or nil where the
// registry has none. It is shared: callers do not change it.
func ElementByID(id uint16) *Element {
	i := sort.Search(len(registry), func(i int) bool { return registry[i].ID >= id })
	if i < len(registry) && registry[i].ID == id {
		return &registry[i]
	}
	return nil
}

// elementByName is for names that are in the registry.
func elementByName(name string) *Element {
	i := slices.IndexFunc(registry, func(e Element) bool { return e.Name == name })
	return &registry[i]
}

// NewElement returns an element that is not in the registry. The name is of
// letters, digits, dots and '#': it is not escaped.
func NewElement(name string, k Kind) *Element {
	return &Element{Name: name, Kind: k, key: key(name)}
}

// Before reports whether e stands before o in a line, both being ranked or not;
// elements of equal rank keep the order that they have.
func (e *Element) Before(o *Element) bool { return e.position() < o.position() }

func (e *Element) position() int {
	if e.rank == 0 {
		return len(order) + 1
	}
	return e.rank
}

func key(name string) string { return `"` + name + `":` }
