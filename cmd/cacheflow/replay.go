package main

import (
	"context"
	"fmt"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/capture/pcapfile"
	"cacheflow/cmd/internal/config"
	"cacheflow/cmd/internal/daemon"
	"cacheflow/cmd/internal/recordfile"
	"cacheflow/cmd/internal/render"
)

// drainTime is how long the exporters may take at the end.
const drainTime = time.Minute

type replayFlags struct {
	meterFlags
	output, pace string
	seed         uint64
}

func newReplay() *cobra.Command {
	f := &replayFlags{}
	c := &cobra.Command{
		Use:   "replay FILE…",
		Short: "Meter capture files, or files of flow records, on their own time",
		Long: "Replay meters capture files (pcap or pcapng, plain or gzip, - for standard input) on their own time:\n" +
			"the same file gives the same records and the same datagrams each time.\n\n" +
			"It also meters files of flow records (IPFIX or JSON lines, plain or gzip), each record as a partial flow,\n" +
			"with its route. End reasons are judged anew, by the timeouts of this cache. Such records are not sampled\n" +
			"again: --sample tells collectors how they were.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	f.register(c)
	c.Flags().StringVarP(&f.output, "output", "o", "", "print records as table, json, csv or none (default table; none with -e)")
	c.Flags().StringVar(&f.pace, "pace", "fast", "fast, real, or xN for N times as fast as it was captured")
	c.Flags().Uint64Var(&f.seed, "hash-seed", 0, "seed of the cache's hash; it never changes the output")
	return c
}

func (f *replayFlags) run(c *cobra.Command, paths []string) error {
	cfg, err := f.config(c)
	if err != nil {
		return err
	}
	if err := f.valid(cfg); err != nil {
		return err
	}
	speed, err := parsePace(f.pace)
	if err != nil {
		return usageError{err}
	}
	if f.output == "" {
		f.output = "table"
		if len(cfg.Exporters) > 0 {
			f.output = "none"
		}
	}
	format, err := render.ParseFormat(f.output)
	if err != nil {
		return usageError{err}
	}
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	file, err := openFiles(paths, pcapfile.Options{
		Decoder: decoderOptions(&cfg.Monitor), Sampling: sampling(cfg.Monitor.Sampler), Stdin: newUntilDone(ctx, c.InOrStdin()),
	})
	if err != nil {
		return err
	}
	defer file.Close()
	var source capture.Source = file
	if speed > 0 {
		source = &daemon.Paced{Source: file, Speed: speed, Context: ctx}
	}
	return f.meter(ctx, c, cfg, file, source, format)
}

// file is a source that knows its time and its length.
type file interface {
	capture.Source
	Boot() time.Time
	Progress() (read, total int64)
}

// openFiles opens files of flow records, or else of packets, as the first one is.
func openFiles(paths []string, opt pcapfile.Options) (file, error) {
	if recordfile.Is(paths[0]) {
		return recordfile.OpenAll(paths)
	}
	return pcapfile.OpenAll(paths, opt)
}

// meter replays source, prints what leaves, and then the ledger.
func (f *replayFlags) meter(ctx context.Context, c *cobra.Command, cfg *config.Config, file file, source capture.Source, format render.Format) error {
	exporters, err := exportConfigs(cfg)
	if err != nil {
		return err
	}
	log := logger(c, cfg.Log.Format, cfg.Log.Level)
	for i := range exporters {
		exporters[i].Logger = log
	}
	r := &daemon.Replay{Source: source, Boot: file.Boot(), Cache: cacheConfig(&cfg.Monitor), Exporters: exporters, Groups: cfg.Groups, Drain: drainTime}
	r.Cache.Router, _ = file.(cache.Router) // records bring their routes
	r.Cache.Seed = [2]uint64{f.seed, ^f.seed}
	out := render.New(c.OutOrStdout(), format, file.Boot(), nil)
	if format != render.None {
		r.Output = func(rs []flow.Record) error { return writeRecords(out, rs) }
	}
	ledger, err := openLedger(f.ledger)
	if err != nil {
		return err
	}
	bar := newProgress(c.ErrOrStderr(), "packets", file.Progress)
	r.Progress = bar.update
	l, err := r.Run(ctx)
	bar.done()
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return finishLedger(c.ErrOrStderr(), ledger, l, err)
}

func writeRecords(w *render.Writer, rs []flow.Record) error {
	for i := range rs {
		if err := w.Record(&rs[i]); err != nil {
			return fmt.Errorf("output: %w", err)
		}
	}
	return nil
}

// parsePace returns how many times as fast as captured; 0 is without pauses.
func parsePace(s string) (float64, error) {
	switch {
	case s == "fast":
		return 0, nil
	case s == "real":
		return 1, nil
	case strings.HasPrefix(s, "x"):
		if n, err := strconv.ParseFloat(s[1:], 64); err == nil && n > 0 && n <= 1e9 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("--pace %q: want fast, real or xN", s)
}
