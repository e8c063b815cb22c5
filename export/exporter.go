package export

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"cacheflow/cache/flow"
)

// Exporter sends flow records to one collector. New makes one, Run sends, any
// number of metering goroutines call Put or PutWait meanwhile or before, and
// Shutdown ends it.
type Exporter struct {
	cfg  Config
	dial func(ctx context.Context, address string, source netip.AddrPort) (socket, error)

	wake     chan struct{}   // capacity 1: there are records, or Shutdown was called
	roomy    chan struct{}   // capacity 1: a full queue has room again
	done     chan struct{}   // closed when nothing will be sent any more
	draining context.Context // ends with Shutdown
	drain    context.CancelFunc

	attempted time.Time      // when Run last tried to connect
	port      uint16         // that the next association of DTLS leaves from; 0 for any
	remote    netip.AddrPort // that the next association goes to; the zero AddrPort has the name looked up
	quiet     bool           // the next connection is no news

	mu        sync.Mutex // guards what follows
	queue     queue
	stats     Stats
	state     state
	local     netip.AddrPort
	rest      []flow.Record      // of the sender's batch, not encoded yet while no message can begin
	up        bool               // as Up says; the sender's goroutine sets it
	hold      bool               // records wait while up is false
	connected bool               // there is a socket, or a file is tried
	cancel    context.CancelFunc // ends Run; nil until it is called
	waited    bool               // PutWait or Shutdown was called
	latest    flow.Time          // the largest Expired of a record that was put
}

type state uint8

const (
	open    state = iota
	closing       // Shutdown was called: nothing more comes in, Run drains the queue
	ended         // nothing more goes out
)

// ErrClosed is returned by PutWait after Shutdown, and by a second Run.
var ErrClosed = net.ErrClosed

// New returns an exporter for one collector. It allocates the queue and does
// nothing else.
func New(cfg Config) (*Exporter, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.File.Path != "" {
		err = CheckFilePath(cfg.File.Path)
	} else {
		err = checkAddress(cfg.Address, cfg.Source)
	}
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		cfg:   cfg,
		dial:  cfg.dial,
		wake:  make(chan struct{}, 1),
		roomy: make(chan struct{}, 1),
		done:  make(chan struct{}),
		queue: newQueue(cfg.QueueRecords),
		stats: Stats{
			Name: cfg.Name, Protocol: cfg.Protocol, Address: cfg.Address, QueueRecords: cfg.QueueRecords,
		},
	}
	e.cfg.stats = e.Stats
	e.draining, e.drain = context.WithCancel(context.Background())
	return e, nil
}

// Config returns the configuration with its defaults filled in.
func (e *Exporter) Config() Config { return e.cfg }

// String returns the exporter's name.
func (e *Exporter) String() string { return e.cfg.Name }

// Put queues copies of rs and returns how many there was room for; the others
// are dropped and counted. It never waits, other than for the queue's lock.
func (e *Exporter) Put(rs []flow.Record) (accepted int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.accept(rs)
	e.refuse(rs[n:])
	return n
}

// PutWait queues copies of rs and waits for room. It returns ctx's error or
// ErrClosed if not all of them found any; the rest is dropped and counted.
func (e *Exporter) PutWait(ctx context.Context, rs []flow.Record) error {
	for {
		e.mu.Lock()
		e.waited = true
		rs = rs[e.accept(rs):]
		if len(rs) == 0 {
			if e.queue.room() > 0 {
				notify(e.roomy) // for whoever else waits
			}
			e.mu.Unlock()
			return nil
		}
		err := ctx.Err()
		if err == nil && e.state >= closing {
			err = ErrClosed
		}
		if err != nil {
			e.refuse(rs)
			e.mu.Unlock()
			return err
		}
		e.mu.Unlock()
		select {
		case <-e.roomy:
		case <-e.draining.Done():
		case <-e.done:
		case <-ctx.Done():
		}
	}
}

// Offer queues copies of as many of rs as there is room for, and returns how many. Nothing is
// dropped: the others are to be offered again, or put.
func (e *Exporter) Offer(rs []flow.Record) (accepted int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waited = true
	return e.accept(rs)
}

// Room returns how many records the queue has room for.
func (e *Exporter) Room() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.queue.room()
}

// accept queues what there is room for. The caller holds mu.
func (e *Exporter) accept(rs []flow.Record) int {
	if e.state >= closing {
		return 0
	}
	n := e.queue.put(rs)
	if n > 0 {
		c := sum(rs[:n])
		e.stats.Made.add(c)
		e.stats.Queued.add(c)
		e.latest = max(e.latest, rs[n-1].Expired)
		notify(e.wake)
	}
	return n
}

// refuse counts rs as dropped. The caller holds mu.
func (e *Exporter) refuse(rs []flow.Record) {
	if len(rs) == 0 {
		return
	}
	why := QueueFull
	if e.state >= closing {
		why = Closed
	}
	c := sum(rs)
	e.stats.Made.add(c)
	e.stats.drop(why, c, e.now())
}

// now returns the present on the timeline of the records; in a replay that of the latest
// record. The caller holds mu.
func (e *Exporter) now() flow.Time {
	if e.cfg.Now != nil {
		return e.cfg.Now()
	}
	return e.latest
}

// isWaitedFor reports whether somebody waits for room or for the end: then
// nothing is lost by sending gently.
func (e *Exporter) isWaitedFor() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.waited
}

