package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"net/netip"
	"strconv"
	"strings"
	"time"

	"cacheflow/export"
)

// maxFile bounds a configuration file, in octets.
const maxFile = 1 << 20

// Parse reads a configuration file; name is what errors call it. An error is an
// *Error, or r's.
func Parse(name string, r io.Reader) (*Config, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFile:
		return nil, &Error{File: name, Reason: fmt.Sprintf("longer than %d octets", maxFile)}
	}
	in, lines, err := decode(text)
	if err != nil {
		e := explain(err)
		e.File = name
		return nil, e
	}
	c := Default()
	c.file, c.lines = name, lines
	if err := c.read(in); err != nil {
		err.File, err.Line = name, lines.of(err.key)
		return nil, err
	}
	if err := c.Validate(); err != nil {
		if e := (*Error)(nil); errors.As(err, &e) {
			e.File, e.Line = name, lines.of(e.key)
		}
		return nil, err
	}
	return c, nil
}

// reader turns text into values, up to the first error.
type reader struct {
	c   *Config
	err *Error
}

// read fills in c what the file gives.
func (c *Config) read(in *raw) *Error {
	r := &reader{c: c}
	r.monitor(&in.Monitor)
	for i := range in.Exporters {
		r.exporter(i, &in.Exporters[i])
	}
	for i := range in.Groups {
		r.group(i, &in.Groups[i])
	}
	r.set("control.mode", in.Control.Mode, func(s string) error {
		mode, err := number(s, 8, 32)
		c.Control.Mode = fs.FileMode(mode)
		return err
	})
	assign(&c.Control.Socket, in.Control.Socket)
	assign(&c.Log.Format, LogFormat(in.Log.Format))
	r.set("log.format", in.Log.Format, func(string) error { return oneOf(c.Log.Format, LogText, LogJSON) })
	r.set("log.level", in.Log.Level, func(s string) error {
		if err := oneOf(s, "debug", "info", "warn", "error"); err != nil {
			return err
		}
		return c.Log.Level.UnmarshalText([]byte(s))
	})
	return r.err
}

func (r *reader) monitor(in *rawMonitor) {
	const of, cacheOf = "flow-monitor.", "flow-monitor.cache."
	m := &r.c.Monitor
	m.Interfaces = in.Interfaces
	assign(&m.Direction, Direction(in.Direction))
	for name, d := range in.Directions {
		if m.Directions == nil {
			m.Directions = map[string]Direction{}
		}
		m.Directions[name] = Direction(d)
	}
	assign(&m.Capture, Capture(in.Capture))
	assign(&m.Fragments, Fragments(in.Fragments))
	r.integer(of+"workers", in.Workers, &m.Workers)
	r.set(of+"ring-memory", in.RingMemory, func(s string) (err error) {
		m.RingMemory, err = size(s)
		return err
	})
	r.integer(of+"first-level.entries", in.FirstLevel.Entries, &m.FirstLevel.Entries)
	r.set(of+"first-level.ring", in.FirstLevel.Ring, func(s string) (err error) {
		m.FirstLevel.Ring, err = size(s)
		return err
	})
	r.boolean(of+"own-exports", in.OwnExports, &m.OwnExports)
	r.integer(of+"sampler.one-out-of", in.Sampler.OneOutOf, &m.Sampler.OneOutOf)
	assign(&m.Sampler.Mode, SamplerMode(in.Sampler.Mode))
	r.integer(cacheOf+"entries", in.Cache.Entries, &m.Cache.Entries)
	r.set(cacheOf+"preset", in.Cache.Preset, func(s string) error {
		m.Cache.Apply(Preset(s))
		return oneOf(Preset(s), PresetRouter, PresetMonitoring)
	})
	r.duration(cacheOf+"timeout.active", in.Cache.Timeout.Active, &m.Cache.Active)
	r.duration(cacheOf+"timeout.inactive", in.Cache.Timeout.Inactive, &m.Cache.Inactive)
	r.duration(cacheOf+"tcp-linger", in.Cache.TCPLinger, &m.Cache.TCPLinger)
}

func (r *reader) exporter(i int, in *rawExporter) {
	of := fmt.Sprintf("flow-exporter.%d.", i)
	r.c.Exporters = append(r.c.Exporters, DefaultExporter(in.Destination))
	e := &r.c.Exporters[i]
	if in.File != (rawFile{}) {
		r.file(of, in, e)
	}
	assign(&e.Name, in.Name)
	assign(&e.Protocol, Protocol(in.Protocol))
	r.transport(of, in, e)
	r.set(of+"source", in.Source, func(s string) (err error) {
		if e.Source, err = netip.ParseAddr(s); err != nil {
			err = fmt.Errorf("%q is not an IP address", s)
		}
		return err
	})
	r.identity(of, in, e)
	r.integer(of+"dscp", in.DSCP, &e.DSCP)
	r.integer(of+"ttl", in.TTL, &e.TTL)
	if r.integer(of+"mtu", in.MTU, &e.MTU); in.MTU == "" && (e.Transport == TCP || e.Transport == TLS) {
		e.MTU = streamMTU
	}
	switch in.Rate {
	case "automatic":
		e.Rate = Automatic
	case "unlimited":
		e.Rate = Unlimited
	default:
		r.integer(of+"export-rate", in.Rate, &e.Rate)
	}
	r.integer(of+"queue", in.Queue, &e.Queue)
	r.integer(of+"template.packets", in.Template.Packets, &e.TemplatePackets)
	r.duration(of+"template.timeout", in.Template.Timeout, &e.TemplateTimeout)
	r.options(of+"option.", &in.Option, &e.Options)
	assign(&e.SamplerForm, SamplerForm(in.Option.SamplerForm))
	r.boolean(of+"wide-tcp-flags", in.WideTCPFlags, &e.WideTCPFlags)
	assign(&e.Fields.Timestamps, export.Timestamps(in.Timestamps))
	assign(&e.Fields.Counters, export.Counters(in.Counters))
	assign(&e.Fields.Layout, export.Layout(in.Layout))
	r.boolean(of+"flow-id", in.FlowID, &e.Fields.FlowID)
	r.boolean(of+"biflow", in.Biflow, &e.Fields.Biflow)
	r.boolean(of+"v5-sampling-mode", in.V5SamplingMode, &e.V5SamplingMode)
}

