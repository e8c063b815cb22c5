package collector

import (
	"net/netip"
	"sync"
	"time"

	"cacheflow/cmd/internal/render"
)

// Versions, as the first two octets of a datagram tell them.
const (
	netflow5 = 5
	netflow9 = 9  // RFC 3954
	ipfix    = 10 // RFC 7011
)

// Record is a decoded data record. Its Exporter is not set: who wants it in the
// output sets it to From's address.
type Record struct {
	render.Decoded
	From     netip.AddrPort // where the datagram came from
	Version  uint16         // 5, 9 or 10
	Domain   uint32         // source id, observation domain id, or engine type × 256 + id
	Template uint16         // its template; 0 in v5
	Received time.Time

	times [16]byte // converted start and end
	raw   []byte   // v5: the values
}

// Collector decodes datagrams. It is safe for concurrent use.
type Collector struct {
	cfg Config

	mu        sync.Mutex
	stats     Stats
	exporters lru[netip.Addr, *exporter]
	fields    int // of all templates
	record    Record
}

// exporter is what is known of one address.
type exporter struct {
	templates lru[templateKey, *template]
	fields    int // of all of them
	sessions  lru[sessionKey, *session]
}

type sessionKey struct {
	version uint16
	domain  uint32
}

type templateKey struct {
	sessionKey
	id uint16
}

// New returns a Collector without any state.
func New(cfg Config) *Collector {
	cfg = cfg.withDefaults()
	return &Collector{cfg: cfg, exporters: newLRU[netip.Addr, *exporter](cfg.MaxExporters)}
}

// Decode decodes one datagram and hands each of its data records to emit, in
// their order. A record and all it holds are valid during the call of emit
// only, which must not call the Collector. The error is the Reason for which
// the datagram was refused as a whole; it has been counted.
func (c *Collector) Decode(datagram []byte, from netip.AddrPort, received time.Time, emit func(*Record)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Datagrams++
	c.stats.Octets += uint64(len(datagram))
	m, reason := parse(datagram)
	if reason != accepted {
		c.stats.Found[reason]++
		return reason
	}
	x := c.exporter(from.Addr().Unmap())
	d := decoding{
		Collector: c, exporter: x, session: c.session(x, sessionKey{m.version, m.domain}),
		message: m, emit: emit, sure: true,
	}
	d.session.last = received
	c.record.From, c.record.Received, c.record.Exporter = from, received, netip.Addr{}
	c.record.Version, c.record.Domain = m.version, m.domain
	if m.version == netflow5 {
		d.records5(datagram)
	} else {
		d.sets()
	}
	d.follow()
	return nil
}

// exporter returns the state of a, making room for it where it is new.
func (c *Collector) exporter(a netip.Addr) *exporter {
	if x, ok := c.exporters.get(a); ok {
		return x
	}
	if c.exporters.full() {
		c.replaceExporter()
	}
	x := &exporter{
		templates: newLRU[templateKey, *template](c.cfg.MaxTemplates),
		sessions:  newLRU[sessionKey, *session](c.cfg.MaxSessions),
	}
	c.exporters.put(a, x)
	return x
}

func (c *Collector) replaceExporter() {
	a, x := c.exporters.oldest()
	c.exporters.remove(a)
	c.fields -= x.fields
	c.stats.ReplacedExporters++
}

func (c *Collector) session(x *exporter, k sessionKey) *session {
	if s, ok := x.sessions.get(k); ok {
		return s
	}
	if x.sessions.full() {
		old, _ := x.sessions.oldest()
		x.sessions.remove(old)
		c.stats.ReplacedSessions++
	}
	s := &session{}
	x.sessions.put(k, s)
	return s
}

// store keeps t under k, replacing what the bounds leave no room for: of this
// exporter its least recently used templates, then other exporters.
func (c *Collector) store(x *exporter, k templateKey, t *template) {
	x.drop(c, k)
	for x.templates.len() > 0 && (x.templates.full() || x.fields+len(t.fields) > c.cfg.MaxFields) {
		old, _ := x.templates.oldest()
		x.drop(c, old)
		c.stats.ReplacedTemplates++
	}
	x.templates.put(k, t)
	x.fields += len(t.fields)
	c.fields += len(t.fields)
	for c.fields > c.cfg.MaxTotalFields && c.exporters.len() > 1 {
		c.replaceExporter() // never x, which is the most recently used
	}
}

func (x *exporter) drop(c *Collector, k templateKey) {
	if t, ok := x.templates.get(k); ok {
		x.templates.remove(k)
		x.fields -= len(t.fields)
		c.fields -= len(t.fields)
	}
}
