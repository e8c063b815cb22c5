package ios

import (
	"fmt"
	"strings"

	"cacheflow/cache/flow"
	"cacheflow/cmd/internal/control"
)

// abbreviations are the router's short forms of its interface types.
var abbreviations = [][2]string{
	{"HundredGigE", "Hu"}, {"FortyGigabitEthernet", "Fo"}, {"TwentyFiveGigE", "Twe"}, {"TenGigabitEthernet", "Te"},
	{"GigabitEthernet", "Gi"}, {"FastEthernet", "Fa"}, {"Ethernet", "Et"}, {"Serial", "Se"}, {"Loopback", "Lo"},
	{"Tunnel", "Tu"}, {"Port-channel", "Po"}, {"Vlan", "Vl"}, {"Dialer", "Di"}, {"Multilink", "Mu"},
	{"Virtual-Access", "Vi"}, {"Virtual-Template", "Vt"}, {"Cellular", "Ce"}, {"ATM", "AT"},
}

// shortName returns an interface's name in at most width characters: a router's
// name in its short form, any other as it is.
func shortName(name string, width int) string {
	for _, a := range abbreviations {
		if rest, ok := strings.CutPrefix(name, a[0]); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			name = a[1] + rest
			break
		}
	}
	return name[:min(len(name), width)]
}

// source returns the column of the interface that the flow came in by; a dash
// where that is not known, as of a leaving frame that a packet socket shows.
func source(f *control.Flow, width int) string {
	if f.IngressInterface == 0 {
		return "-"
	}
	return interfaceName(f.IngressInterface, f.IngressInterfaceName, width)
}

// destination returns the column of the interface that the flow leaves by:
// Local where this host is the destination, Null where there is no route, unless
// it was seen to leave. A flow that was metered at egress is marked with an
// asterisk.
func destination(f *control.Flow, width int) string {
	mark := ""
	if f.FlowDirection == flow.Egress {
		mark = "*"
		width--
	}
	switch {
	case f.EgressInterface != 0:
		return interfaceName(f.EgressInterface, f.EgressInterfaceName, width) + mark
	case f.ForwardingStatus.IsLocal():
		return "Local" + mark
	}
	return "Null" + mark
}

func interfaceName(index uint32, name string, width int) string {
	if name == "" {
		return shortName(fmt.Sprintf("if%d", index), width) // gone, or never told
	}
	return shortName(name, width)
}
