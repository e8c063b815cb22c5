package daemon

import (
	"net/netip"
	"sync/atomic"

	"cacheflow/cache"
	"cacheflow/cache/flow"
)

// ownExports knows the addresses and ports of our own export datagrams, so
// that they are not metered: otherwise each record would make another.
type ownExports struct {
	pairs atomic.Pointer[[]ownPair]
}

// ownSocket is a socket of an exporter, and the IP protocol of its packets.
type ownSocket struct {
	local, remote netip.AddrPort
	protocol      uint8
}

// ownPair is one exporter's socket, laid out as a flow.Key has it.
type ownPair struct {
	src, dst         [16]byte
	srcPort, dstPort uint16
	version          uint8
	protocol         uint8
}

// set replaces the known sockets. Any goroutine may call it.
func (o *ownExports) set(sockets []ownSocket) {
	pairs := make([]ownPair, 0, len(sockets))
	for _, s := range sockets {
		p := ownPair{srcPort: s.local.Port(), dstPort: s.remote.Port(), protocol: s.protocol}
		p.version, p.src = keyAddr(s.local.Addr())
		_, p.dst = keyAddr(s.remote.Addr())
		pairs = append(pairs, p)
	}
	o.pairs.Store(&pairs)
}

// filter takes our own datagrams out of the batch, in place, and adds them to
// ignored.
func (o *ownExports) filter(batch []flow.Packet, ignored *cache.Sum) []flow.Packet {
	pairs := o.pairs.Load()
	if pairs == nil || len(*pairs) == 0 {
		return batch
	}
	kept := 0
	for i := range batch {
		p := &batch[i]
		if isOwn(*pairs, &p.Key) {
			ignored.Flows++
			ignored.Packets += p.Packets
			ignored.Octets += p.Octets
			continue
		}
		if kept != i {
			batch[kept] = *p
		}
		kept++
	}
	return batch[:kept]
}

// isOwn asks first what is nearly always false, and not for the protocol, which
// the processor cannot foresee.
func isOwn(pairs []ownPair, k *flow.Key) bool {
	for i := range pairs {
		p := &pairs[i]
		if p.dstPort == k.DstPort && p.srcPort == k.SrcPort && k.Protocol == p.protocol &&
			p.version == k.Version && p.src == k.Src && p.dst == k.Dst {
			return true
		}
	}
	return false
}

// keyAddr lays an address out as a flow.Key does.
func keyAddr(a netip.Addr) (version uint8, b [16]byte) {
	a = a.Unmap()
	if a.Is4() {
		v4 := a.As4()
		copy(b[:], v4[:])
		return 4, b
	}
	return 6, a.As16()
}
