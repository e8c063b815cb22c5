package export

import (
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"cacheflow/cache/flow"
)

// Config describes one collector and what it is sent. The zero value of each
// field is a working default, but for Address.
type Config struct {
	// Name is the flow exporter's name in logs; empty for its address.
	Name string
	// Protocol is the wire format; 0 is NetFlow9.
	Protocol Protocol
	// Address is the collector's host:port; the host is an address literal or a
	// name that Run resolves. A Session does not need it.
	Address string
	// File is where records are written to instead of being sent. Address is then its Path.
	File File
	// Line appends a record as a JSON object, without the end of the line; epoch is the
	// wall time of flow.Time 0 in milliseconds since 1970. JSON needs it.
	Line func(b []byte, r *flow.Record, epoch int64) []byte
	// Transport carries the messages; all but UDP are for IPFIX only. Whoever hangs up is
	// called again, but not more often than each Reconnect; 0 is 60 s (RFC 7011 §10.4.4).
	Transport Transport
	Reconnect time.Duration
	// ResolveAgain is how often the name of a collector by UDP is looked up again; 0
	// is 5 minutes. Where the collector is not there, it is within 10 s. All else does so at
	// each attempt to connect.
	ResolveAgain time.Duration
	resolver     *net.Resolver // nil is the default
	// Identity is asked at each attempt to connect by TLS or DTLS.
	Identity Identity
	// Handshaker agrees on DTLS.
	Handshaker Handshaker
	// Source is the local address to send from; the zero Addr leaves it to the
	// kernel.
	Source netip.Addr
	// DSCP is the datagrams' Differentiated Services code point, 0 to 63.
	DSCP uint8
	// TTL is the datagrams' TTL or hop limit, to groups as well; 0 is DefaultTTL.
	TTL uint8

	// SourceID is NetFlow v9's Source ID or IPFIX's Observation Domain ID. 0
	// (which RFC 7011 §3.1 gives to messages without a domain) derives one from
	// Name, Protocol and Address; with a live clock it is mixed with a number
	// drawn once per process, so that no two exporters on one host share one.
	SourceID uint32
	// EngineType and EngineID are NetFlow v5's; both 0 derives them in the same
	// way.
	EngineType, EngineID uint8

	// MTU is the largest message in octets, between MinMTU and MaxMTU; 0 is DefaultMTU, or
	// NetFlow v5's full 30 records (1464), or over TCP and TLS DefaultStreamMTU, or MaxMTU
	// in files: a message, or a block of lines, is what is written at once. Over DTLS it is
	// the largest datagram: the message is 37 octets shorter.
	MTU int
	// TemplatePackets and TemplateInterval are how often templates are sent
	// again: after so many datagrams, or so much cache time, whichever comes
	// first (RFC 3954 §7, RFC 7011 §8.4). 0 is 1000 datagrams and 60 s: a
	// collector that starts late decodes within a minute. An association of DTLS,
	// whose keys such a collector lacks as well, lasts as long.
	TemplatePackets  int
	TemplateInterval time.Duration
	// WideTCPFlags gives tcpControlBits its two octets instead of one.
	WideTCPFlags bool
	// Fields chooses what records consist of.
	Fields Fields
	// Interfaces maps interface indexes above 65535 to what NetFlow v5 is told
	// instead; those not in it become 0. Either is counted.
	Interfaces map[uint32]uint16
	// Sampling is announced from the first datagram on.
	Sampling Sampling
	// Options is how often what is announced besides flows goes out: all of it from the
	// first datagram on.
	Options OptionIntervals
	// InterfaceTable returns the interfaces whose names are announced. It is called by
	// Run's goroutine. Nil announces none.
	InterfaceTable func() []Interface
	// Unmetered returns what the Metering Process could not meter. It is called by Run's
	// goroutine, which metering may be waiting for: it must not wait for metering. Nil
	// announces nothing of it.
	Unmetered func() Unmetered
	// stats returns the exporter's own counters; nil in a Session alone.
	stats func() Stats

	// Rate is the most datagrams sent in a second; 0 is DefaultRate, and
	// GentleRate once somebody waits for room or for the end; negative
	// is no bound.
	Rate int
	// QueueRecords is the size of the queue in records; 0 is DefaultQueue.
	QueueRecords int

	// Now is the present on the timeline of the records. Nil lets the records'
	// Expired drive the time, so that the same records make the same datagrams
	// (replay).
	Now func() flow.Time
	// Epoch is the wall time of flow.Time 0; it is asked at the start of each
	// datagram. Nil is 1970-01-01.
	Epoch func() time.Time
	// Connected is called by Run once the exporter's addresses are known, before
	// any message is sent; nil is never called.
	Connected func()
	// Logger is told when the collector is reached, lost and found again; nil
	// is nobody.
	Logger *slog.Logger
}

// Identity is by what an exporter and its collector know each other. It is a value, so that
// configurations can be compared.
type Identity interface {
	// Client returns what TLS and DTLS need, as it is now: certificates may have changed.
	// Without a ServerName it is the host that is connected to.
	Client() (*tls.Config, error)
}

// Defaults and bounds of Config.
const (
	DefaultMTU = 1400
	// DefaultStreamMTU is a record of TLS (RFC 8446 §5.1), less than which would cost more.
	DefaultStreamMTU = 1 << 14
	defaultReconnect = time.Minute
	// Resolvers do not tell how long an answer is good for.
	defaultResolveAgain = 5 * time.Minute
	DefaultTTL          = 255 // the router's
	maxDSCP             = 63
	// MinMTU holds the longest template, and the longest record of any.
	MinMTU = 256
	// MaxMTU is what IPv4 and UDP headers leave of 65535 octets.
	MaxMTU = 65535 - 28

	// DefaultRate is what metering may need: a record for each packet of a
	// cache that is far too small.
	DefaultRate = 20_000
	// GentleRate is one that a collector with the usual socket buffer (208 KiB,
	// some 90 datagrams of 1400 octets) takes without loss, even if it does not
	// get its CPU for some milliseconds. It holds where nothing is lost by
	// waiting: when a replay or the end empties the cache.
	GentleRate              = 4_000
	DefaultQueue            = 1 << 16
	defaultTemplatePackets  = 1000
	defaultTemplateInterval = time.Minute
)

