package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/vector"
)

type selftestFlags struct {
	vectors []string
	list    bool
	every   time.Duration
}

func newSelftest() *cobra.Command {
	f := &selftestFlags{}
	c := &cobra.Command{
		Use:   "selftest HOST:PORT",
		Short: "Send a collector each edge case once, slowly, and list what it should now show",
		Long: "Selftest sends right and wrong export messages, those of RFC 5471 by its sections and others by names, each from an\n" +
			"Observation Domain of its own with a correct flow behind it: a collector that has that flow has survived.\n" +
			"A case that is known to take down a collector is sent only where --vector names it.",
		Args: func(c *cobra.Command, args []string) error {
			if !f.list && len(args) != 1 {
				return usagef("want the collector's HOST:PORT: %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if f.list {
				return listVectors(c.OutOrStdout())
			}
			return f.run(c, args[0])
		},
	}
	c.Flags().StringArrayVar(&f.vectors, "vector", nil, "send this one only, a `name` of --list; may be repeated")
	c.Flags().BoolVar(&f.list, "list", false, "list the vectors, and send nothing")
	c.Flags().DurationVar(&f.every, "every", 20*time.Millisecond, "how long to wait between two messages")
	return c
}

func listVectors(w io.Writer) error {
	for _, v := range vector.All() {
		if err := writeVector(w, &v); err != nil {
			return err
		}
	}
	return nil
}

func writeVector(w io.Writer, v *vector.Vector) error {
	_, err := fmt.Fprintf(w, "%-20s %s\n%-20s shows: %s\n", v.Name, v.Is, "", v.Shows)
	if v.Beware != "" && err == nil {
		_, err = fmt.Fprintf(w, "%-20s beware: %s\n", "", v.Beware)
	}
	return err
}

// chosen returns the numbers of the vectors to send, from 1.
func (f *selftestFlags) chosen() (numbers []int, err error) {
	for _, name := range f.vectors {
		_, number, err := vector.Find(name)
		if err != nil {
			return nil, usageError{err}
		}
		numbers = append(numbers, number)
	}
	if len(f.vectors) > 0 {
		return numbers, nil
	}
	for i, v := range vector.All() {
		if v.Beware == "" {
			numbers = append(numbers, i+1)
		}
	}
	return numbers, nil
}

func (f *selftestFlags) run(c *cobra.Command, to string) error {
	numbers, err := f.chosen()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	address, err := resolveCollector(ctx, to)
	if err != nil {
		return err
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(address))
	if err != nil {
		return err
	}
	defer conn.Close()
	all := vector.All()
	for _, number := range numbers {
		if err := f.send(ctx, conn, &all[number-1], number); err != nil {
			return err
		}
		m := vector.MarkerOf(number)
		if err := writeVector(c.OutOrStdout(), &all[number-1]); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%-20s and behind it: %s > %s protocol 6, 1 packet, %d octets\n", "", m.Src, m.Dst, m.Octets)
	}
	return nil
}

// send sends the messages of a vector, slowly.
func (f *selftestFlags) send(ctx context.Context, w io.Writer, v *vector.Vector, number int) error {
	for _, message := range v.Messages(number, time.Now()) {
		if _, err := w.Write(message); err != nil {
			return fmt.Errorf("vector %s: %w", v.Name, err)
		}
		select {
		case <-time.After(f.every):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
