//go:build linux

// Command demo shows cacheflow at work on a gateway between a client and a
// server, each in a network namespace of its own, with real traffic.
//
//	demo BINARY       the whole demonstration, as root, with this cacheflow binary
//	demo serve        HTTP and DNS servers, in the server's namespace
//	demo browse HOST… an HTTP, DNS and ping client, in the client's namespace
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo(ctx, os.Args[1:])
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve(ctx)
	case len(args) > 1 && args[0] == "browse":
		return browse(args[1:])
	case len(args) == 1:
		return show(ctx, args[0])
	}
	return errors.New("usage: demo BINARY")
}
