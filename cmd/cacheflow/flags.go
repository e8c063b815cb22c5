package main

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cache"
	"cacheflow/capture"
	"cacheflow/cmd/internal/certificate"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/dtls"
	"cacheflow/export"
)

// meterFlags are the flags that run and replay share. What is not given stays
// as the configuration file has it.
type meterFlags struct {
	file             string
	exporters        []string
	protocol         string
	transport        string
	entries          int
	active, inactive time.Duration
	preset           string
	sample           string
	ledger           string
}

func (f *meterFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "configuration `file` (YAML)")
	flags.StringArrayVarP(&f.exporters, "export", "e", nil, "export to a collector at `HOST:PORT`, or write to file:PATH (.ipfix or .json, with .gz compressed); may be repeated")
	flags.StringVar(&f.protocol, "protocol", "netflow9", "netflow5, netflow9 or ipfix, for the collectors of -e")
	flags.StringVar(&f.transport, "transport", "udp", "udp or tcp, for the collectors of -e; tls and dtls need a configuration file")
	flags.IntVar(&f.entries, "entries", 0, "flows that the cache holds (default 65536)")
	flags.DurationVar(&f.active, "active", 0, "active timeout (default 30m)")
	flags.DurationVar(&f.inactive, "inactive", 0, "inactive timeout (default 15s)")
	flags.StringVar(&f.preset, "preset", "", "timeouts by name: router (30m, 15s) or monitoring (60s, 10s)")
	flags.StringVar(&f.sample, "sample", "", "meter one frame out of `N`, or random:N for one by chance of each N in a row")
	flags.StringVar(&f.ledger, "ledger", "", "write the final ledger to `file`, as JSON")
}

// config reads the configuration file, if one is named, and lets the flags
// speak louder.
func (f *meterFlags) config(c *cobra.Command) (*config.Config, error) {
	cfg := config.Default()
	if f.file != "" {
		r, err := os.Open(f.file)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		defer r.Close()
		if cfg, err = config.Parse(f.file, r); err != nil {
			return nil, err
		}
	}
	if f.preset != "" {
		cfg.Monitor.Cache.Apply(config.Preset(f.preset))
	}
	if c.Flags().Changed("entries") {
		cfg.Monitor.Cache.Entries = f.entries
	}
	if c.Flags().Changed("active") {
		cfg.Monitor.Cache.Active = f.active
	}
	if c.Flags().Changed("inactive") {
		cfg.Monitor.Cache.Inactive = f.inactive
	}
	if f.sample != "" {
		var err error
		if cfg.Monitor.Sampler, err = parseSample(f.sample); err != nil {
			return nil, usageError{err}
		}
	}
	for _, e := range f.exporters {
		cfg.Exporters = append(cfg.Exporters, f.exporter(e))
	}
	return cfg, f.check()
}

// exporter returns the exporter of an -e.
func (f *meterFlags) exporter(to string) config.Exporter {
	if path, ok := strings.CutPrefix(to, "file:"); ok {
		return config.FileExporter(path)
	}
	x := config.DefaultExporter(to)
	x.Protocol, x.Transport = config.Protocol(f.protocol), config.Transport(f.transport)
	if x.Transport == config.TCP || x.Transport == config.TLS {
		x.MTU = export.DefaultStreamMTU
	}
	return x
}

// check finds what no configuration file could mean.
func (f *meterFlags) check() error {
	if p, err := export.ParseProtocol(f.protocol); err != nil || p == export.JSON {
		return usagef("--protocol %q: want netflow5, netflow9 or ipfix", f.protocol)
	}
	switch config.Preset(f.preset) {
	case "", config.PresetRouter, config.PresetMonitoring:
		return nil
	}
	return usagef("--preset %q: want router or monitoring", f.preset)
}

// parseSample reads N or random:N. What N may be is for the configuration to say.
func parseSample(s string) (config.Sampler, error) {
	sampler := config.Sampler{Mode: config.SamplerDeterministic}
	digits, random := strings.CutPrefix(s, "random:")
	if random {
		sampler.Mode = config.SamplerRandom
	}
	var err error
	if sampler.OneOutOf, err = strconv.Atoi(digits); err != nil {
		return sampler, fmt.Errorf("--sample %q: want N or random:N", s)
	}
	return sampler, nil
}

// valid reports what is wrong with the configuration as wrong usage where no
// file is involved.
func (f *meterFlags) valid(cfg *config.Config) error {
	err := cfg.Validate()
	if err != nil && f.file == "" {
		return usageError{err}
	}
	return err
}

func cacheConfig(m *config.Monitor) cache.Config {
	return cache.Config{Entries: m.Cache.Entries, Active: m.Cache.Active, Inactive: m.Cache.Inactive, Linger: m.Cache.TCPLinger}
}

func decoderOptions(m *config.Monitor) capture.DecoderOptions {
	return capture.DecoderOptions{KeepFragmentsApart: m.Fragments == config.FragmentsPortsZero}
}

func sampling(s config.Sampler) capture.Sampling {
	return capture.Sampling{Interval: uint32(s.OneOutOf), Random: s.Mode == config.SamplerRandom}
}

func exportConfigs(cfg *config.Config) ([]export.Config, error) {
	out := make([]export.Config, 0, len(cfg.Exporters))
	s := sampling(cfg.Monitor.Sampler)
	for _, x := range cfg.Exporters {
		p, err := export.ParseProtocol(string(x.Protocol))
		if err != nil {
			return nil, err
		}
		form, err := export.ParseSamplerForm(string(x.SamplerForm))
		if err != nil {
			return nil, err
		}
		transport, err := export.ParseTransport(string(x.Transport))
		if err != nil {
			return nil, err
		}
		files := certificate.Files(x.TLS)
		if transport.IsSecure() {
			if _, err := files.Client(); err != nil {
				return nil, fmt.Errorf("flow-exporter %q: tls: %w", x.Name, err)
			}
		}
		rate := x.Rate
		if rate == config.Automatic {
			rate = 0
		}
		out = append(out, export.Config{
			Name: x.Name, Protocol: p, Address: x.Destination, Source: x.Source,
			Transport: transport, Reconnect: x.Reconnect, ResolveAgain: x.ResolveAgain, Identity: files, Handshaker: dtls.Client{},
			File: export.File{Path: x.File.Path, Period: x.File.Rotate.Time, Size: x.File.Rotate.Size, Gzip: x.File.Gzip},
			DSCP: uint8(x.DSCP), TTL: uint8(x.TTL),
			SourceID: x.SourceID, EngineType: x.EngineType, EngineID: x.EngineID,
			MTU: x.MTU, TemplatePackets: x.TemplatePackets, TemplateInterval: x.TemplateTimeout,
			Options: export.OptionIntervals(x.Options), WideTCPFlags: x.WideTCPFlags, Rate: rate, QueueRecords: x.Queue,
			Fields:   x.Fields,
			Sampling: export.Sampling{Interval: s.Interval, Random: s.Random, NoMode: !x.V5SamplingMode, Form: form},
		})
	}
	return out, nil
}

// logger writes to the command's standard error.
func logger(c *cobra.Command, format config.LogFormat, level slog.Leveler) *slog.Logger {
	opt := &slog.HandlerOptions{Level: level}
	if format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(c.ErrOrStderr(), opt))
	}
	return slog.New(slog.NewTextHandler(c.ErrOrStderr(), opt))
}
