package daemon

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"cacheflow/cache"
	"cacheflow/cache/flow"
)

// ownExports knows the addresses and ports of our own export datagrams, so
// that they are not metered: otherwise each record would make another.
type ownExports struct {
	pairs atomic.Pointer[[]ownPair]
	mu    sync.Mutex // guards known
	// known has the last two sockets of each exporter: what left by the one before may still
	// be on its way to a shard.
	known map[*exporter][]ownPair
}

// ownPair is one exporter's socket, laid out as a flow.Key has it.
type ownPair struct {
	src, dst         [16]byte
	srcPort, dstPort uint16
	version          uint8
	protocol         uint8
}

// add makes an exporter's socket known, whose packets have an IP protocol. Any goroutine
// may call it.
func (o *ownExports) add(e *exporter, local, remote netip.AddrPort, protocol uint8) {
	p := ownPair{srcPort: local.Port(), dstPort: remote.Port(), protocol: protocol}
	p.version, p.src = keyAddr(local.Addr())
	_, p.dst = keyAddr(remote.Addr())
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.known == nil {
		o.known = map[*exporter][]ownPair{}
	}
	last := o.known[e]
	o.known[e] = append([]ownPair{p}, last[:min(len(last), 1)]...)
	o.publish()
}

// remove forgets an exporter's socket. Any goroutine may call it.
func (o *ownExports) remove(e *exporter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.known, e)
	o.publish()
}

// publish lets the shards have what is known. mu is held.
func (o *ownExports) publish() {
	pairs := slices.Concat(slices.Collect(maps.Values(o.known))...)
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
