package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cmd/internal/control"
	"cacheflow/cmd/internal/ios"
)

// client holds the flags of every command that talks to a running daemon.
type client struct {
	socket string
	json   bool
}

// clientTime bounds one question to the daemon; a large cache takes seconds.
const clientTime = 2 * time.Minute

func (f *client) register(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.socket, "socket", control.DefaultPath(os.Getuid(), os.Getenv), "control socket of the daemon")
}

// ask connects to the daemon and runs f.
func (f *client) ask(c *cobra.Command, ask func(context.Context, *control.Client) error) error {
	daemon, err := control.Dial(f.socket)
	if err != nil {
		return err
	}
	defer daemon.Close()
	ctx, cancel := context.WithTimeout(c.Context(), clientTime)
	defer cancel()
	return ask(ctx, daemon)
}

func newShow() *cobra.Command {
	f := &client{}
	show := group("show", "Show the state of the running daemon, as a router does")
	f.register(show)
	show.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON")

	ip := group("ip", "IPv4")
	cache := f.showCache("flow", "The flow cache: show ip cache flow", control.CacheQuery{Version: 4}, ios.CacheFlow)
	verbose := group("verbose", "The flow cache with all columns")
	verbose.AddCommand(f.showCache("flow", "The flow cache with all columns: show ip cache verbose flow", control.CacheQuery{Version: 4}, ios.VerboseFlow))
	ipCache := group("cache", "The flow cache")
	ipCache.AddCommand(cache, verbose)
	ipFlow := group("flow", "Export and top talkers")
	ipFlow.AddCommand(f.showExport(), f.showTopTalkers())
	ip.AddCommand(ipCache, ipFlow)

	flow6 := group("flow", "The IPv6 flow cache")
	flow6.AddCommand(f.showCache("cache", "The IPv6 flow cache: show ipv6 flow cache", control.CacheQuery{Version: 6}, ios.CacheFlow6))
	ipv6 := group("ipv6", "IPv6")
	ipv6.AddCommand(flow6)

	show.AddCommand(ip, ipv6, f.showLedger())
	return show
}

func group(use, short string) *cobra.Command {
	return asGroup(&cobra.Command{Use: use, Short: short, Args: cobra.NoArgs})
}

func (f *client) showCache(use, short string, q control.CacheQuery, render func(io.Writer, *control.Cache) error) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.ask(c, func(ctx context.Context, d *control.Client) error {
				cache, err := d.Cache(ctx, q)
				if err != nil {
					return err
				}
				if f.json {
					return cache.WriteJSON(c.OutOrStdout())
				}
				return render(c.OutOrStdout(), cache)
			})
		},
	}
	c.Flags().IntVar(&q.Limit, "limit", control.DefaultLimit, "show at most so many flows")
	return c
}

func (f *client) showTopTalkers() *cobra.Command {
	var top int
	var by string
	c := &cobra.Command{
		Use: "top-talkers", Short: "The largest flows in the cache: show ip flow top-talkers", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			order := control.Sort(by)
			if order != control.ByBytes && order != control.ByPackets {
				return usagef("--sort-by %q: want bytes or packets", by)
			}
			if top < 1 || top > 200 { // the router's range
				return usagef("--top %d: want 1 to 200", top)
			}
			return f.ask(c, func(ctx context.Context, d *control.Client) error {
				cache, err := d.Cache(ctx, control.CacheQuery{Version: 4, Limit: top, Sort: order})
				if err != nil {
					return err
				}
				if f.json {
					return cache.WriteJSON(c.OutOrStdout())
				}
				return ios.TopTalkers(c.OutOrStdout(), cache, top, order)
			})
		},
	}
	c.Flags().IntVar(&top, "top", 10, "how many")
	c.Flags().StringVar(&by, "sort-by", string(control.ByBytes), "bytes or packets")
	return c
}

func (f *client) showExport() *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "What was exported: show ip flow export", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.ask(c, func(ctx context.Context, d *control.Client) error {
				e, err := d.Export(ctx)
				if err != nil {
					return err
				}
				if f.json {
					return writeJSON(c.OutOrStdout(), e)
				}
				return ios.FlowExport(c.OutOrStdout(), e)
			})
		},
	}
}

func (f *client) showLedger() *cobra.Command {
	return &cobra.Command{
		Use: "ledger", Short: "Where every packet and every record is", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.ask(c, func(ctx context.Context, d *control.Client) error {
				l, err := d.Ledger(ctx)
				if err != nil {
					return err
				}
				if f.json {
					return l.WriteJSON(c.OutOrStdout())
				}
				return l.WriteText(c.OutOrStdout())
			})
		},
	}
}

func writeJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
