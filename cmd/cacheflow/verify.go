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
	listen         string
	quiet          time.Duration
	totals, asJSON bool
	top            int
}

func newVerify() *cobra.Command {
	f := &verifyFlags{}
	c := &cobra.Command{
		Use:   "verify MANIFEST (FILE | --listen ADDR | --totals)",
		Short: "Compare what a collector has with the manifest of generate",
		Long: "Verify says which records of a manifest a collector has, misses, has twice or has altered, by exporter.\n" +
			"FILE is the output of nfdump -o csv or nfdump -o json (whose times are taken as local: run both with the same\n" +
			"TZ), of goflow2 as JSON, of cacheflow as JSON lines, or an IPFIX file; plain or gzip.\n\n" +
			"With --listen it is the collector itself: it waits for a first datagram, and compares once none has come for --quiet,\n" +
			"or at Ctrl-C; the manifest is read then, and may be written meanwhile.\n\n" +
			"With --totals it compares nothing, and says what a collector should show: records, packets and octets by\n" +
			"exporter, interface, minute and flow, as they were sent and as they should have arrived after the faults, modulo 2^64.\n\n" +
			"The exit status is 1 where there is any difference.",
		Example: "  TZ=UTC nfdump -R flows -o csv >stored.csv; TZ=UTC cacheflow verify sent.gz stored.csv\n" +
			"  cacheflow verify sent.gz --listen :2055\n" +
			"  cacheflow verify sent.gz --totals --top 20",
		Args: func(_ *cobra.Command, args []string) error {
			switch alone := f.listen != "" || f.totals; {
			case f.listen != "" && f.totals:
				return usagef("want --listen or --totals, not both")
			case f.top < 0:
				return usagef("--top %d: want 0 or more", f.top)
			case !alone && len(args) != 2:
				return usagef("want a manifest and a file, or a manifest and --listen or --totals: %q", args)
			case alone && len(args) != 1:
				return usagef("want a manifest and no file with --listen or --totals: %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	c.Flags().StringVar(&f.listen, "listen", "", "receive at `ADDR` (host:port or :port) instead of reading a file")
	c.Flags().DurationVar(&f.quiet, "quiet", 5*time.Second, "with --listen, compare once no datagram has come for so long since the first one")
	c.Flags().BoolVar(&f.totals, "totals", false, "say what a collector should show, instead of comparing")
	c.Flags().IntVar(&f.top, "top", 10, "with --totals, show the `N` flows with the most octets")
	c.Flags().BoolVar(&f.asJSON, "json", false, "report all differences, or the totals, as one JSON object")
	return c
}

func (f *verifyFlags) run(c *cobra.Command, args []string) error {
	if f.totals {
		return f.writeTotals(c, args[0])
	}
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
	var sent []manifest.Record
	m, err := eachRecord(args[0], func(r *manifest.Record) { sent = append(sent, *r) })
	if err != nil {
		return err
	}
	s, err := stored(m.Exporters)
	if err != nil {
		return err
	}
	if !s.Shows.Exporter {
		fmt.Fprintf(c.ErrOrStderr(), "%s do not tell exporters apart: they are not compared\n", s.Format)
	}
	s.Shows.Limit(m.Header.Lacks)
	result := verify.Compare(sent, s.Records, s.Shows)
	if f.asJSON {
		err = result.WriteJSON(c.OutOrStdout())
	} else {
		err = result.WriteText(c.OutOrStdout(), m.Exporters)
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

// writeTotals sums a manifest up.
func (f *verifyFlags) writeTotals(c *cobra.Command, path string) error {
	totals := verify.NewTotals()
	m, err := eachRecord(path, totals.Add)
	if err != nil {
		return err
	}
	totals.Limit(m.Header.Lacks)
	if f.asJSON {
		return totals.WriteJSON(c.OutOrStdout(), f.top)
	}
	return totals.WriteText(c.OutOrStdout(), m.Exporters, f.top)
}

// eachRecord calls do with each record of a manifest, and returns its reader: what it had besides.
func eachRecord(path string, do func(*manifest.Record)) (*manifest.Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	m, err := manifest.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for {
		var r manifest.Record
		if err := m.Next(&r); err == io.EOF {
			return m, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		do(&r)
	}
}
