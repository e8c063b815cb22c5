package recordfile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"cacheflow/cache"
	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/cmd/internal/collector"
)

// Source reads files of flow records as observations, one file after another on one
// timeline: each record is one observation of several packets. It is also the Router of
// what it has read last. Its methods are called by one goroutine, but for Boot and Progress,
// which any may call.
//
// The end reason and the time of expiry of a record do not become part of an observation:
// the cache that meters it judges anew.
type Source struct {
	paths    []string // of the files to come
	file     *File    // nil between two files
	counters []capture.Counters
	pending  []observation // of the message that was read last
	next     int           // in pending
	routes   map[flow.Key]route
	boot     int64 // in milliseconds since 1970
	largest  flow.Time
	err      error

	read  atomic.Int64
	total int64
}

type route struct {
	flow.Route
	egress uint32
}

var (
	_ capture.Source = (*Source)(nil)
	_ cache.Router   = (*Source)(nil)
)

// headroom is how long before the end of the first flow the virtual boot lies, so that no
// flow begins before it: no active timeout is longer than cache.MaxTimeout.
const headroom = cache.MaxTimeout + 24*time.Hour

// OpenAll opens files that are read in the order given. It reads as far as the first flow
// record. It fails where a file is missing, or the first one is no file of flow records;
// damage behind that is Read's to tell.
func OpenAll(paths []string) (*Source, error) {
	s := &Source{paths: paths, routes: make(map[flow.Key]route)}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		s.total += info.Size()
	}
	if err := s.openNext(); err != nil {
		return nil, err
	}
	for s.err == nil && len(s.pending) == 0 {
		s.err = s.advance()
	}
	if len(s.pending) > 0 {
		end := int64(min(s.pending[0].end, maxWall))
		s.boot = max(0, end-headroom.Milliseconds()) / 1000 * 1000
	}
	return s, nil
}

// Boot returns the boot instant of the replay, where its time is 0: a whole second, eight
// days before the end of the first flow.
func (s *Source) Boot() time.Time { return time.UnixMilli(s.boot).UTC() }

// Progress returns how many octets of the files, as they are stored, were read, and how many
// there are.
func (s *Source) Progress() (read, total int64) { return s.read.Load(), s.total }

// Read implements capture.Source. At damage it first hands over all records before it; the
// error names the place, and stays.
func (s *Source) Read(batch []flow.Packet) (n int, horizon flow.Time, err error) {
	clear(s.routes)
	for n < len(batch) {
		if s.next < len(s.pending) {
			o := &s.pending[s.next]
			s.next++
			s.hand(o, &batch[n])
			n++
		} else if s.err == nil {
			s.err = s.advance()
		} else {
			break
		}
	}
	if n > 0 {
		return n, s.largest, nil
	}
	return 0, s.largest, s.err
}

// hand makes o the observation p, counts it, and keeps its route for Lookup.
func (s *Source) hand(o *observation, p *flow.Packet) {
	*p = o.Packet
	p.Last = s.time(o.end)
	p.First = min(s.time(o.start), p.Last)
	s.largest = max(s.largest, p.Last)
	p.Egress = 0 // so that the route is taken as it stands
	s.routes[p.Key] = route{o.route, o.Egress}
	c := s.counter()
	c.Observed++
	c.Metered++
	c.Observations++
	c.Packets += p.Packets
	c.Octets += p.Octets
}

// maxWall and maxSpan bound times, in milliseconds since 1970 and on the timeline, so that
// no sum overflows.
const (
	maxWall = 1 << 48
	maxSpan = 100 * 365 * 24 * time.Hour
)

// time returns milliseconds since 1970 on the timeline; what was not told is the present.
func (s *Source) time(ms uint64) flow.Time {
	if ms == 0 {
		return s.largest
	}
	since := int64(min(ms, maxWall)) - s.boot
	return flow.Time(max(0, min(since, maxSpan.Milliseconds()))) * flow.Time(time.Millisecond)
}

// Lookup implements cache.Router for the records of the latest Read.
func (s *Source) Lookup(k *flow.Key, _ uint32, r *flow.Route) (egress uint32) {
	found := s.routes[*k]
	*r = found.Route
	return found.egress
}

// advance reads a message or a line, from the next file where one ends. It returns io.EOF
// behind the last.
func (s *Source) advance() error {
	s.pending, s.next = s.pending[:0], 0
	if s.file == nil {
		if err := s.openNext(); err != nil {
			return err
		}
	}
	err := s.file.Next(s.take)
	if err == io.EOF {
		return s.closeFile()
	}
	return err
}

// take keeps a record, unless it is none of a flow.
func (s *Source) take(r *collector.Record) {
	if r.Options {
		return // it is about the exporter
	}
	var o observation
	if reason := o.read(&r.Decoded); reason != capture.Decoded {
		c := s.counter()
		c.Observed++
		c.NotMetered[reason]++
		return
	}
	s.pending = append(s.pending, o)
}

// counter returns the account of the file that is being read.
func (s *Source) counter() *capture.Counters { return &s.counters[len(s.counters)-1] }

// openNext opens the next file, or returns io.EOF where there is none.
func (s *Source) openNext() (err error) {
	if len(s.paths) == 0 {
		return io.EOF
	}
	path := s.paths[0]
	s.paths = s.paths[1:]
	if s.file, err = open(path, &s.read); err != nil {
		return err
	}
	n := len(s.counters) + 1
	s.counters = append(s.counters, capture.Counters{Index: uint32(n), Name: fmt.Sprintf("%d:%s", n, filepath.Base(path)), Mode: "file"})
	return nil
}

// AppendCounters implements capture.Source: each file is an interface, of whose frames each
// is a flow record.
func (s *Source) AppendCounters(c []capture.Counters) []capture.Counters {
	return append(c, s.counters...)
}

// Close closes the file that is being read. The Source is at its end then.
func (s *Source) Close() error {
	s.paths, s.pending, s.next = nil, nil, 0
	if s.err == nil {
		s.err = io.EOF
	}
	return s.closeFile()
}

func (s *Source) closeFile() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}
