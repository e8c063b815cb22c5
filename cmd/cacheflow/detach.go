//go:build linux

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"cacheflow/capture/kernel"
)

func newDetach() *cobra.Command {
	return &cobra.Command{
		Use:   "detach",
		Short: "Remove what a daemon that was killed left attached (clsact only)",
		Long: "Detach removes the filters of a daemon that was killed from all interfaces. On kernels before 6.6 they outlive\n" +
			"it: they stop counting after 10 s, and the next start removes them too. A daemon that is running stops counting.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			names, err := kernel.Detach()
			for _, name := range names {
				fmt.Fprintln(c.OutOrStdout(), "detached from", name)
			}
			return err
		},
	}
}
