//go:build linux

package route

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Table keeps the copy of the forwarding table. Its Readers answer lookups.
type Table struct {
	listener *listener
	dumper   *dumper
	view     atomic.Pointer[view]
	links    links

	mu      sync.Mutex
	readers []*Reader
	closed  Stats // of Readers that were closed

	notifications, overruns, resyncs atomic.Uint64
	sizes                            [2]struct{ main, local atomic.Int64 }

	// What follows belongs to the goroutine of Load, and then to that of Run.
	tables *tables
	custom [2]bool // families whose rules are not the default ones
	behind bool
	plan   plan
	buffer [1 << 16]byte
}

// New returns a Table of the network namespace that the calling thread is in.
// It needs no privilege. Until Load, lookups ask the kernel.
func New(o Options) (*Table, error) {
	if o.ReceiveBuffer == 0 {
		o.ReceiveBuffer = 4 << 20
	}
	l, err := listen(o.ReceiveBuffer)
	if err != nil {
		return nil, err
	}
	d, err := newDumper()
	if err != nil {
		l.file.Close()
		return nil, err
	}
	t := &Table{listener: l, dumper: d, behind: true}
	t.tables = newTables(t.links.down)
	t.tables.publish()
	t.publish()
	return t, nil
}

// NewReader returns a Reader for one goroutine. The calling thread has to be in
// the network namespace that the Table was made in.
func (t *Table) NewReader() (*Reader, error) {
	r := &Reader{table: t}
	if err := r.kernel.open(unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	if tracker := new(tracker); tracker.open(unix.NETLINK_NETFILTER) == nil {
		r.tracker = tracker
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers = append(t.readers, r)
	return r, nil
}

// forget takes a Reader that is closed off the list.
func (t *Table) forget(r *Reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.readers, r); i >= 0 {
		t.readers = slices.Delete(t.readers, i, i+1)
		r.addTo(&t.closed)
	}
}

// String names the task.
func (t *Table) String() string { return "route table" }

// Stats returns the counters. Any goroutine may call it.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.closed
	s.Notifications, s.Overruns, s.Resyncs = t.notifications.Load(), t.overruns.Load(), t.resyncs.Load()
	for f := range t.sizes {
		s.Routes[f], s.Local[f] = int(t.sizes[f].main.Load()), int(t.sizes[f].local.Load())
	}
	for _, r := range t.readers {
		r.addTo(&s)
	}
	return s
}

// Run keeps the table current until ctx is canceled; then it returns nil. It may
// be called once, after Load.
func (t *Table) Run(ctx context.Context) error {
	defer t.dumper.close()
	defer t.listener.file.Close()
	defer context.AfterFunc(ctx, func() { t.listener.file.Close() })()
	for {
		n, err := t.listener.read(t.buffer[:], t.plan.due)
		switch {
		case err == nil:
			t.handle(t.buffer[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.resync()
		case errors.Is(err, unix.ENOBUFS):
			t.overrun()
		default:
			return ignoreCanceled(ctx, fmt.Errorf("read route notifications: %w", err))
		}
	}
}

func ignoreCanceled(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// publish shows Readers the state.
func (t *Table) publish() {
	v := &view{tables: t.tables, fallback: t.tables.fallback}
	for f := range v.doubtful {
		v.doubtful[f] = t.behind || t.custom[f]
	}
	if !v.doubtful[v4] {
		v.fib = t.tables.ribs[v4].main.fib
	}
	t.view.Store(v)
	t.count()
}

// count publishes the sizes of the tables.
func (t *Table) count() {
	for f := range t.sizes {
		t.sizes[f].main.Store(int64(t.tables.ribs[f].main.trie.size()))
		t.sizes[f].local.Store(int64(t.tables.ribs[f].local.trie.size()))
	}
}
