package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/config"
)

func newCheck() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a configuration file",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("check needs -c FILE")
			}
			r, err := os.Open(file)
			if err != nil {
				return fmt.Errorf("configuration: %w", err)
			}
			defer r.Close()
			cfg, err := config.Parse(file, r)
			if err != nil {
				return err
			}
			m := cacheConfig(&cfg.Monitor)
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: good: a cache of %d entries (%d KiB), %d exporters\n",
				file, m.Entries, m.Memory()>>10, len(cfg.Exporters))
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `file` (YAML)")
	return c
}
