//go:build linux

package route

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
)

// Messages of ctnetlink (linux/netfilter/nfnetlink_conntrack.h), and the one
// attribute of the answer to the second: how many connections there are.
const (
	ctGet           = unix.NFNL_SUBSYS_CTNETLINK<<8 | nl.IPCTNL_MSG_CT_GET
	ctGetStats      = unix.NFNL_SUBSYS_CTNETLINK<<8 | 5 // IPCTNL_MSG_CT_GET_STATS
	ctGlobalEntries = 1                                 // CTA_STATS_GLOBAL_ENTRIES
)

// conntrackSysctl is there once the kernel has the module nf_conntrack, in use or
// not. To ask by netlink would load it.
const conntrackSysctl = "/proc/sys/net/netfilter/nf_conntrack_count"

// Pauses before connection tracking is tried again: for where nobody uses it,
// and for where it cannot be asked, which may have had the kernel look for a
// module.
const (
	unusedPause = time.Second
	failedPause = time.Minute
)

// tracker asks connection tracking what becomes of the packets of a flow to an
// address that this host translates. It asks only once there are connections in
// the network namespace. Without CAP_NET_ADMIN the kernel does not answer.
type tracker struct {
	socket
	inUse  bool
	paused atomic.Bool // until a timer ends it, nobody looks whether it is in use

	asked, translated, failed atomic.Uint64
}

// translate makes of k the key by which the kernel routes its packets, with
// another destination. It returns false where there is none.
//
// ICMP cannot be asked for: conntrack tells echoes apart by their identifier,
// which is not in a key. The replies to several hosts may be one flow anyway.
func (t *tracker) translate(k *flow.Key) bool {
	if k.Protocol == flow.ProtocolICMP || k.Protocol == flow.ProtocolICMPv6 || !t.isInUse() {
		return false
	}
	t.asked.Add(1)
	var c connection
	m, err := t.exchange(ctGet, appendTuple(t.beginFor(k), k))
	switch {
	case err == unix.ENOENT:
		return false
	case err != nil || !c.parse(m.data):
		t.fail()
		return false
	case !c.translate(k):
		return false
	}
	t.translated.Add(1)
	return true
}

// isInUse reports whether there are, or were, connections. Those of a gateway
// may be between two for a moment: once in use, tracking stays so until it fails.
func (t *tracker) isInUse() bool {
	if !t.inUse && !t.paused.Load() {
		t.look()
	}
	return t.inUse
}

// look sees whether there are connections.
func (t *tracker) look() {
	if unix.Access(conntrackSysctl, unix.F_OK) != nil {
		t.pause(unusedPause)
		return
	}
	m, err := t.exchange(ctGetStats, t.beginFor(&flow.Key{}))
	if err != nil {
		t.fail()
		return
	}
	if t.inUse = parseEntries(m.data) > 0; !t.inUse {
		t.pause(unusedPause)
	}
}

func (t *tracker) fail() {
	t.failed.Add(1)
	t.inUse = false
	t.pause(failedPause)
}

func (t *tracker) pause(d time.Duration) {
	t.paused.Store(true)
	time.AfterFunc(d, func() { t.paused.Store(false) })
}

// beginFor begins a request about k: header and struct nfgenmsg.
func (t *tracker) beginFor(k *flow.Key) []byte {
	family := byte(unix.AF_INET)
	if k.Version == 6 {
		family = unix.AF_INET6
	}
	return append(t.begin(), family, nl.NFNETLINK_V0, 0, 0)
}