func (r *reader) transport(of string, in *rawExporter, e *Exporter) {
	assign(&e.Transport, Transport(in.Transport))
	r.set(of+"transport", in.Transport, func(string) error { return oneOf(e.Transport, UDP, TCP, TLS, DTLS) })
	r.duration(of+"reconnect", in.Reconnect, &e.Reconnect)
	r.duration(of+"resolve-again", in.ResolveAgain, &e.ResolveAgain)
	e.TLS = Certificates(in.TLS)
}

func (r *reader) options(of string, in *rawOption, o *Options) {
	for _, each := range []struct {
		key, value string
		into       *time.Duration
	}{
		{"sampler-table", in.SamplerTable, &o.SamplerTable},
		{"interface-table", in.InterfaceTable, &o.InterfaceTable},
		{"exporter-stats", in.ExporterStats, &o.ExporterStats},
		{"reliability", in.Reliability, &o.Reliability},
		{"flow-keys", in.FlowKeys, &o.FlowKeys},
	} {
		if each.value == "off" {
			*each.into = Off
		} else {
			r.duration(of+each.key, each.value, each.into)
		}
	}
}

// file makes e an exporter to files.
func (r *reader) file(of string, in *rawExporter, e *Exporter) {
	*e = FileExporter(in.File.Path)
	for _, network := range [][2]string{
		{"destination", in.Destination}, {"source", in.Source}, {"dscp", in.DSCP}, {"ttl", in.TTL}, {"export-rate", in.Rate},
		{"transport", in.Transport}, {"reconnect", in.Reconnect}, {"resolve-again", in.ResolveAgain},
	} {
		r.set(of+network[0], network[1], func(string) error { return errors.New("a file has none") })
	}
	r.duration(of+"file.rotate.time", in.File.Rotate.Time, &e.File.Rotate.Time)
	r.set(of+"file.rotate.size", in.File.Rotate.Size, func(s string) (err error) {
		e.File.Rotate.Size, err = size(s)
		return err
	})
	r.boolean(of+"file.gzip", in.File.Gzip, &e.File.Gzip)
}

// identity reads the keys that tell an exporter from others, of which each
// protocol has its own.
func (r *reader) identity(of string, in *rawExporter, e *Exporter) {
	id := func(key, value string, protocol Protocol, least uint64, bits int, put func(uint64)) {
		r.set(of+key, value, func(s string) error {
			if e.Protocol != protocol {
				return fmt.Errorf("%s only", protocol)
			}
			n, err := number(s, 10, bits)
			if err == nil && n < least {
				return fmt.Errorf("must be at least %d", least)
			}
			put(n)
			return err
		})
	}
	domain := func(n uint64) { e.SourceID = uint32(n) }
	id("source-id", in.SourceID, NetFlow9, 1, 32, domain)
	id("observation-domain", in.ObservationDomain, IPFIX, 1, 32, domain)
	id("engine-type", in.EngineType, NetFlow5, 0, 8, func(n uint64) { e.EngineType = uint8(n) })
	id("engine-id", in.EngineID, NetFlow5, 0, 8, func(n uint64) { e.EngineID = uint8(n) })
}

// set has a value read, where it is given.
func (r *reader) set(key, value string, read func(string) error) {
	if value == "" || r.err != nil {
		return
	}
	if err := read(value); err != nil {
		r.err = r.c.errorAt(key, err)
	}
}

func (r *reader) integer(key, value string, into *int) {
	r.set(key, value, func(s string) error {
		n, err := number(s, 10, 31)
		*into = int(n)
		return err
	})
}

func (r *reader) boolean(key, value string, into *bool) {
	r.set(key, value, func(s string) error {
		*into = s == "true"
		return oneOf(s, "true", "false")
	})
}

func (r *reader) duration(key, value string, into *time.Duration) {
	r.set(key, value, func(s string) (err error) {
		if *into, err = time.ParseDuration(s); err == nil {
			return nil
		}
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return fmt.Errorf("%s has no unit: write %ss for seconds", s, s)
		}
		return fmt.Errorf("%q is not a duration such as 15s or 30m", s)
	})
}

func assign[T ~string](into *T, value T) {
	if value != "" {
		*into = value
	}
}

func number(s string, base, bits int) (uint64, error) {
	n, err := strconv.ParseUint(s, base, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is too large", s)
	case err != nil:
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return n, nil
}

// size reads octets: 65536, 64KiB, 64MiB, 1GiB.
func size(s string) (int64, error) {
	units := map[string]int{"KiB": 10, "MiB": 20, "GiB": 30}
	digits, shift := s, 0
	for unit, by := range units {
		if d, ok := strings.CutSuffix(s, unit); ok {
			digits, shift = strings.TrimSpace(d), by
		}
	}
	n, err := strconv.ParseUint(digits, 10, 62-shift)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size such as 64MiB", s)
	}
	return int64(n) << shift, nil
}
