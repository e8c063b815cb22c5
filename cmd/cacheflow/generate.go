package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cacheflow/cache"
	"cacheflow/capture/pcapfile"
	"cacheflow/cmd/internal/generate"
	"cacheflow/cmd/internal/profile"
	"cacheflow/export"
)

type generateFlags struct {
	to, protocol, profile, source string
	start, pace, manifest, ledger string
	list, own, mirror             bool
	print                         string
	captures                      []string
	faults, templates, restarts   []string
	records, clocks, settings     []string
	routers, rate, entries        int
	repeat                        int
	seed                          uint64
	length, active, inactive      time.Duration
}

// Rates of datagrams. Above foreignRate, a host that is not this one needs its owner's word.
const (
	ownRate     = export.GentleRate
	foreignRate = 1_000
)

func newGenerate() *cobra.Command {
	f := &generateFlags{}
	c := &cobra.Command{
		Use:   "generate -e HOST:PORT",
		Short: "Be one or many routers with synthetic or captured traffic, and say what they sent",
		Long: "Generate makes the traffic of a profile, or reads that of capture files, meters it in the flow cache of each of its\n" +
			"routers, and exports what leaves them. The same flags send the same datagrams each time. The manifest says what\n" +
			"was sent, to the record; verify compares it with what a collector has.\n\n" +
			"It sends to the one address of -e and to no other. Ctrl-C ends it; the manifest has what was sent.",
		Example: "  cacheflow generate -e 127.0.0.1:2055 --profile isp-edge --for 5m --exporters 50 --source 127.1.0.0/16 --manifest sent.gz\n" +
			"  cacheflow generate -e 127.0.0.1:2055 --protocol ipfix --pace real --start now --fault drop=1%,from=30s --restart 2m\n" +
			"  cacheflow generate -e 127.0.0.1:2055 --capture trace.pcap --exporters 8 --repeat 10 --pace x60",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%q belongs to no flag: a capture file wants --capture before it, each one", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringVarP(&f.to, "export", "e", "", "collector, `HOST:PORT`, by UDP")
	flags.StringVar(&f.protocol, "protocol", "netflow9", "netflow5, netflow9 or ipfix")
	flags.StringArrayVar(&f.settings, "set", nil, "send as a flow-exporter of the configuration file with this `key=value` does: layout=isr, timestamps=milliseconds, template.timeout=10s, option.interface-table=off …; may be repeated")
	flags.StringVar(&f.profile, "profile", "office", "traffic profile: a `name` of --list-profiles, or a file")
	flags.BoolVar(&f.list, "list-profiles", false, "list the profiles that come with the program")
	flags.StringVar(&f.print, "print-profile", "", "print the profile `name`, to be changed")
	flags.StringArrayVar(&f.captures, "capture", nil, "take the packets of a capture `file` (pcap or pcapng, plain or gzip, - for standard input) instead of a profile's; may be repeated")
	flags.IntVar(&f.repeat, "repeat", 1, "with --capture, play the files `N` times, one after another")
	flags.BoolVar(&f.mirror, "mirror", false, "with --capture, let each exporter see all packets; otherwise one sees all that two hosts send each other")
	flags.Uint64Var(&f.seed, "seed", 1, "chooses the traffic, boot times, and which exporter sees which hosts of a capture")
	flags.IntVar(&f.routers, "exporters", 1, "number of routers, each with its own cache, source id and boot time")
	flags.StringVar(&f.source, "source", "", "`address` that all send from, or a prefix with one for each, such as 127.1.0.0/16")
	flags.StringVar(&f.start, "start", "2026-01-01T12:00:00Z", "when the traffic begins on its own time, or now")
	flags.DurationVar(&f.length, "for", time.Hour, "how much of its own time the traffic lasts; a capture ends by itself, or is cut")
	flags.StringVar(&f.pace, "pace", "fast", "fast; real, or xN for N times as fast as the traffic's time; or N/s for N records a second")
	flags.IntVar(&f.rate, "export-rate", 0, "the most datagrams a second of all routers together (default 4000; 1000 to another host)")
	flags.BoolVar(&f.own, "i-own-this-network", false, "allow an --export-rate above 1000 to another host")
	flags.StringArrayVar(&f.faults, "fault", nil, "do to a share of the datagrams, as in `drop=1%`; also duplicate, reorder, delay (by=2s), truncate, jump; with ,from=10s,to=20s,exporter=3; may be repeated")
	flags.StringArrayVar(&f.templates, "templates", nil, "let templates be `late`,to=10s; or lost, changed (under their ids) or withdrawn (IPFIX), with ,from=10s,to=20s,exporter=3; may be repeated")
	flags.StringArrayVar(&f.restarts, "restart", nil, "let all exporters lose their power and start again at a `time` of the traffic, or one, as in 30s,exporter=2; may be repeated")
	flags.StringArrayVar(&f.records, "records", nil, "change a share of the flow records, as in `limits=1%` (counters at 2^32-1, 2^32, 2^63, 2^64-1 in turn) or reversed=1% (the end before the start); with ,from=10s,to=20s,exporter=3; may be repeated")
	flags.StringArrayVar(&f.clocks, "clock", nil, "let the wall clock jump, as in `step=-30s`,at=10m, or sysUpTime wrap: wrap,at=10m; with ,exporter=2; may be repeated")
	flags.StringVar(&f.manifest, "manifest", "", "write what was sent to `file`, as JSON lines; a name with .gz compresses them")
	flags.StringVar(&f.ledger, "ledger", "", "write the final ledger to `file`, as JSON")
	flags.IntVar(&f.entries, "entries", 65536, "flows that each router's cache holds, at 192 octets")
	flags.DurationVar(&f.active, "active", 30*time.Minute, "active timeout")
	flags.DurationVar(&f.inactive, "inactive", 15*time.Second, "inactive timeout")
	return c
}

func (f *generateFlags) run(c *cobra.Command) error {
	switch {
	case f.list:
		return listProfiles(c.OutOrStdout())
	case f.print != "":
		text, err := profile.Text(f.print)
		if err != nil {
			return usageError{err}
		}
		_, err = c.OutOrStdout().Write(text)
		return err
	}
	cfg, err := f.config(c)
	if err != nil {
		return usageError{err}
	}
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if cfg.Capture != nil {
		cfg.Capture.Stdin = newUntilDone(ctx, c.InOrStdin())
	}
	collector, err := resolveCollector(ctx, f.to)
	if err != nil {
		return err
	}
	if cfg.Pace.Datagrams, err = f.exportRate(c, collector.Addr()); err != nil {
		return usageError{err}
	}
	sockets, err := generate.Dial(collector, cfg.Sources, cfg.Routers)
	if err != nil {
		return err
	}
	defer sockets.Close()
	cfg.Send = sockets.Send
	return f.send(ctx, c, cfg, sockets)
}

func listProfiles(w io.Writer) error {
	for _, name := range profile.Names() {
		p, err := profile.Load(name)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%-12s %s\n", name, p.Description); err != nil {
			return err
		}
	}
	return nil
}

