package config

import (
	_ "embed"
	"io/fs"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"cacheflow/export"
)

// Reference is a configuration file that names every key with its meaning, its
// bounds and its default.
//
//go:embed reference.yaml
var Reference []byte

// Config is a complete configuration. Default makes one; whoever changes fields
// calls Validate.
type Config struct {
	Monitor   Monitor
	Exporters []Exporter // none: the daemon shows what it meters itself
	Groups    []Group    // an exporter in none gets every record
	Control   Control
	Log       Log

	// Where the keys stand, if they came from a file.
	file  string
	lines lines
}

// Monitor is the flow monitor: what is metered, and how.
type Monitor struct {
	// Interfaces are names or path.Match patterns of names; none: the daemon
	// chooses.
	Interfaces []string
	Direction  Direction
	// Directions has another direction for some interfaces, by name or pattern.
	Directions map[string]Direction
	Capture    Capture
	Workers    int   // 0: one for each CPU
	RingMemory int64 // octets of each worker's rings, whatever the number of interfaces
	// FirstLevel sizes the kernel's cache; 0 chooses by the memory and the CPUs.
	FirstLevel FirstLevel
	Fragments  Fragments
	// OwnExports has the exporter's own datagrams metered too.
	OwnExports bool
	Sampler    Sampler
	Cache      Cache
}

// Sampler chooses frames before anything else is done with them.
type Sampler struct {
	OneOutOf int // 1: every frame is metered
	Mode     SamplerMode
}

// SamplerMode tells which one of OneOutOf frames in a row is metered.
type SamplerMode string

const (
	SamplerDeterministic SamplerMode = "deterministic" // the first
	SamplerRandom        SamplerMode = "random"        // one by chance
)

// FirstLevel is the cache inside the kernel, for each CPU: powers of two.
type FirstLevel struct {
	Entries int   // flows of one generation
	Ring    int64 // octets
}

// Cache is the flow cache. Its entries are shared out to the workers.
type Cache struct {
	Entries   int
	Active    time.Duration // a flow ends this long after its first packet
	Inactive  time.Duration // and this long after its latest
	TCPLinger time.Duration // and this long after its first FIN or RST
}

// Direction chooses at which side of the interfaces packets are metered.
type Direction string

const (
	DirectionAuto    Direction = "auto"    // each packet once, as far as the capture can
	DirectionIngress Direction = "ingress" // what comes in
	DirectionEgress  Direction = "egress"  // what leaves
	DirectionBoth    Direction = "both"    // what comes in and what leaves
)

// Capture chooses the Observation Point.
type Capture string

const (
	CaptureAuto     Capture = "auto"     // the best that the kernel and the rights allow
	CaptureEBPF     Capture = "ebpf"     // counting inside the kernel
	CaptureClsact   Capture = "clsact"   // the same, attached as on kernels before 6.6
	CaptureSimple   Capture = "simple"   // the same, with a plain hash map as first level
	CaptureAFPacket Capture = "afpacket" // AF_PACKET rings
)

// Fragments chooses what becomes of the fragments of an IP packet.
type Fragments string

const (
	FragmentsJoin      Fragments = "join"       // later fragments get the first one's ports
	FragmentsPortsZero Fragments = "ports-zero" // they have ports 0, as on a router
)

// Protocol is a wire format.
type Protocol string

const (
	NetFlow5 Protocol = "netflow5"
	NetFlow9 Protocol = "netflow9"
	IPFIX    Protocol = "ipfix"
	JSON     Protocol = "json" // in files only
)

// Transport carries the messages to a collector.
type Transport string

const (
	UDP  Transport = "udp"
	TCP  Transport = "tcp"  // IPFIX only
	TLS  Transport = "tls"  // IPFIX only
	DTLS Transport = "dtls" // IPFIX only
)

// Certificates names the files by which this exporter and its collector know each other.
type Certificates struct {
	Certificate, Key, CA string
	ServerName           string   // "": the destination's host
	Fingerprints         []string // of the only certificates taken; none: all that CA signed
}

// Rates besides a number of datagrams a second.
const (
	Unlimited = -1 // no bound
	Automatic = -2 // 20000, and 4000 where nothing is lost by waiting
)

// Off is how often something is announced that is not.
const Off time.Duration = -1

