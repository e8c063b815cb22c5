package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/generate"
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
			"Observation Domain, Source ID or engine of its own, with a correct flow behind it: a collector that has that flow\n" +
			"has survived. Where the collector's host says that nobody listens, what it should show is listed all the same, and\n" +
			"the exit status is 1.\n" +
			"A case that is known to take down a collector is sent only where --vector names it.",
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case f.list && len(args) > 0:
				return usagef("want no collector with --list: %q", args)
			case !f.list && len(args) == 0:
				return usagef("want the collector's HOST:PORT")
			case !f.list && len(args) > 1:
				return usagef("want one collector's HOST:PORT: %q", args)
			case f.every < 0:
				return usagef("--every %v: want 0 or more", f.every)
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
	sockets, err := generate.Dial(address, nil, 1)
	if err != nil {
		return err
	}
	defer sockets.Close()
	t := selftest{to: sockets, every: f.every, out: c.OutOrStdout()}
	if err := t.run(ctx, numbers); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if t.before != "" {
		return fmt.Errorf("nobody listens at %s any more; the last vector sent before was %s", address, t.before)
	}
	return nil
}

// selftest sends vectors to a collector.
type selftest struct {
	to     *generate.Sockets
	every  time.Duration
	out    io.Writer
	last   string // the vector of the message sent last
	before string // that one, when a message was refused for the first time
}

// run sends vectors by their numbers, and lists them.
func (t *selftest) run(ctx context.Context, numbers []int) error {
	all := vector.All()
	for _, number := range numbers {
		if err := t.send(ctx, &all[number-1], number); err != nil {
			return err
		}
		if err := writeVector(t.out, &all[number-1]); err != nil {
			return err
		}
		m := vector.MarkerOf(number)
		if _, err := fmt.Fprintf(t.out, "%-20s and behind it: %s > %s protocol 6, 1 packet, %d octets\n", "", m.Src, m.Dst, m.Octets); err != nil {
			return err
		}
	}
	return nil
}

// send sends the messages of a vector, slowly. That one was refused, the next one learns.
func (t *selftest) send(ctx context.Context, v *vector.Vector, number int) error {
	for _, message := range v.Messages(number, time.Now()) {
		if err := t.to.Send(0, message); err != nil {
			return fmt.Errorf("vector %s: %w", v.Name, err)
		}
		if t.to.Refused > 0 && t.before == "" {
			t.before = t.last
			if _, err := fmt.Fprintf(t.out, "nobody listens any more; the last vector sent before was %s\n", t.last); err != nil {
				return err
			}
		}
		t.last = v.Name
		select {
		case <-time.After(t.every):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
