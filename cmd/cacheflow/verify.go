package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/manifest"
	"cacheflow/cmd/internal/verify"
)

type verifyFlags struct {
	listen string
	quiet  time.Duration
	asJSON bool
}

func newVerify() *cobra.Command {
	f := &verifyFlags{}
	c := &cobra.Command{
		Use:   "verify MANIFEST (FILE | --listen ADDR)",
		Short: "Compare what a collector has with the manifest of generate",
		Long: "Verify says which records of a manifest a collector has, misses, has twice or has altered, by exporter.\n" +
			"FILE is the output of nfdump -o csv or nfdump -o json (whose times are taken as local: run both with the same\n" +
			"TZ), of goflow2 as JSON, of cacheflow as JSON lines, or an IPFIX file; plain or gzip.\n\n" +
			"With --listen it is the collector itself, and compares once nothing more comes, or at Ctrl-C; the manifest\n" +
			"is read then, and may be written meanwhile.\n\n" +
			"The exit status is 1 where there is any difference.",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case f.listen == "" && len(args) != 2:
				return usagef("want a manifest and a file, or a manifest and --listen: %q", args)
			case f.listen != "" && len(args) != 1:
				return usagef("want a manifest and no file with --listen: %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	c.Flags().StringVar(&f.listen, "listen", "", "receive at `ADDR` (host:port or :port) instead of reading a file")
	c.Flags().DurationVar(&f.quiet, "quiet", 5*time.Second, "with --listen, compare once nothing has come for so long")
	c.Flags().BoolVar(&f.asJSON, "json", false, "report all differences as one JSON object")
	return c
}

func (f *verifyFlags) run(c *cobra.Command, args []string) error {
	var stored func([]manifest.Exporter) (*verify.Stored, error)
	if f.listen != "" {
		received, err := f.receive(c)
		if err != nil {
			return err
		}
		stored = func(all []manifest.Exporter) (*verify.Stored, error) { return received.Stored(all), nil }
	} else {
		stored = func(all []manifest.Exporter) (*verify.Stored, error) { return verify.ReadFile(args[1], all) }
	}
	exporters, lacks, sent, err := readManifest(args[0])
	if err != nil {
		return err
	}
	s, err := stored(exporters)
	if err != nil {
		return err
	}
	if !s.Shows.Exporter {
		fmt.Fprintf(c.ErrOrStderr(), "%s do not tell exporters apart: they are not compared\n", s.Format)
	}
	s.Shows.Limit(lacks)
	result := verify.Compare(sent, s.Records, s.Shows)
	if f.asJSON {
		err = result.WriteJSON(c.OutOrStdout())
	} else {
		err = result.WriteText(c.OutOrStdout(), exporters)
	}
	if err == nil && !result.Complete() {
		err = errors.New("the collector does not have what was sent")
	}
	return err
}

// receive is the collector.
func (f *verifyFlags) receive(c *cobra.Command) (*verify.Received, error) {
	conn, err := collector.Listen(f.listen)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	fmt.Fprintf(c.ErrOrStderr(), "listening on %s\n", conn.LocalAddr())
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	r, err := verify.Listen(ctx, conn, f.quiet)
	if err == nil {
		printStats(c, &r.Collector)
	}
	return r, err
}

// readManifest returns all of a manifest, and the columns that its records lack.
func readManifest(path string) (exporters []manifest.Exporter, lacks []string, all []manifest.Record, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, nil, err
	}
	defer file.Close()
	m, err := manifest.NewReader(file)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	for {
		var r manifest.Record
		if err := m.Next(&r); err == io.EOF {
			return m.Exporters, m.Header.Lacks, all, nil
		} else if err != nil {
			return nil, nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, r)
	}
}
