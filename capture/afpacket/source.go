//go:build linux

package afpacket

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cacheflow/cache/flow"
	"cacheflow/capture"
	"cacheflow/capture/link"
)

const (
	// pollTimeout is how long a Read waits for frames.
	pollTimeout = 40 * time.Millisecond
	// statisticsPeriod is how often the kernel's counters are read, which have
	// 32 bits.
	statisticsPeriod = flow.Time(time.Second)
	// grace is how long after its filter was closed a ring may still get frames
	// that were under way.
	grace = flow.Time(10 * time.Millisecond)
)

// Source is one worker's share of a capture. One goroutine reads it; Wake may
// be called by any.
type Source struct {
	clock   Clock
	decoder Decoder
	sampler capture.Sampler
	waker   *link.Waker

	feeds       []*feed
	turn        int // the feed whose turn it is
	poll        []unix.PollFd
	timeout     unix.Timespec
	horizon     flow.Time
	frame       capture.Frame
	tallies     tallies
	ingressOnly bool
	stopping    bool
	nextStats   flow.Time

	mu   sync.Mutex
	mail []func() // what others want done by the goroutine that reads
}

var _ capture.Source = (*Source)(nil)

// A feed is a ring with the socket that fills it.
type feed struct {
	ring
	socket *socket
	// own are the counters of the interface; nil where several share the ring.
	own *capture.Counters
	// ring's counters are those that the kernel's go to.
	total *capture.Counters
	// retired is set when no more frames will come; at is since when.
	retired   bool
	retiredAt flow.Time
}

// Read implements capture.Source.
func (s *Source) Read(batch []flow.Packet) (int, flow.Time, error) {
	s.takeMail()
	n := s.fill(batch)
	if n == 0 {
		if s.stopping && len(s.feeds) == 0 {
			return 0, s.horizon, io.EOF
		}
		if err := s.wait(); err != nil {
			return 0, s.horizon, err
		}
		s.takeMail()
		n = s.fill(batch)
	}
	return n, s.horizon, nil
}

// Wake ends the wait of a Read that is under way, or of the next one.
func (s *Source) Wake() { s.waker.Wake() }

// fill reads what the rings hold and moves the horizon on.
func (s *Source) fill(batch []flow.Packet) (n int) {
	before := s.clock.Now()
	if before >= s.nextStats {
		s.nextStats = before + statisticsPeriod
		s.readStatistics()
	}
	done := false
	for range s.feeds {
		s.turn = (s.turn + 1) % len(s.feeds)
		f := s.feeds[s.turn]
		n += s.drain(f, batch[n:], before)
		done = done || f.isDone(before)
		if n == len(batch) {
			break
		}
	}
	reached := before - slack
	for _, f := range s.feeds {
		reached = min(reached, f.horizon)
	}
	s.horizon = max(s.horizon, reached)
	if done {
		s.removeDone(before)
	}
	return n
}

// drain reads one ring until it or the batch ends.
func (s *Source) drain(f *feed, batch []flow.Packet, before flow.Time) (n int) {
	for n < len(batch) {
		if !f.open && !f.peek(&s.clock, before) {
			return n
		}
		for f.left > 0 && n < len(batch) {
			hdr, lost := f.take()
			if hdr == nil {
				f.total.NotMetered[capture.Other] += uint64(lost)
				break
			}
			m := f.ring.frame(hdr, s.horizon, &s.frame)
			f.skip(hdr)
			if s.meter(f, &m, &batch[n]) {
				n++
			}
		}
		if f.left == 0 {
			f.release()
		}
	}
	return n
}

// meter turns s.frame into an observation, or counts why not.
func (s *Source) meter(f *feed, m *metadata, p *flow.Packet) bool {
	if m.dropped {
		return false // the kernel has counted it as lost
	}
	if m.defect {
		f.total.NotMetered[capture.Other]++
		return false
	}
	c := f.own
	if c == nil {
		c = s.tallies.of(m.index)
	}
	reason := capture.NonIP
	switch {
	case m.packet == unix.PACKET_OUTGOING && (s.ingressOnly || m.index == link.Loopback):
		reason = capture.Leaving // it came in before the filter was changed
	case !s.sampler.Take():
		c.SampledOut++
		return false
	case !m.nonIP:
		reason = s.decoder.Decode(&s.frame, p)
	}
	if m.packet == unix.PACKET_OTHERHOST {
		c.OtherHost++
	}
	if reason != capture.Decoded {
		c.NotMetered[reason]++
		return false
	}
	c.Observations++
	c.Metered++
	c.Packets += p.Packets
	c.Octets += p.Octets
	if m.jumped {
		c.ClockJumps++
	}
	return true
}

