package main

import (
	"fmt"
	"slices"
	"strings"

	"cacheflow/cmd/internal/config"
	"cacheflow/export"
)

// settable are the keys of a flow-exporter that routers which do not exist can have: what concerns
// the socket, the queue and who they are has flags of its own, or is the generator's. There are no
// counters of an exporter to announce, and no manifest of records with two directions.
var settable = []string{
	"layout", "timestamps", "counters", "flow-id", "wide-tcp-flags", "mtu", "template.packets", "template.timeout",
	"option.sampler-table", "option.sampler-form", "option.interface-table", "option.flow-keys",
}

// exportConfig returns how routers send records, templates and options.
func (f *generateFlags) exportConfig() (export.Config, error) {
	protocol, err := export.ParseProtocol(f.protocol)
	if err != nil || protocol == export.JSON {
		return export.Config{}, fmt.Errorf("--protocol %q: want netflow5, netflow9 or ipfix", f.protocol)
	}
	const unused = "collector:2055" // the sockets have -e
	cfg, err := config.WithSettings(unused, config.Protocol(f.protocol), f.settings, settable)
	if err != nil {
		return export.Config{}, fmt.Errorf("--set %w", err)
	}
	exporters, err := exportConfigs(cfg)
	if err != nil {
		return export.Config{}, err
	}
	x := exporters[0]
	x.Name, x.Address = "", f.to
	if !slices.ContainsFunc(f.settings, func(s string) bool { return strings.HasPrefix(s, "mtu=") }) {
		x.MTU = 0 // the protocol's own: 30 records of NetFlow v5
	}
	return x, nil
}