// Exporter is a flow exporter: one collector and how it is served.
type Exporter struct {
	Name        string // unique; the destination where it is not given
	Destination string // host:port; "" with a File
	File        File
	Protocol    Protocol
	Transport   Transport
	Reconnect   time.Duration // all but UDP: from one attempt to connect to the next
	TLS         Certificates
	Source      netip.Addr // the zero Addr leaves it to the kernel
	DSCP        int        // of the datagrams: 0 to 63
	TTL         int        // of the datagrams: 1 to 255
	// SourceID is NetFlow v9's Source ID or IPFIX's Observation Domain ID; 0
	// derives one that is unique.
	SourceID             uint32
	EngineType, EngineID uint8 // NetFlow v5's; both 0 derives them
	MTU                  int   // largest datagram payload in octets
	Rate                 int   // datagrams a second, Unlimited or Automatic
	Queue                int   // records
	TemplatePackets      int   // datagrams after which templates are sent again
	TemplateTimeout      time.Duration
	Options              Options
	// SamplerForm is that of the sampler table.
	SamplerForm  SamplerForm
	WideTCPFlags bool          // tcpControlBits in two octets
	Fields       export.Fields // what records consist of
	// V5SamplingMode has NetFlow v5's sampling field tell the mode, in the two bits above
	// the interval.
	V5SamplingMode bool
	// ResolveAgain is the time from one lookup of the destination's name to the next, by UDP.
	ResolveAgain time.Duration
}

// Options is how often each kind of options is announced, or Off. NetFlow v5 has none.
type Options struct {
	SamplerTable   time.Duration
	InterfaceTable time.Duration
	ExporterStats  time.Duration
	Reliability    time.Duration // what was neither metered nor sent
	FlowKeys       time.Duration // IPFIX only
}

// SamplerForm is one of the elements by which a sampler is described.
type SamplerForm string

const (
	FormSampling    SamplerForm = "sampling"     // 34 and 35
	FormInterval    SamplerForm = "interval"     // 34
	FormFlowSampler SamplerForm = "flow-sampler" // 48, 49 and 50
	FormSelector    SamplerForm = "selector"     // 302, 304 and its parameters: IPFIX only
)

// File describes files that records are written to instead of being sent. The zero value is
// no file.
type File struct {
	Path   string // with conversions of strftime(3)
	Rotate Rotate
	Gzip   bool
}

// Rotate tells when a new file begins; 0 is never.
type Rotate struct {
	Time time.Duration // at each multiple of it
	Size int64         // before a file would have more octets
}

// Control is the control socket.
type Control struct {
	Socket string      // "": below /run, or in the user's runtime directory
	Mode   fs.FileMode // permissions of the socket
}

// Log is the daemon's log, on standard error.
type Log struct {
	Level  slog.Level
	Format LogFormat
}

// LogFormat is a form of log lines.
type LogFormat string

const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// A Preset is a pair of timeouts with a name.
type Preset string

const (
	// PresetRouter is the router's default: active 30 min, inactive 15 s.
	PresetRouter Preset = "router"
	// PresetMonitoring suits those who draw graphs: active 60 s, inactive 10 s.
	PresetMonitoring Preset = "monitoring"
)

// Apply sets the timeouts of p, which must be one of the presets.
func (c *Cache) Apply(p Preset) {
	c.Active, c.Inactive = 30*time.Minute, 15*time.Second
	if p == PresetMonitoring {
		c.Active, c.Inactive = time.Minute, 10*time.Second
	}
}

// Default returns the configuration of an empty file.
func Default() *Config {
	c := &Config{
		Monitor: Monitor{
			Direction: DirectionAuto, Capture: CaptureAuto, Fragments: FragmentsJoin, RingMemory: 64 << 20,
			Sampler: Sampler{OneOutOf: 1, Mode: SamplerDeterministic},
			Cache:   Cache{Entries: 65536, TCPLinger: time.Second},
		},
		Control: Control{Mode: 0o600},
		Log:     Log{Level: slog.LevelInfo, Format: LogText},
	}
	c.Monitor.Cache.Apply(PresetRouter)
	return c
}

// DefaultExporter returns an exporter to destination with everything else at
// its default.
func DefaultExporter(destination string) Exporter {
	return Exporter{
		Name: destination, Destination: destination, Protocol: NetFlow9, TTL: 255, Transport: UDP, Reconnect: time.Minute, ResolveAgain: 5 * time.Minute, MTU: 1400, Rate: Automatic,
		Queue: 1 << 16, TemplatePackets: 1000, TemplateTimeout: time.Minute, V5SamplingMode: true,
		Options:     Options{time.Minute, time.Minute, time.Minute, time.Minute, time.Minute},
		SamplerForm: FormSampling,
	}
}

// FileExporter returns an exporter to files with everything else at its default: what the
// path ends in chooses the protocol and the compression.
func FileExporter(path string) Exporter {
	e := DefaultExporter("")
	e.Name, e.Protocol, e.MTU = path, IPFIX, maxMTU
	e.File.Path = path
	e.File.Gzip = strings.HasSuffix(path, ".gz")
	switch filepath.Ext(strings.TrimSuffix(path, ".gz")) {
	case ".json", ".jsonl":
		e.Protocol = JSON
	}
	return e
}
