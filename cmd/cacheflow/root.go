package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// Main runs the command line and returns the exit status: 0 on success, 1 on
// failure, 2 on wrong usage. An error is one line on stderr.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	started := false
	root := newRoot(&started)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "cacheflow: %v\n", err)
	var usage usageError
	if !started || errors.As(err, &usage) {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailure
}

// usageError is an error in how the command was called.
type usageError struct{ error }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

// newRoot builds the tree of verbs. It sets started once flags and arguments
// have been accepted: what fails before that is wrong usage.
func newRoot(started *bool) *cobra.Command {
	root := &cobra.Command{
		Use:           "cacheflow",
		Short:         "A flow exporter for Linux that emulates a router's route cache",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		PersistentPreRun: func(*cobra.Command, []string) {
			*started = true
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newReplay(), newGenerate(), newVerify(), newSelftest(), newListen(), newShow(), newClear(), newReload(), newDetach(), newCheck(), newVersion())
	return asGroup(root)
}

// asGroup makes a command that only groups others refuse to be called alone.
func asGroup(c *cobra.Command) *cobra.Command {
	c.RunE = func(c *cobra.Command, _ []string) error {
		return usagef("%s needs a command", c.CommandPath())
	}
	return c
}
