package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/control"
)

func newReload() *cobra.Command {
	f := &client{}
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon read its configuration file again",
		Long: "Reload has the daemon read the file of its -c again, as SIGHUP does, and prints what it has changed.\n" +
			"The cache, and exporters that stay as they are, go on. A configuration that is wrong, or that cannot\n" +
			"be taken over without a restart, is refused as a whole.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.reload(c) },
	}
	f.register(c)
	return c
}

func (f *client) reload(c *cobra.Command) error {
	return f.ask(c, func(ctx context.Context, d *control.Client) error {
		r, err := d.Reload(ctx)
		if err != nil {
			return err
		}
		changes := r.Changes
		if len(changes) == 0 {
			changes = []string{"nothing changed"}
		}
		for _, line := range changes {
			if _, err := fmt.Fprintln(c.OutOrStdout(), line); err != nil {
				return err
			}
		}
		return nil
	})
}
