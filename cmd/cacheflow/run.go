//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/control"
	"cacheflow/cmd/internal/daemon"
)

type runFlags struct {
	meterFlags
	interfaces []string
	capture    string
	direction  string
	workers    int
	duration   time.Duration
	socket     string
}

func newRun() *cobra.Command {
	f := &runFlags{}
	c := &cobra.Command{
		Use:   "run",
		Short: "Meter live interfaces and export what leaves the cache",
		Long: "Run meters live interfaces. Without -i it takes every interface that has an address where this host\n" +
			"forwards, else those of the default routes. Without a collector it shows the top flows itself.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	f.register(c)
	flags := c.Flags()
	flags.StringArrayVarP(&f.interfaces, "interface", "i", nil, "meter the interface of this `name or pattern`; may be repeated")
	flags.StringVar(&f.capture, "capture", "auto", "auto, ebpf, clsact, simple or afpacket")
	flags.StringVar(&f.direction, "direction", "auto", "auto, ingress, egress or both")
	flags.IntVar(&f.workers, "workers", 0, "capture workers (default the number of CPUs)")
	flags.DurationVar(&f.duration, "for", 0, "stop after this time")
	flags.StringVar(&f.socket, "socket", "", "control socket (default "+control.DefaultPath(os.Getuid(), os.Getenv)+")")
	return c
}

func (f *runFlags) run(c *cobra.Command) error {
	hangup := make(chan os.Signal, 1)     // one that waits stands for all that came meanwhile
	signal.Notify(hangup, syscall.SIGHUP) // for good: a late one must not kill what writes its ledger
	cfg, err := f.merged(c)
	if err != nil {
		return err
	}
	f.embed(c, cfg)
	ctx, stop := signal.NotifyContext(c.Context(), f.endSignals(cfg)...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	live, err := newLive(cfg)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(cfg.Log.Level)
	live.Log, live.Hangup = logger(c, cfg.Log.Format, level), hangup
	if f.file != "" {
		read := func() (*config.Config, error) { return f.merged(c) }
		live.Reload = (&reloader{read: read, running: cfg, live: live, level: level}).reload
	}
	file, err := openLedger(f.ledger)
	if err != nil {
		return err
	}
	l, err := f.meter(ctx, c, live)
	return finishLedger(c.ErrOrStderr(), file, l, err)
}

// endSignals are those that end the daemon. A hangup does where the flows are shown
// on the terminal that has gone; elsewhere it reloads.
func (f *runFlags) endSignals(cfg *config.Config) []os.Signal {
	end := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if f.file == "" && len(cfg.Exporters) == 0 {
		end = append(end, syscall.SIGHUP)
	}
	return end
}

// newLive returns what the configuration describes, without a log.
func newLive(cfg *config.Config) (*daemon.Live, error) {
	exporters, err := exportConfigs(cfg)
	if err != nil {
		return nil, err
	}
	return &daemon.Live{
		Capture: daemon.Capture{
			Mode: captureMode(cfg.Monitor.Capture), Interfaces: cfg.Monitor.Interfaces, Direction: direction(cfg.Monitor.Direction),
			Directions: directions(cfg.Monitor.Directions),
			FirstLevel: cfg.Monitor.FirstLevel.Entries,
			FirstRing:  int(cfg.Monitor.FirstLevel.Ring),
			Workers:    cfg.Monitor.Workers, RingMemory: int(cfg.Monitor.RingMemory), Sampling: sampling(cfg.Monitor.Sampler),
		},
		Fragments: decoderOptions(&cfg.Monitor), Cache: cacheConfig(&cfg.Monitor), MeterOwn: cfg.Monitor.OwnExports,
		Exporters: exporters, Groups: cfg.Groups, Socket: cfg.Control.Socket, SocketMode: cfg.Control.Mode,
		Version: control.Version{Version: versionString(), Go: runtime.Version(), PID: os.Getpid()},
		Drain:   drainTime,
	}, nil
}

// merged is the configuration with the flags on top.
func (f *runFlags) merged(c *cobra.Command) (*config.Config, error) {
	cfg, err := f.config(c)
	if err != nil {
		return nil, err
	}
	m := &cfg.Monitor
	if len(f.interfaces) > 0 {
		m.Interfaces = f.interfaces
	}
	if c.Flags().Changed("capture") {
		m.Capture = config.Capture(f.capture)
	}
	if c.Flags().Changed("direction") {
		m.Direction = config.Direction(f.direction)
	}
	if c.Flags().Changed("workers") {
		m.Workers = f.workers
	}
	if f.socket != "" {
		cfg.Control.Socket = f.socket
	}
	if cfg.Control.Socket == "" {
		cfg.Control.Socket = control.DefaultPath(os.Getuid(), os.Getenv)
	}
	if f.duration < 0 {
		return nil, usageError{fmt.Errorf("--for %v: want more than 0", f.duration)}
	}
	return cfg, f.valid(cfg)
}

func direction(d config.Direction) daemon.Direction {
	switch d {
	case config.DirectionIngress:
		return daemon.DirectionIngress
	case config.DirectionEgress:
		return daemon.DirectionEgress
	case config.DirectionBoth:
		return daemon.DirectionBoth
	}
	return daemon.DirectionAuto
}

func directions(in map[string]config.Direction) map[string]daemon.Direction {
	out := map[string]daemon.Direction{}
	for name, d := range in {
		out[name] = direction(d)
	}
	return out
}

func captureMode(c config.Capture) daemon.CaptureMode {
	switch c {
	case config.CaptureEBPF:
		return daemon.CaptureEBPF
	case config.CaptureClsact:
		return daemon.CaptureClsact
	case config.CaptureSimple:
		return daemon.CaptureSimple
	case config.CaptureAFPacket:
		return daemon.CaptureAFPacket
	}
	return daemon.CaptureAuto
}