// appendTuple appends that of a packet of k as CTA_TUPLE_ORIG. The kernel finds
// the connection of which it is either direction's, in the zone 0. It tracks
// protocols that it does not know by addresses alone, and then does not read the
// ports.
func appendTuple(b []byte, k *flow.Key) []byte {
	size, src, dst := 4, uint16(nl.CTA_IP_V4_SRC), uint16(nl.CTA_IP_V4_DST)
	if k.Version == 6 {
		size, src, dst = 16, nl.CTA_IP_V6_SRC, nl.CTA_IP_V6_DST
	}
	whole := len(b)
	b = append(b, make([]byte, sizeofAttr)...)
	part := len(b)
	b = append(b, make([]byte, sizeofAttr)...)
	b = appendAttr(b, src, k.Src[:size])
	b = appendAttr(b, dst, k.Dst[:size])
	nest(b[part:], nl.CTA_TUPLE_IP)
	part = len(b)
	b = append(b, make([]byte, sizeofAttr)...)
	b = appendAttr(b, nl.CTA_PROTO_NUM, []byte{k.Protocol})
	b = appendPort(b, nl.CTA_PROTO_SRC_PORT, k.SrcPort)
	b = appendPort(b, nl.CTA_PROTO_DST_PORT, k.DstPort)
	nest(b[part:], nl.CTA_TUPLE_PROTO)
	nest(b[whole:], nl.CTA_TUPLE_ORIG)
	return b
}

// nest makes of b, which begins with room for its header, one attribute.
func nest(b []byte, kind uint16) {
	native.PutUint16(b, uint16(len(b)))
	native.PutUint16(b[2:], kind|unix.NLA_F_NESTED)
}

// connection is what conntrack knows of one: the tuples of the packets of both
// directions as they come in, the first packet's first.
type connection [2]tuple

type tuple struct {
	src, dst         [16]byte // as in flow.Key
	srcPort, dstPort uint16   // host byte order
	ports            bool     // the protocol is tracked with ports
}

// translate gives k the destination that its packets go on to: it is where the
// other direction's come from. It returns false where that is their own.
func (c *connection) translate(k *flow.Key) bool {
	other := &c[0]
	if c[0].is(k) {
		other = &c[1]
	}
	if other.src == k.Dst {
		return false
	}
	k.Dst = other.src
	if other.ports {
		k.DstPort = other.srcPort
	}
	return true
}

// is reports whether t is the tuple of a packet of k.
func (t *tuple) is(k *flow.Key) bool {
	return t.src == k.Src && t.dst == k.Dst && (!t.ports || t.srcPort == k.SrcPort && t.dstPort == k.DstPort)
}

// parse reads the payload of an IPCTNL_MSG_CT_NEW message: struct nfgenmsg and
// attributes. It returns false where that does not have both tuples.
func (c *connection) parse(b []byte) bool {
	if len(b) < nl.SizeofNfgenmsg {
		return false
	}
	tuples := 0
	for kind, v := range attributes(b[nl.SizeofNfgenmsg:]) {
		if kind == nl.CTA_TUPLE_ORIG || kind == nl.CTA_TUPLE_REPLY {
			c[kind-nl.CTA_TUPLE_ORIG].parse(v)
			tuples |= 1 << kind
		}
	}
	return tuples == 1<<nl.CTA_TUPLE_ORIG|1<<nl.CTA_TUPLE_REPLY
}

func (t *tuple) parse(b []byte) {
	for part, b := range attributes(b) {
		for kind, v := range attributes(b) {
			switch {
			case part == nl.CTA_TUPLE_IP && (kind == nl.CTA_IP_V4_SRC || kind == nl.CTA_IP_V6_SRC):
				copy(t.src[:], v)
			case part == nl.CTA_TUPLE_IP && (kind == nl.CTA_IP_V4_DST || kind == nl.CTA_IP_V6_DST):
				copy(t.dst[:], v)
			case part == nl.CTA_TUPLE_PROTO && kind == nl.CTA_PROTO_SRC_PORT && len(v) == 2:
				t.srcPort, t.ports = binary.BigEndian.Uint16(v), true
			case part == nl.CTA_TUPLE_PROTO && kind == nl.CTA_PROTO_DST_PORT && len(v) == 2:
				t.dstPort = binary.BigEndian.Uint16(v)
			}
		}
	}
}

// parseEntries reads the payload of the answer to IPCTNL_MSG_CT_GET_STATS.
func parseEntries(b []byte) (n uint32) {
	if len(b) < nl.SizeofNfgenmsg {
		return 0
	}
	for kind, v := range attributes(b[nl.SizeofNfgenmsg:]) {
		if kind == ctGlobalEntries && len(v) == 4 {
			n = binary.BigEndian.Uint32(v)
		}
	}
	return n
}
