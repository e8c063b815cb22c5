package generate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/capture/pcapfile"
)

// Capture is traffic from capture files, which the routers see as it was: packets keep their
// distances in time, the first one being seen at the start.
type Capture struct {
	// Paths are the files, read one after another as one capture; "-" is Stdin.
	Paths []string
	Stdin io.Reader
	// Repeat is how many times they are played, 0 being once. Each time begins with the first
	// whole second behind the last packet of the one before.
	Repeat int
	// Mirror has each router see all packets. Otherwise what two hosts send each other is seen
	// by one router, in both directions.
	Mirror bool
}

// times returns how many times the files are played.
func (c *Capture) times() int { return max(c.Repeat, 1) }

// Check reports what cannot be, without a look at the files.
func (c *Capture) Check() error {
	switch {
	case c.Repeat < 0:
		return fmt.Errorf("to repeat a capture %d times: want 1 or more", c.Repeat)
	case c.Repeat > 1 && slices.Contains(c.Paths, "-"):
		return errors.New("standard input can be read once: want a file to repeat")
	}
	return nil
}

// chunkSize is how many packets are read at once, at 128 octets.
const chunkSize = 1 << 14

// feed reads a capture once for all routers. A chunk of packets is read by the one goroutine
// that makes rounds; then the routers, each on its own, take theirs from it.
type feed struct {
	Capture
	seed    uint64
	start   time.Time // of the traffic
	source  *pcapfile.Source
	left    int                // times to be played behind this one
	earlier []capture.Counters // of the times before
	end     flow.Time          // of the traffic; times are since its start
	offset  flow.Time          // from the source's time to the traffic's
	latest  flow.Time          // of all packets so far

	room     []flow.Packet // for a chunk
	chunk    []flow.Packet
	released int      // routers may take what lies before it
	router   []uint32 // of each packet
	order    []uint32 // places in the chunk, router by router
	next     []int    // by router: its next place in order
	until    []int    // by router: behind its last one

	over   bool  // nothing more will be released
	failed error // why, unless it was the end
}