// withDefaults returns c completed, or an error that names the wrong field.
func (c Config) withDefaults() (Config, error) {
	if c.File.Path != "" {
		c.Address, c.Rate = c.File.Path, -1
		def(&c.Protocol, IPFIX)
		def(&c.MTU, MaxMTU)
	}
	def(&c.Protocol, NetFlow9)
	if c.Protocol == NetFlow5 {
		def(&c.MTU, header5+maxRecords5*record5)
	}
	if c.Transport.isStream() {
		def(&c.MTU, DefaultStreamMTU)
		def(&c.Rate, -1) // the collector holds us up as it needs
	}
	def(&c.MTU, DefaultMTU)
	def(&c.Reconnect, defaultReconnect)
	def(&c.ResolveAgain, defaultResolveAgain)
	def(&c.TTL, DefaultTTL)
	def(&c.TemplatePackets, defaultTemplatePackets)
	def(&c.TemplateInterval, defaultTemplateInterval)
	for _, every := range []*time.Duration{
		&c.Options.SamplerTable, &c.Options.InterfaceTable, &c.Options.ExporterStats, &c.Options.Reliability, &c.Options.FlowKeys,
	} {
		def(every, defaultOptionInterval)
	}
	def(&c.QueueRecords, DefaultQueue)
	def(&c.Name, c.Address)
	def(&c.SourceID, c.derivedID())
	if c.EngineType == 0 && c.EngineID == 0 {
		id := c.SourceID ^ c.SourceID>>16
		c.EngineType, c.EngineID = uint8(id>>8), uint8(id)
	}
	if c.Epoch == nil {
		c.Epoch = func() time.Time { return time.Unix(0, 0) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, c.check()
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (c *Config) check() error {
	least, most := c.Transport.MTUBounds()
	switch {
	case c.Protocol != NetFlow5 && c.Protocol != NetFlow9 && c.Protocol != IPFIX && c.Protocol != JSON:
		return fmt.Errorf("unknown %s", c.Protocol)
	case c.File.Path != "" && scanners[c.Protocol] == nil:
		return fmt.Errorf("%s has no file format: want ipfix or json", c.Protocol)
	case c.Protocol == JSON && (c.File.Path == "" || c.Line == nil):
		return errors.New("json is for files, and needs what makes a line")
	case c.File.Period < 0:
		return fmt.Errorf("files of %v: want more than 0", c.File.Period)
	case c.File.Size < 0 || c.File.Size > 0 && c.File.Size < 4*int64(packedLimit(c.MTU)):
		return fmt.Errorf("files of %d octets: want at least four messages of %d", c.File.Size, c.MTU)
	case int(c.Transport) >= len(transportNames):
		return fmt.Errorf("unknown %s", c.Transport)
	case c.MTU < least || c.MTU > most:
		return fmt.Errorf("MTU %d: want %d to %d octets", c.MTU, least, most)
	case c.Transport.isConnected() && c.Protocol != IPFIX:
		return fmt.Errorf("%s: %s only, not %s", c.Transport, IPFIX, c.Protocol)
	case c.Transport.IsSecure() && c.Identity == nil:
		return fmt.Errorf("no certificates for %s", c.Transport)
	case c.Transport == DTLS && c.Handshaker == nil:
		return errors.New("nobody to agree on DTLS")
	case c.Reconnect < 0:
		return fmt.Errorf("connect again after %v: want more than 0", c.Reconnect)
	case c.ResolveAgain < 0:
		return fmt.Errorf("resolve again after %v: want more than 0", c.ResolveAgain)
	case c.DSCP > maxDSCP:
		return fmt.Errorf("DSCP %d: want 0 to %d", c.DSCP, maxDSCP)
	case c.TemplatePackets < 0:
		return fmt.Errorf("template refresh after %d datagrams: want at least 1", c.TemplatePackets)
	case c.TemplateInterval < 0:
		return fmt.Errorf("template refresh after %v: want more than 0", c.TemplateInterval)
	case c.QueueRecords < 0:
		return fmt.Errorf("queue of %d records: want at least 1", c.QueueRecords)
	case c.Sampling.Form >= samplerForms:
		return fmt.Errorf("unknown %s", c.Sampling.Form)
	case c.Sampling.Form == FormSelector && c.Protocol != IPFIX:
		return fmt.Errorf("sampler form %s: %s only", c.Sampling.Form, IPFIX)
	case c.Protocol == NetFlow5 && c.Sampling.Interval > maxInterval5:
		return fmt.Errorf("sampling interval %d: NetFlow v5 has room for %d", c.Sampling.Interval, maxInterval5)
	}
	return CheckFields(c)
}

// messageSize is the largest message in octets.
func (c *Config) messageSize() int { return c.MTU - c.Transport.overhead() }

// processID tells the exporters of this process from those of others.
var processID = rand.Uint32()

// derivedID returns a Source ID other than 0.
func (c *Config) derivedID() uint32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s\x00%s", c.Name, c.Protocol, c.Address)
	id := h.Sum32()
	if c.Now != nil {
		id ^= processID
	}
	return max(1, id)
}
