//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/daemon"
	"cacheflow/cmd/internal/ledger"
	"cacheflow/cmd/internal/top"
	"cacheflow/export"
)

// Timeouts with the embedded collector, where nobody else asks for a router's:
// whoever watches wants to see a flow soon.
const (
	embeddedActive   = 10 * time.Second
	embeddedInactive = 5 * time.Second
)

// embed sets the timeouts for the embedded collector, unless the flags or a
// file chose them.
func (f *runFlags) embed(c *cobra.Command, cfg *config.Config) {
	if len(cfg.Exporters) > 0 || f.file != "" || f.preset != "" {
		return
	}
	if !c.Flags().Changed("active") {
		cfg.Monitor.Cache.Active = embeddedActive
	}
	if !c.Flags().Changed("inactive") {
		cfg.Monitor.Cache.Inactive = embeddedInactive
	}
}

// meter runs live; without an exporter it adds one to a collector of its own on
// loopback, which decodes the real datagrams and shows the top flows.
func (f *runFlags) meter(ctx context.Context, c *cobra.Command, live *daemon.Live) (*ledger.Ledger, error) {
	if len(live.Exporters) > 0 {
		return live.Run(ctx)
	}
	conn, err := collector.Listen("127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("embedded collector: %w", err)
	}
	defer conn.Close()
	live.Exporters = []export.Config{{Name: "embedded collector", Address: conn.LocalAddr().String()}}

	col, flows := collector.New(collector.Config{}), top.New(top.Config{})
	view := &top.View{Top: flows, Out: c.OutOrStdout(), Size: terminalSize(c), Stats: col.Stats}
	background, stop := context.WithCancel(context.Background())
	defer stop()
	var tasks errgroup.Group
	tasks.Go(func() error {
		return col.Serve(background, conn, func(r *collector.Record) {
			if !r.Options {
				row := r.Row()
				flows.Add(&row, r.Received)
			}
		})
	})
	live.Started = func(m *daemon.Meter) {
		view.Names = m.InterfaceName
		view.Status = func() string { return status(background, m) }
		tasks.Go(func() error { return view.Run(background) })
	}
	l, err := live.Run(ctx)
	stop()
	if terr := tasks.Wait(); err == nil {
		err = terr
	}
	return l, err
}

// status is the line that the live view shows of the ledger.
func status(ctx context.Context, m *daemon.Meter) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	l, err := m.Ledger(ctx)
	if err != nil {
		return ""
	}
	t := l.Total()
	return fmt.Sprintf("captured %d frames, lost %d; %d flows in the cache hold %d packets", t.Observed, t.Lost, l.Cache.Content.Count, l.Cache.Content.Packets)
}

func terminalSize(c *cobra.Command) func() (int, int, bool) {
	if f, ok := c.OutOrStdout().(*os.File); ok {
		return top.TerminalSize(f)
	}
	return func() (int, int, bool) { return 0, 0, false }
}
