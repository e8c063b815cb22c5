package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/control"
)

func newClear() *cobra.Command {
	f := &client{}
	clear := group("clear", "Clear the daemon's statistics or its cache")
	f.register(clear)
	clear.AddCommand(f.clearCache())
	ip := group("ip", "IPv4")
	ipFlow := group("flow", "The flow cache's statistics")
	ipFlow.AddCommand(f.clearStats())
	ip.AddCommand(ipFlow)
	clear.AddCommand(ip)
	return clear
}

func (f *client) clearCache() *cobra.Command {
	return &cobra.Command{
		Use: "cache", Short: "Export every flow in the cache now, with a forced end", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.ask(c, func(ctx context.Context, d *control.Client) error {
				cleared, err := d.ClearCache(ctx)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "%d flows exported.\n", cleared.Flows)
				return err
			})
		},
	}
}

func (f *client) clearStats() *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "Start the statistics of show ip cache flow anew: clear ip flow stats", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.ask(c, func(ctx context.Context, d *control.Client) error {
				_, err := d.ClearStats(ctx)
				return err
			})
		},
	}
}
