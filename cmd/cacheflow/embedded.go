//go:build linux

package main

import (
	"context"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/daemon"
	"cacheflow/cmd/internal/ledger"
)

func (f *runFlags) meter(ctx context.Context, _ *cobra.Command, live *daemon.Live) (*ledger.Ledger, error) {
	return live.Run(ctx)
}