// newFeed opens the files and reads the first packets. An end of 0 is that of the capture.
func newFeed(c *Config) (f *feed, err error) {
	f = &feed{
		Capture: *c.Capture, seed: c.Seed, start: c.Start, left: c.Capture.times() - 1, end: flow.Time(c.Duration),
		room: make([]flow.Packet, chunkSize), router: make([]uint32, chunkSize), order: make([]uint32, chunkSize),
		next: make([]int, c.Routers), until: make([]int, c.Routers),
	}
	if f.source, err = pcapfile.OpenAll(f.Paths, pcapfile.Options{Stdin: f.Stdin}); err != nil {
		return nil, err
	}
	if err := f.begin(0); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// begin reads the first packets of the files, to be seen from a time on.
func (f *feed) begin(at flow.Time) error {
	n, err := f.read()
	switch {
	case err == io.EOF:
		return fmt.Errorf("%s: no IP packet", strings.Join(f.Paths, ", "))
	case err != nil:
		return err
	}
	f.offset = at - f.room[0].First
	f.take(n)
	return nil
}

// read reads at least one packet.
func (f *feed) read() (n int, err error) {
	for n == 0 && err == nil {
		n, _, err = f.source.Read(f.room)
	}
	return n, err
}

// take makes the packets that were read the present chunk, and sorts them by router.
func (f *feed) take(n int) {
	f.chunk, f.released = f.room[:n], 0
	for i := range f.chunk {
		p := &f.chunk[i]
		p.First, p.Last = p.First+f.offset, p.Last+f.offset
		f.latest = max(f.latest, p.Last)
	}
	if f.Mirror {
		for i := range f.chunk {
			f.order[i] = uint32(i)
		}
		for r := range f.next {
			f.next[r], f.until[r] = 0, n
		}
		return
	}
	f.share()
}

// share sorts by counting.
func (f *feed) share() {
	clear(f.until)
	for i := range f.chunk {
		r := f.of(&f.chunk[i].Key)
		f.router[i] = r
		f.until[r]++
	}
	at := 0
	for r, n := range f.until {
		f.next[r], f.until[r] = at, at
		at += n
	}
	for i := range f.chunk {
		r := f.router[i]
		f.order[f.until[r]] = uint32(i)
		f.until[r]++
	}
}

// of returns the router that sees what two hosts send each other.
func (f *feed) of(k *flow.Key) uint32 {
	hosts := host(&k.Src) + host(&k.Dst) // in either order
	return uint32(mix(f.seed^hosts) % uint64(len(f.next)))
}

func host(a *[16]byte) uint64 {
	word := binary.BigEndian.Uint64 // the same on every machine
	return mix(mix(word(a[:8])) ^ word(a[8:]))
}

// mix spreads every bit over the whole word (SplitMix64).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// release lets routers take what comes before a time, and reports whether there may be more once
// they have.
func (f *feed) release(until flow.Time) (more bool) {
	if f.over {
		return false
	}
	if f.released == len(f.chunk) {
		if f.advance(); f.over {
			return false
		}
	}
	limit := until
	if f.end != 0 {
		limit = min(limit, f.end)
	}
	for f.released < len(f.chunk) && f.chunk[f.released].Last < limit {
		f.released++
	}
	if f.released == len(f.chunk) {
		return true
	}
	switch next := f.chunk[f.released].Last; {
	case f.end != 0:
		f.over = next >= f.end
	case next >= flow.Time(maxDuration):
		f.over, f.failed = true, fmt.Errorf("the capture goes on for more than %v: want a duration (--for)", maxDuration)
	}
	return false
}

// advance reads the next chunk, from the beginning where the files are to be repeated.
func (f *feed) advance() {
	n, err := f.read()
	if err == nil {
		f.take(n)
		return
	}
	if err == io.EOF && f.left > 0 {
		f.left--
		if err = f.reopen(); err == nil {
			return
		}
	}
	if f.over = true; err != io.EOF {
		f.failed = err
	}
}

func (f *feed) reopen() error {
	again, err := pcapfile.OpenAll(f.Paths, pcapfile.Options{})
	if err != nil {
		return err
	}
	f.earlier = f.appendCounters(nil)
	f.close()
	f.source = again
	return f.begin((f.latest/flow.Time(time.Second) + 1) * flow.Time(time.Second))
}

// appendCounters appends those of all times, each interface's added up.
func (f *feed) appendCounters(all []capture.Counters) []capture.Counters {
	before := len(all)
	all = f.source.AppendCounters(all)
	for i := range f.earlier {
		e := &f.earlier[i]
		if at := slices.IndexFunc(all[before:], func(c capture.Counters) bool { return c.Index == e.Index }); at >= 0 {
			all[before+at].Add(e)
		} else {
			all = append(all, *e)
		}
	}
	return all
}

// progress returns how many octets of the files were read, all times together, and how many
// there are; total is 0 where that is unknown.
func (f *feed) progress() (read, total int64) {
	read, total = f.source.Progress()
	before := int64(f.times() - 1 - f.left)
	return read + before*total, int64(f.times()) * total
}

func (f *feed) close() { _ = f.source.Close() } // it was only read from

// view is what one router sees of a feed.
type view struct {
	*feed
	router *router
}

// Read hands over what is released for the router, and nothing while it waits for more.
func (v *view) Read(batch []flow.Packet) (n int, horizon flow.Time, err error) {
	number := v.router.Exporter.Exporter - 1
	next, until := &v.next[number], v.until[number]
	r := v.router
	// Of a packet that is older than the ones before it, a router that has restarted since says
	// the time of its boot.
	shift, boot := since(r.origin, v.start), since(r.origin, r.Boot)
	for ; n < len(batch) && *next < until && int(v.order[*next]) < v.released; n++ {
		p := &batch[n]
		*p = v.chunk[v.order[*next]]
		p.First, p.Last = max(p.First+shift, boot), max(p.Last+shift, boot)
		*next++
	}
	if n == 0 && v.over {
		err = io.EOF
	}
	return n, horizon, err
}

// AppendCounters has the files at the first router, or where they are mirrored at each of them.
func (v *view) AppendCounters(all []capture.Counters) []capture.Counters {
	if !v.Mirror && v.router.Exporter.Exporter != 1 {
		return all
	}
	return v.appendCounters(all)
}

// Close has nothing to close: the feed is not the router's.
func (v *view) Close() error { return nil }
