package config

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"

	"cacheflow/export"
)

func parse(text string) (*Config, error) { return Parse("c.yaml", strings.NewReader(text)) }

// equal compares configurations.
func equal(want, got any) string {
	return cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.IgnoreUnexported(Config{}))
}

// TestReference shows that the reference file is good, that what it calls
// defaults are the defaults, and what its exporters become.
func TestReference(t *testing.T) {
	got, err := Parse("reference.yaml", bytes.NewReader(Reference))
	if err != nil {
		t.Fatal(err)
	}
	ipfix := DefaultExporter("192.0.2.1:4739")
	ipfix.Name, ipfix.Protocol, ipfix.Source, ipfix.SourceID = "ipfix-collector", IPFIX, netip.MustParseAddr("192.0.2.254"), 256
	ipfix.Fields = export.Fields{Timestamps: export.TimestampsDefault, Counters: export.CountersLong, Layout: export.LayoutDefault}
	v9 := DefaultExporter("192.0.2.2:2055")
	v9.Name, v9.SourceID = "v9-collector", 7
	v5 := DefaultExporter("192.0.2.3:2055")
	v5.Name, v5.Protocol, v5.EngineType, v5.EngineID = "v5-collector", NetFlow5, 1, 2

	archive := FileExporter("/var/lib/cacheflow/flows-%Y%m%d-%H%M%S.ipfix.gz")
	archive.Name, archive.File.Rotate = "archive", Rotate{5 * time.Minute, 100 << 20}

	want := Default()
	want.Monitor.Interfaces = []string{"eth0", "ppp*"}
	want.Monitor.Directions = map[string]Direction{"eth0": DirectionIngress}
	want.Control.Socket = "/run/cacheflow.sock"
	want.Exporters = []Exporter{ipfix, v9, v5, archive}
	want.Groups = []Group{{Name: "analysers", Mode: GroupFailover, Exporters: []string{"ipfix-collector", "v9-collector"}, Return: 10 * time.Second}}
	if d := equal(want, got); d != "" {
		t.Error(d)
	}
}

// keys returns the path of each key that the raw structs have, and whether it
// holds a value.
func keys(t reflect.Type, at string, out map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := strings.TrimPrefix(at+"."+f.Tag.Get("yaml"), ".")
		switch {
		case f.Type.Kind() == reflect.Struct:
			keys(f.Type, key, out)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			keys(f.Type.Elem(), key, out)
		}
		out[key] = true
	}
}

// TestReferenceNamesEveryKey holds each key of the raw structs against the
// reference file, which must have it, with a comment where it first stands.
func TestReferenceNamesEveryKey(t *testing.T) {
	var root yaml.Node
	if err := yaml.Unmarshal(Reference, &root); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	var walk func(at string, n *yaml.Node)
	walk = func(at string, n *yaml.Node) {
		for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
			key := strings.TrimPrefix(at+"."+n.Content[i].Value, ".")
			if _, again := found[key]; !again {
				found[key] = n.Content[i].HeadComment
			}
			if key != "flow-monitor.interface-direction" { // whose keys are names
				walk(key, n.Content[i+1])
			}
		}
		for i := 0; n.Kind == yaml.SequenceNode && i < len(n.Content); i++ {
			if item := n.Content[i]; item.Kind == yaml.MappingNode && item.Content[0].HeadComment == "" {
				item.Content[0].HeadComment = item.HeadComment // a comment before "- key" is the item's
			}
			walk(at, n.Content[i])
		}
	}
	walk("", root.Content[0])
	want := map[string]bool{}
	keys(reflect.TypeFor[raw](), "", want)
	if len(want) < 30 {
		t.Fatalf("only %d keys found", len(want))
	}
	for key := range want {
		if comment, ok := found[key]; !ok {
			t.Errorf("%s is not in the reference file", key)
		} else if len(comment) < 4 {
			t.Errorf("%s has no comment in the reference file", key)
		}
	}
	for key := range found {
		if !want[key] {
			t.Errorf("%s is no key", key)
		}
	}
}

