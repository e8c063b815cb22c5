//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Loopback is the Index of lo: LOOPBACK_IFINDEX of linux/loopback.h (net/net_namespace.h).
const Loopback = 1

// Link is an interface, as RTM_GETLINK tells it (rtnetlink(7)).
type Link struct {
	Index uint32
	Name  string
	Up    bool
	Type  uint16 // ARPHRD_ETHER …, of linux/if_arp.h
	// Lower is the interface that this one lies on, of those kinds whose packets
	// are seen on both (a VLAN, a macvlan); Master is the bridge, bond or VRF
	// that it belongs to. 0 where there is none.
	Lower, Master uint32
	// VRF says that it is a VRF: what its members receive then appears as its own.
	VRF bool
}

// HasHeader reports whether frames of the interface begin with an Ethernet header.
func (l *Link) HasHeader() bool { return l.Type == unix.ARPHRD_ETHER || l.Type == unix.ARPHRD_LOOPBACK }

// stackedKinds are the kinds of interface whose IFLA_LINK carries the same
// packets. (That of a veth is its peer, that of a tunnel carries other packets.)
var stackedKinds = map[string]bool{
	"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true, "macsec": true, "dsa": true, "rmnet": true,
}

// List returns the interfaces of the calling thread's network namespace.
func List() ([]Link, error) {
	var links []Link
	err := dump(syscall.RTM_GETLINK, syscall.RTM_NEWLINK, func(body []byte, attrs []syscall.NetlinkRouteAttr) {
		if len(body) < unix.SizeofIfInfomsg {
			return
		}
		info := (*unix.IfInfomsg)(unsafe.Pointer(&body[0]))
		links = append(links, parseLink(info, attrs))
	})
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	return links, nil
}

func parseLink(info *unix.IfInfomsg, attrs []syscall.NetlinkRouteAttr) Link {
	l := Link{Index: uint32(info.Index), Up: info.Flags&unix.IFF_UP != 0, Type: info.Type}
	lower, elsewhere, kind := uint32(0), false, ""
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			l.Name = strings.TrimRight(string(a.Value), "\x00")
		case unix.IFLA_LINK:
			lower = nativeUint32(a.Value)
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_MASTER:
			l.Master = nativeUint32(a.Value)
		case unix.IFLA_LINKINFO:
			kind = strings.TrimRight(string(nested(a.Value, unix.IFLA_INFO_KIND)), "\x00")
		}
	}
	l.VRF = kind == "vrf"
	if stackedKinds[kind] && !elsewhere && lower != l.Index {
		l.Lower = lower
	}
	return l
}

// addressed returns the indexes of the interfaces that have an address.
func addressed() (map[uint32]bool, error) {
	has := map[uint32]bool{}
	err := dump(syscall.RTM_GETADDR, syscall.RTM_NEWADDR, func(body []byte, _ []syscall.NetlinkRouteAttr) {
		if len(body) >= unix.SizeofIfAddrmsg {
			has[(*unix.IfAddrmsg)(unsafe.Pointer(&body[0])).Index] = true
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list the addresses: %w", err)
	}
	return has, nil
}

// defaultRoutes returns the indexes of the interfaces that default routes of
// the main table leave by.
func defaultRoutes() (map[uint32]bool, error) {
	out := map[uint32]bool{}
	err := dump(syscall.RTM_GETROUTE, syscall.RTM_NEWROUTE, func(body []byte, attrs []syscall.NetlinkRouteAttr) {
		if len(body) < unix.SizeofRtMsg {
			return
		}
		m := (*unix.RtMsg)(unsafe.Pointer(&body[0]))
		if m.Dst_len != 0 || m.Type != unix.RTN_UNICAST || m.Table != unix.RT_TABLE_MAIN {
			return
		}
		for _, a := range attrs {
			switch a.Attr.Type &^ unix.NLA_F_NESTED {
			case unix.RTA_OIF:
				out[nativeUint32(a.Value)] = true
			case unix.RTA_MULTIPATH:
				for v := a.Value; len(v) >= unix.SizeofRtNexthop; {
					hop := (*unix.RtNexthop)(unsafe.Pointer(&v[0]))
					out[uint32(hop.Ifindex)] = true
					v = v[min(len(v), max(unix.SizeofRtNexthop, align4(int(hop.Len)))):]
				}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list the routes: %w", err)
	}
	return out, nil
}

// dump asks rtnetlink for all of a kind and calls f with each answer's fixed
// part and attributes.
func dump(ask, answer int, f func(body []byte, attrs []syscall.NetlinkRouteAttr)) error {
	rib, err := syscall.NetlinkRIB(ask, syscall.AF_UNSPEC)
	if err != nil {
		return err
	}
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return err
	}
	for i := range messages {
		if int(messages[i].Header.Type) != answer {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&messages[i])
		if err != nil {
			return err
		}
		f(messages[i].Data, attrs)
	}
	return nil
}

// nested returns the value of an attribute inside a nested one.
func nested(b []byte, want uint16) []byte {
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return nil
		}
		if binary.NativeEndian.Uint16(b[2:]) == want {
			return b[unix.SizeofRtAttr:n]
		}
		b = b[min(len(b), align4(n)):]
	}
	return nil
}

func align4(n int) int { return (n + 3) &^ 3 }

func nativeUint32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
