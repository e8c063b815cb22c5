package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"cacheflow/cache"
	"cacheflow/capture"
	"cacheflow/cmd/internal/certificate"
	"cacheflow/export"
)

// Bounds. Where Flexible NetFlow has a range, this holds it.
const (
	maxInterfaceName = 15 // IFNAMSIZ, less its NUL
	maxWorkers       = 256
	minRingMemory    = 1 << 20
	maxRingMemory    = 64 << 30
	minFirstLevel    = 256
	maxFirstLevel    = 1 << 20
	// A ring is a page at least; pages have up to 64 KiB.
	minFirstLevelRing = 64 << 10
	maxFirstLevelRing = 1 << 30
	minTimeout        = time.Second
	maxMTU            = 65535 - 28 // IPv4 and UDP headers
	maxRate           = 10_000_000
	maxQueue          = 1 << 24
	streamMTU         = 1 << 14 // a record of TLS
	maxRefresh        = 1_000_000_000
	maxRefreshTime    = 24 * time.Hour
	minFileSize       = 1 << 20
	maxFileSize       = 1 << 40
	maxSocketPath     = 107       // sockaddr_un, less its NUL
	maxInterval5      = 1<<14 - 1 // NetFlow v5's sampling interval
)

// Error tells what is wrong, and where: in a file, with its line, if it came
// from one.
type Error struct {
	File   string
	Line   int
	Where  string // such as: flow-exporter "nfcapd": destination
	Reason string

	key string // such as: flow-exporter.0.destination
}