// config returns what the flags say, but for the collector.
func (f *generateFlags) config(c *cobra.Command) (cfg generate.Config, err error) {
	switch {
	case f.to == "":
		return cfg, errors.New("no collector: want -e HOST:PORT")
	case f.routers < 1 || f.routers > generate.MaxRouters:
		return cfg, fmt.Errorf("--exporters %d: want 1 to %d", f.routers, generate.MaxRouters)
	}
	x, err := f.exportConfig()
	if err != nil {
		return cfg, err
	}
	cfg = generate.Config{
		Seed: f.seed, Routers: f.routers, Duration: f.length,
		Cache:  cache.Config{Entries: f.entries, Active: f.active, Inactive: f.inactive, Linger: time.Second},
		Export: x,
	}
	if err := f.traffic(c, &cfg); err != nil {
		return cfg, err
	}
	if err := f.onPurpose(&cfg); err != nil {
		return cfg, err
	}
	if f.source != "" {
		if cfg.Sources, err = generate.ParseSources(f.source, f.routers); err != nil {
			return cfg, fmt.Errorf("--source: %w", err)
		}
	}
	if cfg.Start, err = parseStart(f.start); err != nil {
		return cfg, err
	}
	if cfg.Pace, err = parseGeneratorPace(f.pace); err != nil {
		return cfg, err
	}
	return cfg, cfg.Check()
}

// traffic sets where packets come from.
func (f *generateFlags) traffic(c *cobra.Command, cfg *generate.Config) error {
	given := c.Flags().Changed
	if f.length <= 0 {
		return fmt.Errorf("--for %v: want more than 0", f.length)
	}
	if len(f.captures) == 0 {
		if given("repeat") || given("mirror") {
			return errors.New("--repeat and --mirror are about capture files: want --capture FILE")
		}
		p, err := profile.Load(f.profile)
		if err != nil {
			if s, cerr := pcapfile.Open(f.profile, pcapfile.Options{}); cerr == nil {
				s.Close()
				err = fmt.Errorf("%s is no profile but a capture: want --capture %[1]s", f.profile)
			}
			return err
		}
		cfg.Profile, cfg.Name = &p.Profile, f.profile
		return nil
	}
	switch {
	case given("profile"):
		return errors.New("traffic is a profile's or that of --capture: want one of them")
	case f.repeat < 1:
		return fmt.Errorf("--repeat %d: want at least 1", f.repeat)
	case !given("for"):
		cfg.Duration = 0
	}
	cfg.Capture = &generate.Capture{Paths: f.captures, Repeat: f.repeat, Mirror: f.mirror}
	return cfg.Capture.Check()
}

// onPurpose reads what goes wrong.
func (f *generateFlags) onPurpose(cfg *generate.Config) (err error) {
	if cfg.Faults, err = parseEach(f.faults, generate.ParseFault); err != nil {
		return err
	}
	if cfg.Templates, err = parseEach(f.templates, generate.ParseTemplateFault); err != nil {
		return err
	}
	if cfg.Restarts, err = parseEach(f.restarts, generate.ParseRestart); err != nil {
		return err
	}
	if cfg.Records, err = parseEach(f.records, generate.ParseRecordFault); err != nil {
		return err
	}
	cfg.Clocks, err = parseEach(f.clocks, generate.ParseClock)
	return err
}

