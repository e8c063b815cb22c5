package export

import "fmt"

// Protocol is one of the three wire formats, or JSON. The value of a wire format is the
// version number that leads every message, and the zero value is the router's default,
// NetFlow v9.
type Protocol uint8

const (
	NetFlow5 Protocol = 5
	NetFlow9 Protocol = 9  // RFC 3954
	IPFIX    Protocol = 10 // RFC 7011
	JSON     Protocol = 1  // an object a line, for files only
)

// Version returns the version number that leads every message, or 0.
func (p Protocol) Version() int {
	if p == JSON {
		return 0
	}
	return int(p)
}

// hasTemplates reports whether records are described by templates.
func (p Protocol) hasTemplates() bool { return p == NetFlow9 || p == IPFIX }

// String returns the protocol as the configuration names it.
func (p Protocol) String() string {
	switch p {
	case NetFlow5:
		return "netflow5"
	case 0, NetFlow9:
		return "netflow9"
	case IPFIX:
		return "ipfix"
	case JSON:
		return "json"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// ParseProtocol reads what String writes.
func ParseProtocol(s string) (Protocol, error) {
	switch s {
	case "netflow5":
		return NetFlow5, nil
	case "netflow9":
		return NetFlow9, nil
	case "ipfix":
		return IPFIX, nil
	case "json":
		return JSON, nil
	}
	return 0, fmt.Errorf("unknown protocol %q: want netflow5, netflow9, ipfix or json", s)
}

// MarshalText implements encoding.TextMarshaler.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Protocol) UnmarshalText(b []byte) (err error) {
	*p, err = ParseProtocol(string(b))
	return err
}