// notify puts a token into c, unless one waits there already.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stats returns the counters. They are consistent with each other.
func (e *Exporter) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// LocalAddr returns the address and port that messages leave from, once Run has connected
// its socket; those of datagrams stay the same until the collector moves, by DTLS as
// far as they can.
func (e *Exporter) LocalAddr() (netip.AddrPort, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.local, e.local.IsValid()
}

// RemoteAddr returns the collector's address and port, once Run has connected
// its socket.
func (e *Exporter) RemoteAddr() (netip.AddrPort, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats.Collector, e.stats.Collector.IsValid()
}

// Run sends what is put, until Shutdown has drained the queue (then it returns
// nil) or ctx ends (then it drops what is left and returns ctx's error). While
// the collector's name does not resolve, or its address cannot be used, Run
// tries again with growing pauses, and records wait in the queue.
func (e *Exporter) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	if e.cancel != nil || e.state == ended {
		defer e.mu.Unlock()
		if e.cancel != nil {
			return ErrClosed
		}
		return nil // Shutdown had nothing to wait for
	}
	e.cancel = cancel
	e.mu.Unlock()

	sock, err := e.connect(ctx)
	if errors.Is(err, ErrClosed) {
		e.end(NoCollector)
		return nil
	} else if err != nil {
		e.end(NoCollector)
		return err
	}
	s := newSender(e, sock)
	why := s.run(ctx)
	s.sock.Close()
	e.end(why)
	return ctx.Err()
}

// Shutdown stops taking records, waits until Run has sent those queued, and
// returns nil. If ctx ends first, it drops what is left, counted, and returns
// ctx's error. An exporter whose collector could not be reached so far gives up
// at once.
func (e *Exporter) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	e.waited = true
	e.state = max(e.state, closing)
	empty := e.queue.len == 0
	run := e.cancel != nil
	e.mu.Unlock()
	e.drain()
	if !run && empty {
		e.end(None) // nothing to wait for, should Run never be called
	}
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
	}
	e.mu.Lock()
	cancel := e.cancel
	e.mu.Unlock()
	if cancel == nil {
		e.end(NoCollector)
		return ctx.Err()
	}
	cancel()
	<-e.done
	return ctx.Err()
}

// end drops what is left, and lets nothing more in.
func (e *Exporter) end(why Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == ended {
		return
	}
	e.state, e.connected, e.up = ended, false, false
	left := e.queue.clear()
	e.stats.Queued.sub(left)
	left.add(e.stats.Building)
	e.stats.Building, e.rest = Count{}, nil
	e.stats.drop(why, left, e.now())
	close(e.done)
}

// Pauses between two attempts to resolve and connect.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// connect returns a socket: for datagrams the one of this exporter's life, so that the
// collector sees one source port (RFC 7011 §8.4 tells sessions apart by it). Streams and
// associations are begun no more often than each Reconnect. An association keeps both ports
// and addresses (RFC 6347 §4.2.8), until an attempt fails; its own port even then, unless the
// collector may hold the one before against it: one that is silent, but not one that refuses.
// Once Shutdown was called connect makes no more than one attempt, then returns ErrClosed.
func (e *Exporter) connect(ctx context.Context) (socket, error) {
	pause := firstPause
	if e.cfg.Transport.isConnected() {
		pause = e.cfg.Reconnect
		_ = wait(ctx, time.Until(e.attempted.Add(pause)), e.draining.Done())
	}
	for told := None; ; {
		e.attempted = time.Now()
		address := e.cfg.Address
		if e.remote.IsValid() {
			address = e.remote.String()
		}
		sock, err := e.dial(ctx, address, netip.AddrPortFrom(e.cfg.Source, e.port))
		if err == nil {
			e.reached(sock)
			return sock, nil
		}
		e.disconnected()
		why := classify(err)
		e.remote = netip.AddrPort{}
		if e.quiet = false; why != Refused {
			e.port = 0
		}
		if why != told && ctx.Err() == nil {
			told = why
			e.cfg.Logger.Warn("collector not reachable yet, records wait", "exporter", e.cfg.Name, "error", err)
		}
		if err := wait(ctx, pause, e.draining.Done()); err != nil {
			return nil, err
		}
		if e.draining.Err() != nil {
			return nil, ErrClosed
		}
		if !e.cfg.Transport.isConnected() {
			pause = min(2*pause, lastPause)
		}
	}
}

// wait returns nil after d, or as soon as early says, or else ctx's error. The sender's own
// waits between datagrams, which must allocate nothing, are sleep's.
func wait(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	select {
	case <-time.After(d):
	case <-early:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (e *Exporter) reached(sock socket) {
	e.mu.Lock()
	e.connected, e.up = true, true
	e.local, e.stats.Collector = addrPort(sock.LocalAddr()), addrPort(sock.RemoteAddr())
	if e.cfg.Transport == DTLS {
		e.port, e.remote = e.local.Port(), e.stats.Collector
	}
	e.mu.Unlock()
	level := slog.LevelInfo
	if e.quiet {
		level = slog.LevelDebug
	}
	e.quiet = false
	log := e.cfg.Logger.With("exporter", e.cfg.Name, "protocol", e.cfg.Protocol)
	if path := e.cfg.File.Path; path != "" {
		log.Info("exporting to files", "path", path)
	} else {
		log.Log(context.Background(), level, "exporting", "source", sock.LocalAddr(), "collector", sock.RemoteAddr())
	}
	if e.cfg.Connected != nil {
		e.cfg.Connected()
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		p = a.AddrPort()
	case *net.TCPAddr:
		p = a.AddrPort()
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
