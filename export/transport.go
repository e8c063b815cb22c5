package export

import "fmt"

// Transport carries messages to a collector.
type Transport uint8

const (
	UDP  Transport = iota // RFC 7011 §10.3
	TCP                   // §10.4, IPFIX only
	TLS                   // over TCP, §11, IPFIX only
	DTLS                  // over UDP, §11, IPFIX only
)

var transportNames = [...]string{UDP: "udp", TCP: "tcp", TLS: "tls", DTLS: "dtls"}

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
	return 0, fmt.Errorf("unknown transport %q: want udp, tcp, tls or dtls", s)
}

// isStream tells a reliable stream of octets, which loses no message while it lasts, from
// datagrams.
func (t Transport) isStream() bool { return t == TCP || t == TLS }

// isConnected tells whether the collector can hang up, and is then called again.
func (t Transport) isConnected() bool { return t != UDP }

// IsSecure tells whether both sides have to show a certificate.
func (t Transport) IsSecure() bool { return t == TLS || t == DTLS }

// MTUBounds returns the least and the largest MTU that a Config may have.
func (t Transport) MTUBounds() (least, most int) {
	if t == DTLS {
		return MinMTU + dtlsOverhead, maxFragment + dtlsOverhead
	}
	return MinMTU, MaxMTU
}

// overhead returns how many octets of a datagram there may be besides the message.
func (t Transport) overhead() int {
	if t == DTLS {
		return dtlsOverhead
	}
	return 0
}
