//go:build linux

package route

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// attr returns a netlink attribute.
func attr(kind uint16, v ...byte) []byte { return appendAttr(nil, kind, v) }

func attr32(kind uint16, v uint32) []byte { return appendAttr32(nil, kind, v) }

// rtmsg returns the payload of a routing message: struct rtmsg and attributes.
func rtmsg(family, bits, kind byte, attrs ...[]byte) []byte {
	b := []byte{family, bits, 0, 0, unix.RT_TABLE_MAIN, 3, 0, kind, 0, 0, 0, 0}
	for _, a := range attrs {
		b = append(b, a...)
	}
	return b
}

var routeMessages = []struct {
	name string
	data []byte
	want update
}{
	{
		"default", rtmsg(unix.AF_INET, 0, unix.RTN_UNICAST, attr32(unix.RTA_OIF, 7), attr(unix.RTA_GATEWAY, 10, 0, 0, 1)),
		update{prefix: netip.MustParsePrefix("0.0.0.0/0"), table: 254, spec: spec{version: 4, kind: 1, proto: 3, oif: 7, gwVersion: 4, gw: [16]byte{10, 0, 0, 1}}},
	},
	{
		"IPv6 next hop", rtmsg(unix.AF_INET, 24, unix.RTN_UNICAST, attr(unix.RTA_DST, 192, 0, 2, 0), attr32(unix.RTA_OIF, 7),
			attr(unix.RTA_VIA, append([]byte{unix.AF_INET6, 0, 0xfe, 0x80}, make([]byte, 14)...)...)),
		update{prefix: netip.MustParsePrefix("192.0.2.0/24"), table: 254, spec: spec{version: 4, bits: 24, kind: 1, proto: 3, oif: 7, gwVersion: 6, gw: [16]byte{0xfe, 0x80}}},
	},
	{
		"another table", rtmsg(unix.AF_INET, 32, unix.RTN_UNREACHABLE, attr(unix.RTA_DST, 192, 0, 2, 1), attr32(unix.RTA_TABLE, 100000), attr32(unix.RTA_PRIORITY, 9)),
		update{prefix: netip.MustParsePrefix("192.0.2.1/32"), table: 100000, spec: spec{version: 4, bits: 32, kind: unix.RTN_UNREACHABLE, proto: 3, priority: 9}},
	},
	{
		"two next hops", rtmsg(unix.AF_INET, 0, unix.RTN_UNICAST, attr(unix.RTA_MULTIPATH, append(append(
			[]byte{16, 0, 0, 0, 7, 0, 0, 0}, attr(unix.RTA_GATEWAY, 10, 0, 0, 1)...), 8, 0, 0, 0, 8, 0, 0, 0)...)),
		update{prefix: netip.MustParsePrefix("0.0.0.0/0"), table: 254, spec: spec{version: 4, kind: 1, proto: 3, oif: 7, gwVersion: 4, gw: [16]byte{10, 0, 0, 1}, multipath: true}},
	},
	{
		"nexthop object", rtmsg(unix.AF_INET6, 0, unix.RTN_UNICAST, attr32(rtaNexthopID, 5)),
		update{prefix: netip.MustParsePrefix("::/0"), table: 254, spec: spec{version: 6, kind: 1, proto: 3, nhid: 5}},
	},
}

func TestParseRoute(t *testing.T) {
	for _, c := range routeMessages {
		got, ok := parseRoute(c.data)
		if !ok {
			t.Errorf("%s: not read", c.name)
		}
		if d := cmp.Diff(c.want, got, cmp.AllowUnexported(update{}, spec{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}

// TestRuleSet tells the rules of a new namespace from all others.
func TestRuleSet(t *testing.T) {
	rule := func(priority, table uint32, more ...byte) []byte {
		b := []byte{unix.AF_INET, 0, 0, 0, byte(table), 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0}
		b = append(b, attr32(unix.FRA_TABLE, table)...)
		b = append(b, attr32(unix.FRA_SUPPRESS_PREFIXLEN, ^uint32(0))...)
		b = append(b, attr(unix.FRA_PROTOCOL, 2)...)
		if priority != 0 {
			b = append(b, attr32(unix.FRA_PRIORITY, priority)...)
		}
		return append(b, more...)
	}
	local, main, fallback := rule(0, 255), rule(32766, 254), rule(32767, 253)
	with := func(b []byte, i int, v byte) []byte {
		b = append([]byte(nil), b...)
		b[i] = v
		return b
	}
	for _, c := range []struct {
		name   string
		rules  [][]byte
		custom bool
	}{
		{"IPv4's", [][]byte{local, main, fallback}, false},
		{"IPv6's", [][]byte{local, main}, false},
		{"none", nil, true},
		{"without local", [][]byte{main, fallback}, true},
		{"one more table", [][]byte{local, rule(1000, 10), main, fallback}, true},
		{"of VRFs", [][]byte{local, rule(1000, 0, attr(unix.FRA_L3MDEV, 1)...), main, fallback}, true},
		{"main twice", [][]byte{local, main, main}, true},
		{"by mark", [][]byte{local, rule(32766, 254, attr32(unix.FRA_FWMARK, 1)...), fallback}, true},
		{"by source", [][]byte{local, with(main, 2, 24), fallback}, true},
		{"inverted", [][]byte{local, with(main, 8, 2), fallback}, true},
		{"unreachable", [][]byte{local, with(main, 7, unix.FR_ACT_UNREACHABLE), fallback}, true},
		{"suppressed", [][]byte{local, rule(32766, 254, attr32(unix.FRA_SUPPRESS_PREFIXLEN, 0)...), fallback}, true},
		{"truncated", [][]byte{local, main[:11], fallback}, true},
	} {
		s := ruleSet{seen: make(map[uint32]bool)}
		for _, r := range c.rules {
			s.add(r)
		}
		if s.isCustom() != c.custom {
			t.Errorf("%s: custom is %v", c.name, s.isCustom())
		}
	}
}

// FuzzNotifications feeds datagrams of any content, as a table reads them. No
// content makes it fail, and prefixes that it enters are those it may look up.
func FuzzNotifications(f *testing.F) {
	for _, c := range routeMessages {
		b := make([]byte, sizeofHeader, sizeofHeader+len(c.data))
		native.PutUint32(b, uint32(sizeofHeader+len(c.data)))
		native.PutUint16(b[4:], unix.RTM_NEWROUTE)
		f.Add(append(b, c.data...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		table := newTables(func(uint32) bool { return false })
		table.publish()
		for m := range messages(b) {
			parseLink(m.data)
			parseRule(m.data)
			u, ok := parseRoute(m.data)
			if !ok {
				continue
			}
			if int(u.spec.bits) != u.prefix.Bits() || u.prefix != u.prefix.Masked() {
				t.Errorf("%+v", u)
			}
			table.apply(m.kind, m.flags, &u)
		}
		for _, r := range table.ribs {
			for p, route := range r.main.trie.version.Load().All() {
				if int(route.bits) != p.Bits() {
					t.Errorf("%v has a route of length %d", p, route.bits)
				}
			}
		}
	})
}
