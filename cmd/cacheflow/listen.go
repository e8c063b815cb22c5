package main

import (
	"context"
	"fmt"
	"net"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/render"
)

func newListen() *cobra.Command {
	var output string
	var duration time.Duration
	c := &cobra.Command{
		Use:   "listen [ADDR | FILE…]",
		Short: "Receive NetFlow v5, v9 and IPFIX, or read files, and print the records",
		Long: "Listen receives datagrams of any of the three protocols at ADDR (host:port or :port, default :2055) and\n" +
			"prints their records. Statistics go to standard error at the end.\n\n" +
			"FILE is an IPFIX file or one of JSON lines, plain or gzip: an argument that exists as a file, or ends in\n" +
			".ipfix, .json or .jsonl, with or without .gz. What is whole in a damaged file is printed.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 && !slices.ContainsFunc(args, isRecordFile) {
				return usagef("one address, or files: %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			format, err := render.ParseFormat(output)
			if err != nil {
				return usageError{err}
			}
			if len(args) > 0 && slices.ContainsFunc(args, isRecordFile) {
				return listenFiles(c, args, format)
			}
			addr := ":2055"
			if len(args) == 1 {
				addr = args[0]
			}
			if _, _, err := net.SplitHostPort(addr); err != nil {
				return usagef("address %q: want host:port or :port", addr)
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if duration > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, duration)
				defer cancel()
			}
			return listen(ctx, c, addr, format)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "table, json, csv or none")
	c.Flags().DurationVar(&duration, "for", 0, "stop after this time")
	return c
}

// flushEvery is how long a record may wait to be printed.
const flushEvery = 200 * time.Millisecond

func listen(ctx context.Context, c *cobra.Command, addr string, format render.Format) error {
	conn, err := collector.Listen(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(c.ErrOrStderr(), "listening on %s\n", conn.LocalAddr())

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &printer{out: render.New(c.OutOrStdout(), format, time.Time{}, nil), fail: cancel}
	go p.flushNowAndThen(ctx)
	col := collector.New(collector.Config{})
	err = col.Serve(ctx, conn, p.print)
	p.flush()
	stats := col.Stats()
	printStats(c, &stats)
	if err == nil {
		err = p.err
	}
	return err
}

// printer writes records as they come, and what is gathered after flushEvery.
type printer struct {
	fail func(error) // called with the first error

	mu  sync.Mutex // guards what follows
	out *render.Writer
	err error
}

func (p *printer) print(r *collector.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.check(p.out.Decoded(&r.Decoded))
}

func (p *printer) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.check(p.out.Flush())
}

// check keeps the first error. The caller holds mu.
func (p *printer) check(err error) {
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("output: %w", err)
		p.fail(p.err)
	}
}

func (p *printer) flushNowAndThen(ctx context.Context) {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.flush()
		case <-ctx.Done():
			return
		}
	}
}

func printStats(c *cobra.Command, s *collector.Stats) {
	fmt.Fprintf(c.ErrOrStderr(), "%d datagrams, %d records, %d options, %d templates; lost %d datagrams, %d records; late %d\n",
		s.Datagrams, s.Records, s.Options, s.Templates, s.LostDatagrams, s.LostRecords, s.Late)
	printFound(c, s)
}

func printFound(c *cobra.Command, s *collector.Stats) {
	var found []string
	for r, n := range s.Found {
		if n > 0 {
			found = append(found, fmt.Sprintf("%s %d", collector.Reason(r), n))
		}
	}
	if len(found) > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "found: %s\n", strings.Join(found, ", "))
	}
}
