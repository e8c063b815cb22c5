package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/collector"
	"cacheflow/cmd/internal/recordfile"
	"cacheflow/cmd/internal/render"
)

// isRecordFile tells a file from an address.
func isRecordFile(arg string) bool {
	switch filepath.Ext(strings.TrimSuffix(arg, ".gz")) {
	case ".ipfix", ".json", ".jsonl":
		return true
	}
	info, err := os.Stat(arg)
	return err == nil && info.Mode().IsRegular()
}

// listenFiles prints the records of files, up to the first damage.
func listenFiles(c *cobra.Command, paths []string, format render.Format) error {
	out := render.New(c.OutOrStdout(), format, time.Time{}, nil)
	for _, path := range paths {
		if err := listenFile(c, path, out); err != nil {
			return errors.Join(out.Flush(), err)
		}
	}
	return out.Flush()
}

func listenFile(c *cobra.Command, path string, out *render.Writer) error {
	f, err := recordfile.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var failed error // of the output
	for err == nil && failed == nil {
		err = f.Next(func(r *collector.Record) {
			if failed == nil {
				failed = out.Decoded(&r.Decoded)
			}
		})
	}
	stats := f.Stats()
	fmt.Fprintf(c.ErrOrStderr(), "%s: %d messages or lines, %d records, %d options, %d templates; lost %d records\n",
		path, stats.Datagrams, stats.Records, stats.Options, stats.Templates, stats.LostRecords)
	printFound(c, &stats)
	if failed != nil {
		return fmt.Errorf("output: %w", failed)
	}
	if err == io.EOF {
		return nil
	}
	return err
}