func parseEach[T any](texts []string, parse func(string) (T, error)) (all []T, err error) {
	for _, text := range texts {
		v, err := parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func parseStart(s string) (time.Time, error) {
	if s == "now" {
		return time.Now().Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("--start %q: want now, or a time such as 2026-01-01T12:00:00Z", s)
	}
	return t, nil
}

// parseGeneratorPace reads what parsePace does, or N/s.
func parseGeneratorPace(s string) (p generate.Pace, err error) {
	if n, ok := strings.CutSuffix(s, "/s"); ok {
		if p.Records, err = strconv.ParseFloat(n, 64); err == nil && p.Records > 0 {
			return p, nil
		}
	} else if p.Speed, err = parsePace(s); err == nil {
		return p, nil
	}
	return p, fmt.Errorf("--pace %q: want fast, real, xN or N/s", s)
}

// resolveCollector returns the one address that is sent to.
func resolveCollector(ctx context.Context, to string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(to)
	if err != nil || host == "" {
		return netip.AddrPort{}, usagef("collector %q: want HOST:PORT", to)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(port)), nil
}

// exportRate returns how many datagrams a second may go to a collector.
func (f *generateFlags) exportRate(c *cobra.Command, collector netip.Addr) (float64, error) {
	isOwn := generate.IsThisHost(collector)
	switch {
	case !c.Flags().Changed("export-rate") && isOwn:
		return ownRate, nil
	case !c.Flags().Changed("export-rate"):
		return foreignRate, nil
	case f.rate <= 0:
		return 0, fmt.Errorf("--export-rate %d: want at least 1", f.rate)
	case f.rate > foreignRate && !isOwn && !f.own:
		return 0, fmt.Errorf("%d datagrams/s to %s, which is not this host: want at most %d, or --i-own-this-network", f.rate, collector, foreignRate)
	}
	return float64(f.rate), nil
}

// send runs the routers and says what they did.
func (f *generateFlags) send(ctx context.Context, c *cobra.Command, cfg generate.Config, sockets *generate.Sockets) (err error) {
	if f.manifest != "" {
		file, cerr := openOut(f.manifest)
		if cerr != nil {
			return fmt.Errorf("manifest: %w", cerr)
		}
		defer func() { err = joinClose(err, file) }()
		cfg.Manifest, cfg.PlainManifest = file, !strings.HasSuffix(f.manifest, ".gz")
	}
	ledger, err := openLedger(f.ledger)
	if err != nil {
		return err
	}
	var done, all int64
	bar := newProgress(c.ErrOrStderr(), "records", func() (int64, int64) { return done, all })
	bar.every = 1 // datagrams may be few
	cfg.Progress = func(s *generate.Stats) {
		if done, all = int64(s.Passed), int64(cfg.Duration); all == 0 {
			done, all = s.Read, s.Size
		}
		bar.update(s.Records)
	}
	began := time.Now()
	stats, err := generate.Run(ctx, cfg)
	if stats.Ledger != nil { // it began
		bar.done()
		f.report(c.ErrOrStderr(), &stats, time.Since(began), sockets)
	}
	return finishLedger(c.ErrOrStderr(), ledger, stats.Ledger, err)
}

// report says in a few lines what was sent.
func (f *generateFlags) report(w io.Writer, s *generate.Stats, took time.Duration, sockets *generate.Sockets) {
	routers := "1 router"
	if f.routers > 1 {
		routers = fmt.Sprintf("%d routers", f.routers)
	}
	fmt.Fprintf(w, "%s sent %d records in %d datagrams, %d octets, %v of traffic in %v (%.0f records/s)\n",
		routers, s.Records, s.Datagrams, s.Octets, s.Passed.Round(time.Second), took.Round(time.Millisecond),
		float64(s.Records)/max(took.Seconds(), 1e-3))
	if s.Faults > 0 {
		fmt.Fprintf(w, "%d of the datagrams met a fault on purpose\n", s.Faults)
	}
	if s.Changed > 0 {
		fmt.Fprintf(w, "%d of the records were changed on purpose\n", s.Changed)
	}
	if s.Undecodable > 0 {
		fmt.Fprintf(w, "%d of the records cannot be decoded: their templates came too late or never\n", s.Undecodable)
	}
	for why, n := range s.NotCarried {
		if n > 0 {
			fmt.Fprintf(w, "%d records were not sent: %s\n", n, notCarried(export.Reason(why)))
		}
	}
	if sockets.Refused > 0 {
		fmt.Fprintf(w, "%d times %s said that nobody listens\n", sockets.Refused, f.to)
	}
}

// notCarried says why a protocol does not carry a record.
func notCarried(why export.Reason) string {
	switch why {
	case export.NotIPv4:
		return "NetFlow v5 carries IPv4 only"
	case export.TooLarge:
		return "counters of four octets carry up to 2^48, in several records"
	}
	return why.String()
}
