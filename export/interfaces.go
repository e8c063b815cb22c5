package export

import "unicode/utf8"

// Interface is what the interface table announces of an interface.
type Interface struct {
	Index       uint32 // as flow records have it
	Name        string
	Description string // what an administrator wrote (ifAlias)
}

// Octets of a name and of a description, as IOS XE announces them: what is longer is cut,
// and zeros fill up what is shorter.
const (
	nameLength        = 32
	descriptionLength = 64
)

// interfaceTable lays out the option that maps the indexes in records to names: in
// NetFlow v9 as IOS XE has it, in IPFIX with the interface as the scope, which is what it
// is about.
func (o *options) interfaceTable(c *Config) {
	name, description := field{interfaceName, nameLength}, field{interfaceDescription, descriptionLength}
	if c.Protocol == IPFIX {
		o.layout(IPFIX, field{ingressInterface, 4}, name, description)
	} else {
		o.layout(NetFlow9, domainScope(NetFlow9), field{ingressInterface, 4}, name, description)
	}
	o.records = func(b []byte) []byte {
		for _, i := range c.InterfaceTable() {
			if c.Protocol == NetFlow9 {
				b = be.AppendUint32(b, c.SourceID)
			}
			b = be.AppendUint32(b, i.Index)
			b = appendText(b, i.Name, nameLength)
			b = appendText(b, i.Description, descriptionLength)
		}
		return b
	}
}

// appendText appends as much of s as fits into n octets, whole characters of UTF-8 only
// (RFC 7011 §6.1.6), and zeros.
func appendText(b []byte, s string, n int) []byte {
	if len(s) > n {
		s = s[:n]
		for len(s) > 0 {
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	b = append(b, s...)
	return append(b, make([]byte, n-len(s))...)
}