func TestDefault(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	c := Default()
	c.Exporters = []Exporter{DefaultExporter("192.0.2.1:2055"), DefaultExporter("[::1]:2055")}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	for _, empty := range []string{"", "\n", "# nothing\n", "---\n", "flow-monitor:\n", "flow-exporter: []\n"} {
		got, err := parse(empty)
		if err != nil {
			t.Errorf("%q: %v", empty, err)
		} else if d := cmp.Diff(Default(), got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Config{})); d != "" {
			t.Errorf("%q: %s", empty, d)
		}
	}
}

func TestParse(t *testing.T) {
	got, err := parse(`
flow-monitor:
  interfaces: ["wg0"]
  direction: both
  capture: afpacket
  workers: 2
  ring-memory: 1GiB
  fragments: ports-zero
  own-exports: true
  sampler: {one-out-of: 16383, mode: random}
  cache: {entries: 16, preset: monitoring, timeout: {inactive: 2s}, tcp-linger: 0s}
flow-exporter:
  - destination: '[2001:db8::1]:9995'
    export-rate: unlimited
    queue: 1
    template: {packets: 20}
    option: {interface-table: off, exporter-stats: 5m, sampler-form: flow-sampler}
    dscp: 46
    ttl: 1
    wide-tcp-flags: true
    timestamps: sysuptime
    counters: reduced
    flow-id: true
  - {destination: 'a:1', protocol: netflow5, v5-sampling-mode: false}
  - {destination: 'b:1', protocol: ipfix, transport: tls, reconnect: 1s, tls: {certificate: c, key: k, ca: a, server-name: s}}
control: {mode: 0660}
log: {level: debug, format: json}
`)
	if err != nil {
		t.Fatal(err)
	}
	e := DefaultExporter("[2001:db8::1]:9995")
	e.Rate, e.Queue, e.TemplatePackets, e.WideTCPFlags = Unlimited, 1, 20, true
	e.DSCP, e.TTL, e.SamplerForm = 46, 1, FormFlowSampler
	e.Options.InterfaceTable, e.Options.ExporterStats = Off, 5*time.Minute
	e.Fields = export.Fields{Timestamps: export.TimestampsSysUpTime, Counters: export.CountersReduced, FlowID: true}
	e5 := DefaultExporter("a:1")
	e5.Protocol, e5.V5SamplingMode = NetFlow5, false
	tls := DefaultExporter("b:1")
	tls.Protocol, tls.Transport, tls.Reconnect, tls.MTU = IPFIX, TLS, time.Second, 16384
	tls.TLS = Certificates{Certificate: "c", Key: "k", CA: "a", ServerName: "s"}
	want := &Config{
		Monitor: Monitor{Interfaces: []string{"wg0"}, Direction: DirectionBoth, Capture: CaptureAFPacket, Workers: 2, RingMemory: 1 << 30,
			Fragments: FragmentsPortsZero, OwnExports: true, Sampler: Sampler{16383, SamplerRandom},
			Cache: Cache{Entries: 16, Active: time.Minute, Inactive: 2 * time.Second}},
		Exporters: []Exporter{e, e5, tls},
		Control:   Control{Mode: 0o660},
		Log:       Log{Level: slog.LevelDebug, Format: LogJSON},
	}
	if d := equal(want, got); d != "" {
		t.Error(d)
	}
}

const good = "destination: 192.0.2.1:2055"

// exporter returns a file with one exporter.
func exporter(rest string) string { return "flow-exporter:\n  - name: x\n    " + rest + "\n" }