// wait returns when a ring has a block for us, at a Wake, or after pollTimeout.
func (s *Source) wait() error {
	s.timeout = unix.NsecToTimespec(pollTimeout.Nanoseconds())
	n, err := unix.Ppoll(s.poll, &s.timeout, nil)
	if err == unix.EINTR || n == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for frames: %w", err)
	}
	if s.poll[0].Revents != 0 {
		s.waker.Rest()
	}
	for i, f := range s.feeds {
		if s.poll[i+1].Revents&unix.POLLERR != 0 {
			f.socket.clearError()
		}
	}
	return nil
}

// post has f run by the goroutine that reads, at its next Read.
func (s *Source) post(f func()) {
	s.mu.Lock()
	s.mail = append(s.mail, f)
	s.mu.Unlock()
	s.waker.Wake()
}

func (s *Source) takeMail() {
	s.mu.Lock()
	mail := s.mail
	s.mail = nil
	s.mu.Unlock()
	for _, f := range mail {
		f()
	}
}

// addFeed adds a ring that was made at the time since; interface 0 is several.
func (s *Source) addFeed(sock *socket, index uint32, name string, since flow.Time) {
	f := &feed{ring: ring{mem: sock.mem, block: sock.block, horizon: since}, socket: sock}
	f.total = s.tallies.enter(index, name)
	if index != 0 {
		f.own = f.total
	}
	s.feeds = append(s.feeds, f)
	s.watchFeeds()
}

// retire says that a socket's ring gets no more frames: it is read to its end
// and closed.
func (s *Source) retire(sock *socket) {
	for _, f := range s.feeds {
		if f.socket == sock && !f.retired {
			f.retired, f.retiredAt = true, s.clock.Now()
		}
	}
}

// isDone reports whether a retired ring has been read to its end.
func (f *feed) isDone(before flow.Time) bool {
	return f.retired && !f.open && before > f.retiredAt+grace && f.waiting() == 0
}

func (s *Source) removeDone(before flow.Time) {
	s.feeds = slices.DeleteFunc(s.feeds, func(f *feed) bool {
		if !f.isDone(before) {
			return false
		}
		s.closeFeed(f)
		return true
	})
	s.watchFeeds()
}

func (s *Source) closeFeed(f *feed) {
	f.readStatistics()
	f.socket.close()
	own := f.own
	f.own = nil
	// An interface that was let go of and taken again has a new ring by now.
	if own != nil && !slices.ContainsFunc(s.feeds, func(o *feed) bool { return o.own == own }) {
		s.tallies.leave(own.Index)
	}
}

// watchFeeds lists what wait polls: the waker, then the rings.
func (s *Source) watchFeeds() {
	s.poll = append(s.poll[:0], unix.PollFd{Fd: int32(s.waker.FD()), Events: unix.POLLIN})
	for _, f := range s.feeds {
		s.poll = append(s.poll, unix.PollFd{Fd: int32(f.socket.fd), Events: unix.POLLIN})
	}
	s.turn = 0
}

func (s *Source) readStatistics() {
	for _, f := range s.feeds {
		f.readStatistics()
	}
}

func (f *feed) readStatistics() {
	observed, lost := f.socket.statistics()
	f.total.Observed += observed
	f.total.Lost += lost
}

// AppendCounters implements capture.Source. Interfaces that are gone keep their
// entries; of more than maxGone of them the oldest are summed up in one with
// the largest index, named "gone".
//
// Where interfaces share a ring, its Observed, Lost and InRing stand in the
// entry with Index 0, and the ledger closes over it and theirs together:
//
//	Observed(0) = Lost(0) + InRing(0) + sum over all that share it of (SampledOut + sum(NotMetered) + Metered)
func (s *Source) AppendCounters(c []capture.Counters) []capture.Counters {
	s.readStatistics()
	for _, t := range s.tallies.all {
		t.InRing = 0
	}
	for _, f := range s.feeds {
		f.total.InRing += f.waiting()
	}
	for _, t := range s.tallies.all {
		c = append(c, *t)
	}
	return c
}

// Close implements capture.Source. What still waits in the rings then stays
// uncounted in InRing: stop the capture and read to io.EOF first.
func (s *Source) Close() error {
	s.takeMail()
	for _, f := range s.feeds {
		s.closeFeed(f)
	}
	s.feeds, s.stopping = nil, true
	s.waker.Close()
	return nil
}