// Error returns one line: cacheflow.yaml:12: flow-exporter "x": destination: missing port.
func (e *Error) Error() string {
	parts := []string{e.Where, e.Reason}
	if e.File != "" {
		at := e.File
		if e.Line > 0 {
			at += ":" + strconv.Itoa(e.Line)
		}
		parts = slices.Insert(parts, 0, at)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}

// Validate returns an *Error for the first field that cannot be.
func (c *Config) Validate() error {
	checks := slices.Concat(c.Monitor.checks(), c.Control.checks())
	for i := range c.Exporters {
		checks = append(checks, c.Exporters[i].checks(fmt.Sprintf("flow-exporter.%d.", i))...)
	}
	checks = append(checks, c.sampler())
	checks = append(checks, c.collectors()...)
	checks = append(checks, c.groupChecks()...)
	for _, ch := range checks {
		if ch.err != nil {
			return c.errorAt(ch.key, ch.err)
		}
	}
	return nil
}

// check is the verdict on one key.
type check struct {
	key string
	err error
}

// errorAt returns an Error for a key such as flow-exporter.0.destination.
func (c *Config) errorAt(key string, err error) *Error {
	parts := strings.Split(key, ".")
	where := parts[0]
	rest := parts[1:]
	if len(rest) > 0 && (where == "flow-exporter" || where == groupKey) {
		i, _ := strconv.Atoi(rest[0])
		if name := c.nameOf(where, i); name != "" {
			where += " " + strconv.Quote(name)
		} else {
			where += " " + strconv.Itoa(i+1)
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		where += ": " + strings.Join(rest, " ")
	}
	return &Error{Where: where, Reason: err.Error(), key: key}
}

// nameOf returns the name of item i of a list, "" where it has none.
func (c *Config) nameOf(list string, i int) string {
	switch {
	case list == groupKey && i < len(c.Groups):
		return c.Groups[i].Name
	case list != groupKey && i < len(c.Exporters):
		return c.Exporters[i].Name
	}
	return ""
}

func (m *Monitor) checks() []check {
	const of, cacheOf = "flow-monitor.", "flow-monitor.cache."
	return append(append(interfaceChecks(m.Interfaces), directionChecks(m.Directions)...),
		check{of + "direction", direction(m.Direction)},
		check{of + "capture", oneOf(m.Capture, CaptureAuto, CaptureEBPF, CaptureClsact, CaptureSimple, CaptureAFPacket)},
		check{of + "workers", within(m.Workers, 0, maxWorkers)},
		check{of + "ring-memory", withinSize(m.RingMemory, minRingMemory, maxRingMemory)},
		check{of + "first-level.entries", powerOfTwo(int64(m.FirstLevel.Entries), minFirstLevel, maxFirstLevel)},
		check{of + "first-level.ring", powerOfTwo(m.FirstLevel.Ring, minFirstLevelRing, maxFirstLevelRing)},
		check{of + "fragments", oneOf(m.Fragments, FragmentsJoin, FragmentsPortsZero)},
		check{of + "sampler.one-out-of", within(m.Sampler.OneOutOf, 1, capture.MaxSamplingInterval)},
		check{of + "sampler.mode", oneOf(m.Sampler.Mode, SamplerDeterministic, SamplerRandom)},
		check{cacheOf + "entries", within(m.Cache.Entries, cache.MinEntries, cache.MaxEntries)},
		check{cacheOf + "timeout.active", within(m.Cache.Active, minTimeout, cache.MaxTimeout)},
		check{cacheOf + "timeout.inactive", within(m.Cache.Inactive, minTimeout, cache.MaxTimeout)},
		check{cacheOf + "tcp-linger", within(m.Cache.TCPLinger, 0, cache.MaxTimeout)},
	)
}

func interfaceChecks(names []string) (checks []check) {
	for i, name := range names {
		checks = append(checks, check{fmt.Sprintf("flow-monitor.interfaces.%d", i), interfaceName(name, names[:i])})
	}
	return checks
}

func directionChecks(directions map[string]Direction) (checks []check) {
	for _, name := range slices.Sorted(maps.Keys(directions)) {
		at := "flow-monitor.interface-direction." + name
		checks = append(checks, check{at, interfaceName(name, nil)}, check{at, direction(directions[name])})
	}
	return checks
}

// powerOfTwo takes 0 as well.
func powerOfTwo(n, least, most int64) error {
	if n != 0 && (n < least || n > most || n&(n-1) != 0) {
		return fmt.Errorf("%d: must be 0, or a power of two from %d to %d", n, least, most)
	}
	return nil
}

func direction(d Direction) error {
	return oneOf(d, DirectionAuto, DirectionIngress, DirectionEgress, DirectionBoth)
}

func interfaceName(name string, before []string) error {
	_, err := path.Match(name, "")
	switch {
	case name == "":
		return errors.New("an empty name")
	case err != nil:
		return fmt.Errorf("%q is not a pattern", name)
	case strings.ContainsAny(name, "/ \t\n"):
		return fmt.Errorf("%q: an interface's name has no slash and no blank", name)
	case !strings.ContainsAny(name, `*?[\`) && len(name) > maxInterfaceName:
		return fmt.Errorf("%q: an interface's name has at most %d characters", name, maxInterfaceName)
	case slices.Contains(before, name):
		return fmt.Errorf("%q is given twice", name)
	}
	return nil
}

// announced takes Off as well.
func announced(every time.Duration) error {
	if every == Off {
		return nil
	}
	return within(every, time.Second, maxRefreshTime)
}

func (e *Exporter) checks(of string) []check {
	checks := []check{
		{of + "name", e.checkName()},
		{of + "destination", e.checkDestination()},
		{of + "file.path", e.File.checkPath()},
		{of + "file.rotate.time", zeroOr(within(e.File.Rotate.Time, time.Second, maxRefreshTime), e.File.Rotate.Time == 0)},
		{of + "file.rotate.size", zeroOr(withinSize(e.File.Rotate.Size, minFileSize, maxFileSize), e.File.Rotate.Size == 0)},
		{of + "protocol", e.checkProtocol()},
		{of + "transport", e.checkTransport()},
		{of + "reconnect", within(e.Reconnect, time.Second, maxRefreshTime)},
		{of + "resolve-again", within(e.ResolveAgain, time.Second, maxRefreshTime)},
		{of + "source", e.checkSource()},
		{of + "dscp", within(e.DSCP, 0, 63)},
		{of + "ttl", within(e.TTL, 1, 255)},
		{of + "mtu", e.checkMTU()},
		{of + "queue", within(e.Queue, 1, maxQueue)},
		{of + "template.packets", within(e.TemplatePackets, 1, maxRefresh)},
		{of + "option.sampler-table", announced(e.Options.SamplerTable)},
		{of + "option.sampler-form", oneOf(e.SamplerForm, FormSampling, FormInterval, FormFlowSampler, FormSelector)},
		{of + "option.interface-table", announced(e.Options.InterfaceTable)},
		{of + "option.exporter-stats", announced(e.Options.ExporterStats)},
		{of + "option.reliability", announced(e.Options.Reliability)},
		{of + "option.flow-keys", announced(e.Options.FlowKeys)},
		{of + "template.timeout", within(e.TemplateTimeout, time.Second, maxRefreshTime)},
	}
	checks = append(checks, e.certificateChecks(of+"tls.")...)
	if e.Rate != Unlimited && e.Rate != Automatic {
		checks = append(checks, check{of + "export-rate", within(e.Rate, 1, maxRate)})
	}
	if e.Protocol == NetFlow5 && e.SourceID != 0 {
		checks = append(checks, check{of + "source-id", errors.New("netflow5 has an engine-type and an engine-id instead")})
	}
	if e.Protocol != NetFlow5 && e.EngineType|e.EngineID != 0 {
		checks = append(checks, check{of + "engine-id", fmt.Errorf("%s has none", e.Protocol)})
	}
	if e.Protocol != IPFIX && e.SamplerForm == FormSelector {
		checks = append(checks, check{of + "option.sampler-form", fmt.Errorf("%s: %s only", FormSelector, IPFIX)})
	}
	if e.Protocol != NetFlow5 && !e.V5SamplingMode {
		checks = append(checks, check{of + "v5-sampling-mode", fmt.Errorf("%s only", NetFlow5)})
	}
	return append(checks, e.checkFields(of))
}

// checkFields asks those who make the records.
func (e *Exporter) checkFields(of string) check {
	protocol, err := export.ParseProtocol(string(e.Protocol))
	if err != nil {
		return check{of + "protocol", err}
	}
	err = export.CheckFields(&export.Config{Protocol: protocol, MTU: e.MTU, Transport: e.transport(), WideTCPFlags: e.WideTCPFlags, Fields: e.Fields})
	if fault := (*export.FieldsError)(nil); errors.As(err, &fault) {
		return check{of + fault.Key, errors.New(fault.Reason)}
	}
	return check{}
}

func (e *Exporter) checkName() error {
	if strings.ContainsFunc(e.Name, isBlank) {
		return errors.New("must have no blank and no control character")
	}
	return nil
}

func isBlank(r rune) bool { return r <= ' ' || r == 0x7f }

func zeroOr(err error, zero bool) error {
	if zero {
		return nil
	}
	return err
}

func (e *Exporter) isFile() bool { return e.File != File{} }

func (f *File) checkPath() error {
	switch {
	case *f == File{}:
		return nil
	case f.Path == "":
		return errors.New("missing")
	}
	return export.CheckFilePath(f.Path)
}

func (e *Exporter) checkProtocol() error {
	if !e.isFile() {
		if e.Protocol == JSON {
			return errors.New("json is for files only")
		}
		return oneOf(e.Protocol, NetFlow5, NetFlow9, IPFIX)
	}
	if e.Protocol == NetFlow5 || e.Protocol == NetFlow9 {
		return fmt.Errorf("%s has no file format: must be ipfix or json", e.Protocol)
	}
	return oneOf(e.Protocol, IPFIX, JSON)
}

func (e *Exporter) checkDestination() error {
	if e.isFile() {
		return nil
	}
	if e.Destination == "" {
		return errors.New("missing")
	}
	host, port, err := net.SplitHostPort(e.Destination)
	var at *net.AddrError
	switch {
	case errors.As(err, &at) && at.Err == "missing port in address":
		return errors.New("missing port")
	case errors.As(err, &at) && at.Err == "too many colons in address":
		return errors.New("an IPv6 address stands in brackets: [2001:db8::1]:2055")
	case err != nil:
		return errors.New("must be host:port")
	case host == "":
		return errors.New("missing host")
	case strings.ContainsAny(host, " \t\n/"):
		return fmt.Errorf("%q is not a host", host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q: must be 1 to 65535", port)
	}
	return nil
}

func (e *Exporter) checkTransport() error {
	if err := oneOf(e.Transport, UDP, TCP, TLS, DTLS); err != nil {
		return err
	}
	if e.Transport != UDP && e.Protocol != IPFIX {
		return fmt.Errorf("%s: %s only", e.Transport, IPFIX)
	}
	return nil
}

func (e *Exporter) checkMTU() error {
	least, most := e.transport().MTUBounds()
	return within(e.MTU, least, most)
}

// transport is UDP where checkTransport has something against it.
func (e *Exporter) transport() export.Transport {
	t, _ := export.ParseTransport(string(e.Transport))
	return t
}

// certificateChecks wants both sides to be known (RFC 7011 §11.3).
func (e *Exporter) certificateChecks(of string) (checks []check) {
	c := &e.TLS
	if e.Transport != TLS && e.Transport != DTLS {
		if c.Certificate+c.Key+c.CA+c.ServerName != "" || len(c.Fingerprints) > 0 {
			checks = append(checks, check{of + "certificate", fmt.Errorf("transports %s and %s only", TLS, DTLS)})
		}
		return checks
	}
	for key, value := range map[string]string{"certificate": c.Certificate, "key": c.Key, "ca": c.CA} {
		if value == "" {
			checks = append(checks, check{of + key, fmt.Errorf("missing: transport %s wants a certificate, its key and a ca", e.Transport)})
		}
	}
	slices.SortFunc(checks, func(a, b check) int { return strings.Compare(a.key, b.key) })
	for i, f := range c.Fingerprints {
		if certificate.Fingerprint(f) == "" {
			checks = append(checks, check{fmt.Sprintf("%sfingerprints.%d", of, i), fmt.Errorf("%q is no SHA-256 fingerprint", f)})
		}
	}
	return checks
}

func (e *Exporter) checkSource() error {
	if !e.Source.IsValid() {
		return nil
	}
	host, _, _ := net.SplitHostPort(e.Destination)
	if to, err := netip.ParseAddr(host); err == nil && to.Unmap().Is4() != e.Source.Unmap().Is4() {
		return fmt.Errorf("%s and the destination are not of one IP version", e.Source)
	}
	return nil
}

// sampler checks that every exporter can tell its collector of the sampler.
func (c *Config) sampler() check {
	const key = "flow-monitor.sampler.one-out-of"
	n := c.Monitor.Sampler.OneOutOf
	for i := range c.Exporters {
		if e := &c.Exporters[i]; e.Protocol == NetFlow5 && n > maxInterval5 {
			return check{key, fmt.Errorf("%d: must be at most %d, because flow-exporter %q is %s", n, maxInterval5, e.Name, NetFlow5)}
		}
	}
	return check{}
}

// collectors checks that exporters can be told apart.
func (c *Config) collectors() (checks []check) {
	for i := range c.Exporters {
		for j := range i {
			a, b := &c.Exporters[j], &c.Exporters[i]
			switch {
			case a.Name == b.Name:
				checks = append(checks, check{fmt.Sprintf("flow-exporter.%d.name", i), errors.New("is given twice")})
			case a.isFile() && a.File.Path == b.File.Path:
				checks = append(checks, check{fmt.Sprintf("flow-exporter.%d.file.path", i), fmt.Errorf("%q writes there already", a.Name)})
			case !a.isFile() && a.Destination == b.Destination && a.Protocol == b.Protocol:
				checks = append(checks, check{fmt.Sprintf("flow-exporter.%d.destination", i), fmt.Errorf("%q serves it already by %s", a.Name, a.Protocol)})
			}
		}
	}
	return checks
}

func (c *Control) checks() []check {
	checks := []check{{key: "control.mode"}, {key: "control.socket"}}
	if c.Mode&^0o777 != 0 || c.Mode&0o600 != 0o600 {
		checks[0].err = errors.New("must be permissions that its owner can use, such as 0600 or 0660")
	}
	if len(c.Socket) > maxSocketPath {
		checks[1].err = fmt.Errorf("the path has %d octets, %d at most", len(c.Socket), maxSocketPath)
	}
	return checks
}

func oneOf[T ~string](v T, of ...T) error {
	if slices.Contains(of, v) {
		return nil
	}
	names := make([]string, len(of))
	for i := range of {
		names[i] = string(of[i])
	}
	return fmt.Errorf("%q: must be %s", string(v), strings.Join(names, ", "))
}

func within[T int | time.Duration](v, lo, hi T) error {
	if v < lo || v > hi {
		return fmt.Errorf("%v: must be %v to %v", v, lo, hi)
	}
	return nil
}

func withinSize(v, lo, hi int64) error {
	if v < lo || v > hi {
		return fmt.Errorf("%d: must be %dMiB to %dGiB", v, lo>>20, hi>>30)
	}
	return nil
}