// faults are files with one fault each, and how it is told.
var faults = []struct{ text, want string }{
	{"flow-monitor:\n  interface: [eth0]\n", `c.yaml:2: unknown key "interface"`},
	{"flow-moniter: {}\n", `c.yaml:1: unknown key "flow-moniter"`},
	{exporter(good + "\n    colour: red"), `c.yaml:4: unknown key "colour"`},
	{"log: {}\nlog: {}\n", `c.yaml:2: key "log" is given twice, first in line 1`},
	{"flow-monitor:\n  workers: 1\n  workers: 2\n", `c.yaml:3: key "workers" is given twice, first in line 2`},
	{"flow-monitor: [eth0]\n", `c.yaml:1: must hold keys with values`},
	{"flow-monitor:\n  interfaces: eth0\n", `c.yaml:2: must be a list`},
	{"flow-monitor:\n  workers: [1]\n", `c.yaml:2: must be a single value`},
	{"flow-monitor: {\n", `c.yaml:1: did not find expected node content`},
	{"\tflow-monitor:\n", `c.yaml: found character that cannot start any token`},
	{"log: {}\n---\nlog: {}\n", `c.yaml: more than one YAML document`},
	{"flow-monitor:\n  interfaces: [eth0, eth0]\n", `c.yaml:2: flow-monitor: interfaces 1: "eth0" is given twice`},
	{"flow-monitor:\n  interfaces:\n    - eth0\n    - '[a'\n", `c.yaml:4: flow-monitor: interfaces 1: "[a" is not a pattern`},
	{"flow-monitor:\n  interfaces: [a/b]\n", `c.yaml:2: flow-monitor: interfaces 0: "a/b": an interface's name has no slash and no blank`},
	{"flow-monitor:\n  interfaces: [abcdefghijklmnop]\n", `c.yaml:2: flow-monitor: interfaces 0: "abcdefghijklmnop": an interface's name has at most 15 characters`},
	{"flow-monitor:\n  interfaces: ['']\n", `c.yaml:2: flow-monitor: interfaces 0: an empty name`},
	{"flow-monitor:\n  first-level:\n    entries: 1000\n", `c.yaml:3: flow-monitor: first-level entries: 1000: must be 0, or a power of two from 256 to 1048576`},
	{"flow-monitor:\n  interface-direction: {wan: up}\n", `c.yaml:2: flow-monitor: interface-direction wan: "up": must be auto, ingress, egress, both`},
	{"flow-monitor:\n  direction: sideways\n", `c.yaml:2: flow-monitor: direction: "sideways": must be auto, ingress, egress, both`},
	{"flow-monitor:\n  capture: pcap\n", `c.yaml:2: flow-monitor: capture: "pcap": must be auto, ebpf, clsact, simple, afpacket`},
	{"flow-monitor:\n  fragments: drop\n", `c.yaml:2: flow-monitor: fragments: "drop": must be join, ports-zero`},
	{"flow-monitor:\n  workers: 257\n", `c.yaml:2: flow-monitor: workers: 257: must be 0 to 256`},
	{"flow-monitor:\n  workers: -1\n", `c.yaml:2: flow-monitor: workers: "-1" is not a number`},
	{"flow-monitor:\n  workers: 99999999999999999999\n", `c.yaml:2: flow-monitor: workers: 99999999999999999999 is too large`},
	{"flow-monitor:\n  own-exports: yes\n", `c.yaml:2: flow-monitor: own-exports: "yes": must be true, false`},
	{"flow-monitor:\n  ring-memory: 64MB\n", `c.yaml:2: flow-monitor: ring-memory: "64MB" is not a size such as 64MiB`},
	{"flow-monitor:\n  ring-memory: 4096\n", `c.yaml:2: flow-monitor: ring-memory: 4096: must be 1MiB to 64GiB`},
	{"flow-monitor:\n  ring-memory: 99999999999GiB\n", `c.yaml:2: flow-monitor: ring-memory: "99999999999GiB" is not a size such as 64MiB`},
	{"flow-monitor:\n  sampler:\n    one-out-of: 0\n", `c.yaml:3: flow-monitor: sampler one-out-of: 0: must be 1 to 65535`},
	{"flow-monitor:\n  sampler: {one-out-of: 65536}\n", `c.yaml:2: flow-monitor: sampler one-out-of: 65536: must be 1 to 65535`},
	{"flow-monitor:\n  sampler: {one-out-of: 1/10}\n", `c.yaml:2: flow-monitor: sampler one-out-of: "1/10" is not a number`},
	{"flow-monitor:\n  sampler: {mode: hash}\n", `c.yaml:2: flow-monitor: sampler mode: "hash": must be deterministic, random`},
	{"flow-monitor:\n  sampler:\n    one-out-of: 16384\n" + exporter(good+"\n    protocol: netflow5"),
		`c.yaml:3: flow-monitor: sampler one-out-of: 16384: must be at most 16383, because flow-exporter "x" is netflow5`},
	{exporter(good + "\n    v5-sampling-mode: false"), `c.yaml:4: flow-exporter "x": v5-sampling-mode: netflow5 only`},
	{"flow-monitor:\n  cache:\n    entries: 15\n", `c.yaml:3: flow-monitor: cache entries: 15: must be 16 to 16777216`},
	{"flow-monitor:\n  cache: {entries: 64k}\n", `c.yaml:2: flow-monitor: cache entries: "64k" is not a number`},
	{"flow-monitor:\n  cache: {preset: isp}\n", `c.yaml:2: flow-monitor: cache preset: "isp": must be router, monitoring`},
	{"flow-monitor:\n  cache:\n    timeout:\n      active: 15\n", `c.yaml:4: flow-monitor: cache timeout active: 15 has no unit: write 15s for seconds`},
	{"flow-monitor:\n  cache:\n    timeout:\n      inactive: soon\n", `c.yaml:4: flow-monitor: cache timeout inactive: "soon" is not a duration such as 15s or 30m`},
	{"flow-monitor:\n  cache:\n    timeout:\n      inactive: 999ms\n", `c.yaml:4: flow-monitor: cache timeout inactive: 999ms: must be 1s to 168h0m0s`},
	{"flow-monitor:\n  cache: {timeout: {active: 169h}}\n", `c.yaml:2: flow-monitor: cache timeout active: 169h0m0s: must be 1s to 168h0m0s`},
	{"flow-monitor:\n  cache: {tcp-linger: -1s}\n", `c.yaml:2: flow-monitor: cache tcp-linger: -1s: must be 0s to 168h0m0s`},
	{exporter("protocol: ipfix"), `c.yaml:2: flow-exporter "x": destination: missing`},
	{exporter("destination: 192.0.2.1"), `c.yaml:3: flow-exporter "x": destination: missing port`},
	{exporter("destination: 2001:db8::1"), `c.yaml:3: flow-exporter "x": destination: an IPv6 address stands in brackets: [2001:db8::1]:2055`},
	{exporter("destination: ':2055'"), `c.yaml:3: flow-exporter "x": destination: missing host`},
	{exporter("destination: 'a b:2055'"), `c.yaml:3: flow-exporter "x": destination: "a b" is not a host`},
	{exporter("destination: 192.0.2.1:0"), `c.yaml:3: flow-exporter "x": destination: port "0": must be 1 to 65535`},
	{exporter("destination: 192.0.2.1:netflow"), `c.yaml:3: flow-exporter "x": destination: port "netflow": must be 1 to 65535`},
	{"flow-exporter:\n  - {}\n", `c.yaml:2: flow-exporter 1: destination: missing`},
	{"flow-exporter:\n  - destination: 192.0.2.1:1\n  - destination: bad\n", `c.yaml:3: flow-exporter "bad": destination: missing port`},
	{exporter(good + "\n    protocol: netflow8"), `c.yaml:4: flow-exporter "x": protocol: "netflow8": must be netflow5, netflow9, ipfix`},
	{exporter(good + "\n    source: eth0"), `c.yaml:4: flow-exporter "x": source: "eth0" is not an IP address`},
	{exporter(good + "\n    source: ::1"), `c.yaml:4: flow-exporter "x": source: ::1 and the destination are not of one IP version`},
	{exporter(good + "\n    observation-domain: 1"), `c.yaml:4: flow-exporter "x": observation-domain: ipfix only`},
	{exporter(good + "\n    engine-id: 1"), `c.yaml:4: flow-exporter "x": engine-id: netflow5 only`},
	{exporter(good + "\n    protocol: ipfix\n    source-id: 1"), `c.yaml:5: flow-exporter "x": source-id: netflow9 only`},
	{exporter(good + "\n    source-id: 0"), `c.yaml:4: flow-exporter "x": source-id: must be at least 1`},
	{exporter(good + "\n    source-id: 4294967296"), `c.yaml:4: flow-exporter "x": source-id: 4294967296 is too large`},
	{exporter(good + "\n    protocol: netflow5\n    engine-type: 256"), `c.yaml:5: flow-exporter "x": engine-type: 256 is too large`},
	{exporter(good + "\n    mtu: 255"), `c.yaml:4: flow-exporter "x": mtu: 255: must be 256 to 65507`},
	{exporter(good + "\n    export-rate: 0"), `c.yaml:4: flow-exporter "x": export-rate: 0: must be 1 to 10000000`},
	{exporter(good + "\n    queue: 0"), `c.yaml:4: flow-exporter "x": queue: 0: must be 1 to 16777216`},
	{exporter(good + "\n    template:\n      packets: 0"), `c.yaml:5: flow-exporter "x": template packets: 0: must be 1 to 1000000000`},
	{exporter(good + "\n    transport: sctp"), `c.yaml:4: flow-exporter "x": transport: "sctp": must be udp, tcp, tls, dtls`},
	{exporter(good + "\n    transport: tcp"), `c.yaml:4: flow-exporter "x": transport: tcp: ipfix only`},
	{exporter(good + "\n    protocol: ipfix\n    transport: tls\n    tls: {certificate: c, ca: a}"), `c.yaml:6: flow-exporter "x": tls key: missing: transport tls wants a certificate, its key and a ca`},
	{exporter(good + "\n    protocol: ipfix\n    transport: dtls\n    tls: {certificate: c, ca: a}"), `c.yaml:6: flow-exporter "x": tls key: missing: transport dtls wants a certificate, its key and a ca`},
	{exporter(good + "\n    protocol: ipfix\n    transport: dtls\n    mtu: 292\n    tls: {certificate: c, key: k, ca: a}"), `c.yaml:6: flow-exporter "x": mtu: 292: must be 293 to 16421`},
	{exporter(good + "\n    tls: {ca: a}"), `c.yaml:4: flow-exporter "x": tls certificate: transports tls and dtls only`},
	{exporter(good + "\n    protocol: ipfix\n    transport: tls\n    tls: {certificate: c, key: k, ca: a, fingerprints: [ab]}"), `c.yaml:6: flow-exporter "x": tls fingerprints 0: "ab" is no SHA-256 fingerprint`},
	{exporter(good + "\n    option: {sampler-form: selector}"), `c.yaml:4: flow-exporter "x": option sampler-form: selector: ipfix only`},
	{exporter(good + "\n    option: {interface-table: 0s}"), `c.yaml:4: flow-exporter "x": option interface-table: 0s: must be 1s to 24h0m0s`},
	{exporter(good + "\n    template: {timeout: 25h}"), `c.yaml:4: flow-exporter "x": template timeout: 25h0m0s: must be 1s to 24h0m0s`},
	{exporter(good + "\n    dscp: 64"), `c.yaml:4: flow-exporter "x": dscp: 64: must be 0 to 63`},
	{exporter(good + "\n    ttl: 0"), `c.yaml:4: flow-exporter "x": ttl: 0: must be 1 to 255`},
	{exporter(good + "\n    timestamps: seconds"), `c.yaml:4: flow-exporter "x": timestamps: "seconds": must be default, sysuptime, milliseconds, microseconds, nanoseconds`},
	{exporter(good + "\n    timestamps: nanoseconds"), `c.yaml:4: flow-exporter "x": timestamps: nanoseconds are of ipfix only`},
	{exporter(good + "\n    protocol: netflow5\n    counters: reduced"), `c.yaml:5: flow-exporter "x": counters: netflow5 has four octets, and splits records that need more`},
	{exporter(good + "\n    layout: isr\n    counters: long"), `c.yaml:5: flow-exporter "x": counters: the layout isr has its own, of four octets`},
	{exporter(good + "\n    layout: isr\n    wide-tcp-flags: true"), `c.yaml:5: flow-exporter "x": wide-tcp-flags: the layout isr has its own`},
	{exporter(good + "\n    biflow: true"), `c.yaml:4: flow-exporter "x": biflow: ipfix only has elements of the reverse direction`},
	{exporter(good + "\n    protocol: ipfix\n    biflow: true\n    mtu: 300"), `c.yaml:6: flow-exporter "x": mtu: 300: a biflow's template needs 512 octets`},
	{exporter(good + "\n    flow-id: 1"), `c.yaml:4: flow-exporter "x": flow-id: "1": must be true, false`},
	{exporter(good + "\n    wide-tcp-flags: 1"), `c.yaml:4: flow-exporter "x": wide-tcp-flags: "1": must be true, false`},
	{"flow-exporter:\n  - name: a b\n    " + good + "\n", `c.yaml:2: flow-exporter "a b": name: must have no blank and no control character`},
	{exporter(good+"\n  - name: x") + "    destination: 192.0.2.2:1\n", `c.yaml:4: flow-exporter "x": name: is given twice`},
	{exporter(good+"\n  - name: y") + "    " + good + "\n", `c.yaml:5: flow-exporter "y": destination: "x" serves it already by netflow9`},
	{"control:\n  mode: rw\n", `c.yaml:2: control: mode: "rw" is not a number`},
	{"control:\n  mode: 01600\n", `c.yaml:2: control: mode: must be permissions that its owner can use, such as 0600 or 0660`},
	{"control:\n  mode: 0060\n", `c.yaml:2: control: mode: must be permissions that its owner can use, such as 0600 or 0660`},
	{"control:\n  socket: /" + strings.Repeat("x", 107) + "\n", `c.yaml:2: control: socket: the path has 108 octets, 107 at most`},
	{"log:\n  level: loud\n", `c.yaml:2: log: level: "loud": must be debug, info, warn, error`},
	{"log:\n  format: xml\n", `c.yaml:2: log: format: "xml": must be text, json`},
	{strings.Repeat("#", maxFile+1), `c.yaml: longer than 1048576 octets`},
}

func TestErrors(t *testing.T) {
	for _, tt := range faults {
		c, err := parse(tt.text)
		var e *Error
		if err == nil || err.Error() != tt.want || c != nil || !errors.As(err, &e) {
			t.Errorf("%.300s\ngot  %v\nwant %s", tt.text, err, tt.want)
		}
	}
	if _, err := Parse("c.yaml", iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a reader that fails: %v", err)
	}
}

// TestValidate covers what a file cannot say but flags can.
func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`flow-monitor: cache entries: 3: must be 16 to 16777216`: func(c *Config) { c.Monitor.Cache.Entries = 3 },
		`flow-exporter "a:1": source-id: netflow5 has an engine-type and an engine-id instead`: func(c *Config) {
			c.Exporters[0].Protocol, c.Exporters[0].SourceID = NetFlow5, 1
		},
		`flow-exporter "a:1": engine-id: netflow9 has none`:           func(c *Config) { c.Exporters[0].EngineType = 1 },
		`flow-exporter "a:1": export-rate: -3: must be 1 to 10000000`: func(c *Config) { c.Exporters[0].Rate = -3 },
	} {
		c := Default()
		c.Exporters = []Exporter{DefaultExporter("a:1")}
		change(c)
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// FuzzParse shows that whatever a file holds, there is a valid configuration or
// one line that tells why not.
func FuzzParse(f *testing.F) {
	f.Add(Reference)
	for _, text := range []string{
		"a: &a [*a]\n", "a: &a {b: *a}\n<<: *a\n", "? [a]\n: b\n", "flow-exporter: [~, {}]\n", "flow-monitor: {interfaces: [~, 1, 1.5, true]}\n",
		"flow-monitor: !!binary aGVsbG8=\n", "control: {socket: !!binary AAAA}\n", "log: {level: !!int x}\n", "%YAML 9.9\n---\n", "\xff\xfe", "&a *a", "flow-exporter:\n- <<: {name: x}\n",
	} {
		f.Add([]byte(text))
	}
	oneLine := regexp.MustCompile(`^c\.yaml(:[0-9]+)?: [^\n]+$`)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("c.yaml", bytes.NewReader(text))
		switch {
		case (c == nil) == (err == nil):
			t.Fatalf("both or neither: %v, %v", c, err)
		case err != nil && !oneLine.MatchString(err.Error()):
			t.Fatalf("not one line with its file: %q", err)
		case err == nil:
			if err := c.Validate(); err != nil {
				t.Fatalf("accepted, but %v", err)
			}
		}
	})
}
