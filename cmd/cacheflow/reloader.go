//go:build linux

package main

import (
	"errors"
	"log/slog"

	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/daemon"
)

// A reloader has a daemon take over what its configuration says now.
type reloader struct {
	read    func() (*config.Config, error)
	running *config.Config // by which the daemon runs
	live    *daemon.Live   // as it was started
	level   *slog.LevelVar
}

// reload is a daemon.Live's Reload.
func (r *reloader) reload(apply func(*daemon.Live) error) ([]string, error) {
	cfg, err := r.read()
	if err != nil {
		return nil, err
	}
	changes, err := cfg.Changes(r.running)
	if err != nil {
		return nil, err
	}
	if len(changes) > 0 {
		if err := r.apply(cfg, apply); err != nil {
			return nil, err
		}
	}
	r.level.Set(cfg.Log.Level)
	r.running = cfg
	return changes, nil
}

func (r *reloader) apply(cfg *config.Config, apply func(*daemon.Live) error) error {
	next, err := newLive(cfg)
	if err != nil {
		return err
	}
	if len(cfg.Exporters) == 0 {
		next.Exporters = r.live.Exporters // the embedded collector's
	}
	switch err = apply(next); {
	case errors.Is(err, daemon.ErrDirection) && cfg.Monitor.Direction != r.running.Monitor.Direction:
		return cfg.ErrorAt("flow-monitor.direction", err)
	case errors.Is(err, daemon.ErrDirection):
		return cfg.ErrorAt("flow-monitor.interface-direction", err)
	case err != nil: // it names the exporter
		return cfg.ErrorAt("flow-exporter", err)
	}
	return nil
}
