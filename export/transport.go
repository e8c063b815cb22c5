package export

import "fmt"

// Transport carries messages to a collector.
type Transport uint8

const (
	UDP Transport = iota // RFC 7011 §10.3
	TCP                  // §10.4, IPFIX only
	TLS                  // over TCP, §11, IPFIX only
)

var transportNames = [...]string{UDP: "udp", TCP: "tcp", TLS: "tls"}

// String returns the transport as the configuration names it.
func (t Transport) String() string {
	if int(t) < len(transportNames) {
		return transportNames[t]
	}
	return fmt.Sprintf("transport %d", uint8(t))
}

// ParseTransport reads what String writes.
func ParseTransport(s string) (Transport, error) {
	for t, name := range transportNames {
		if s == name {
			return Transport(t), nil
		}
	}
	return 0, fmt.Errorf("unknown transport %q: want udp, tcp or tls", s)
}

// isStream tells a reliable stream of octets, which loses no message while it lasts, from
// datagrams.
func (t Transport) isStream() bool { return t != UDP }
