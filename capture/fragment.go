package capture

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"time"

	"cacheflow/cache/flow"
)

// fragment completes p, a fragment of datagram id: the first one, whose
// transport header l4 begins with, or a later one, which is joined to the ports
// of its first. protocol is part of the datagram's identity in IPv4 (RFC 791
// §3.2) and 0 in IPv6 (RFC 8200 §4.5).
func (d *Decoder) fragment(f *Frame, p *flow.Packet, l4 []byte, id uint32, protocol uint8, first bool) {
	p.Fragment = true
	if first {
		transport(p, l4)
	}
	if d.fragments == nil {
		return
	}
	k := datagram{
		src: p.Src, dst: p.Dst, id: id, protocol: protocol, version: p.Version,
		input: f.Input, output: f.Output,
		vlan: p.VLAN & vlanID, customerVLAN: p.CustomerVLAN & vlanID,
	}
	if first {
		d.fragments.remember(&k, p)
	} else {
		d.fragments.join(&k, p)
	}
}

// vlanID masks the VLAN identifier in a tag (IEEE 802.1Q §9.6).
const vlanID = 0x0fff

// datagram identifies what fragments belong to. Interfaces and VLANs may have
// address plans of their own.
type datagram struct {
	src, dst           [16]byte
	id                 uint32
	input, output      uint32
	vlan, customerVLAN uint16
	version, protocol  uint8
}

// fragmentEntry is what the first fragment told. It holds no pointer.
type fragmentEntry struct {
	datagram
	protocol         uint8 // behind the extension headers
	used             bool
	srcPort, dstPort uint16
	next             int32 // in its chain, -1 at the end
	first            flow.Time
}

// fragmentTable remembers the newest datagrams of which a first fragment was
// seen: a ring in the order of arrival, found by chains from a seeded hash. The
// oldest is replaced, so that the seed has no part in what is remembered.
type fragmentTable struct {
	ring   []fragmentEntry
	oldest int     // where the next datagram goes
	heads  []int32 // of the chains; a power of two, -1 where empty
	seed   uint64
	age    flow.Time
}

func newFragmentTable(entries int, age time.Duration, seed uint64) *fragmentTable {
	if entries <= 0 {
		entries = DefaultFragmentEntries
	}
	if age <= 0 {
		age = DefaultFragmentAge
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t := &fragmentTable{
		ring:  make([]fragmentEntry, entries),
		heads: make([]int32, 1<<bits.Len(uint(entries-1))),
		seed:  seed,
		age:   flow.Time(age),
	}
	for i := range t.heads {
		t.heads[i] = -1
	}
	return t
}

// remember keeps the ports of p, the first fragment of k. A datagram that is
// known already is forgotten: its identification is used again.
func (t *fragmentTable) remember(k *datagram, p *flow.Packet) {
	head := t.head(k)
	if i := t.find(*head, k); i >= 0 {
		t.unlink(head, i)
	}
	i := int32(t.oldest)
	e := &t.ring[i]
	if e.used {
		t.unlink(t.head(&e.datagram), i)
	}
	*e = fragmentEntry{
		datagram: *k, used: true,
		protocol: p.Protocol, srcPort: p.SrcPort, dstPort: p.DstPort,
		first: p.First, next: *head,
	}
	*head = i
	t.oldest = (t.oldest + 1) % len(t.ring)
}

// join gives p, a later fragment of k, the protocol and ports of its first.
func (t *fragmentTable) join(k *datagram, p *flow.Packet) {
	i := t.find(*t.head(k), k)
	if i < 0 {
		return
	}
	e := &t.ring[i]
	if age := p.First - e.first; age > t.age || age < -t.age {
		return
	}
	p.Protocol, p.SrcPort, p.DstPort = e.protocol, e.srcPort, e.dstPort
}

// find returns the place of k in the chain that begins at i, or -1.
func (t *fragmentTable) find(i int32, k *datagram) int32 {
	for i >= 0 && t.ring[i].datagram != *k {
		i = t.ring[i].next
	}
	return i
}

// unlink takes entry i out of the chain that begins at *head.
func (t *fragmentTable) unlink(head *int32, i int32) {
	for *head != i {
		head = &t.ring[*head].next
	}
	*head = t.ring[i].next
	t.ring[i].used = false
}

// head returns the chain of k.
func (t *fragmentTable) head(k *datagram) *int32 {
	h := t.seed
	for _, w := range [...]uint64{
		word(k.src[:8]), word(k.src[8:]), word(k.dst[:8]), word(k.dst[8:]),
		uint64(k.id) | uint64(k.protocol)<<32 | uint64(k.version)<<40,
		uint64(k.input)<<32 | uint64(k.output),
		uint64(k.vlan)<<16 | uint64(k.customerVLAN),
	} {
		hi, lo := bits.Mul64(h^w, 0x9e3779b97f4a7c15)
		h = hi ^ lo ^ t.seed
	}
	return &t.heads[h&uint64(len(t.heads)-1)]
}

// word reads in the machine's own order: the hash never leaves it.
func word(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }
