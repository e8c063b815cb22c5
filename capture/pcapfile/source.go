package pcapfile

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"cacheflow/cache/flow"
	"cacheflow/capture"
)

// Options are the choices of a Source. The zero value is the usual one.
type Options struct {
	Decoder capture.DecoderOptions
	// Sampling chooses the packets that are metered. One that is random chooses the same
	// ones each time.
	Sampling capture.Sampling
	// Stdin is what the path "-" reads; nil means os.Stdin.
	Stdin io.Reader
}

// Source reads capture files, one after another on one timeline. Its methods
// are called by one goroutine, but for Boot and Progress, which any may call.
type Source struct {
	stdin   io.Reader
	decoder *capture.Decoder
	sampler capture.Sampler
	paths   []string // of the files to come
	file    *file    // nil between two files
	rec     record
	ahead   bool // rec was read and not metered
	err     error
	line    timeline
	boot    time.Time

	interfaces interfaces
	read       atomic.Int64
	total      int64
}

var _ capture.Source = (*Source)(nil)

// Open opens one file: see OpenAll.
func Open(path string, opt Options) (*Source, error) { return OpenAll([]string{path}, opt) }

// OpenAll opens files that are read in the order given, as one capture: the
// first packet sets the boot instant for all of them, and an interface that two
// of them describe alike, by place and name, is one interface.
//
// It reads as far as the first packet. It fails where a file is missing, or the
// first one is not a capture file; damage behind a file's header is Read's to
// tell.
func OpenAll(paths []string, opt Options) (*Source, error) {
	if len(paths) == 0 {
		return nil, errors.New("no file to read")
	}
	s := &Source{
		stdin:      opt.Stdin,
		decoder:    capture.NewDecoder(opt.Decoder),
		sampler:    capture.NewSampler(opt.Sampling, [2]uint64{}),
		paths:      paths,
		boot:       time.Unix(0, 0).UTC(),
		interfaces: newInterfaces(),
	}
	if s.stdin == nil {
		s.stdin = os.Stdin
	}
	var err error
	if s.total, err = totalSize(paths); err != nil {
		return nil, err
	}
	if err := s.openNext(); err != nil {
		return nil, err
	}
	if s.err = s.advance(); s.err == nil {
		s.ahead = true
		s.line = newTimeline(s.rec.stamp)
		s.boot = time.Unix(0, s.line.boot).UTC()
	}
	return s, nil
}

// totalSize returns the length of all files together, 0 where one is unknown.
func totalSize(paths []string) (int64, error) {
	total, known := int64(0), true
	for _, path := range paths {
		if path == stdin {
			known = false
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		known = known && info.Mode().IsRegular()
		total += info.Size()
	}
	if !known {
		total = 0
	}
	return total, nil
}

// Boot returns the boot instant of the replay, where its time is 0: a whole
// second, one hour before the first packet. Files without a packet have none,
// and Boot returns the Unix epoch.
func (s *Source) Boot() time.Time { return s.boot }

// Progress returns how many octets of the files, as they are stored, were read,
// and how many there are; total is 0 where that is unknown.
func (s *Source) Progress() (read, total int64) { return s.read.Load(), s.total }

// Read implements capture.Source. It looks at as many frames as batch has room
// for; so n can be 0 before the end. At damage it first hands over all packets
// before it; the error names file, packet and offset, and stays.
func (s *Source) Read(batch []flow.Packet) (n int, horizon flow.Time, err error) {
	for range batch {
		if !s.ahead && s.err == nil {
			s.err = s.advance()
		}
		if s.err != nil {
			break
		}
		s.ahead = false
		if s.meter(&batch[n]) {
			n++
		}
	}
	if n > 0 {
		return n, s.line.largest, nil
	}
	return 0, s.line.largest, s.err
}

// advance reads the next packet, from the next file where one ends. It returns
// io.EOF behind the last.
func (s *Source) advance() error {
	for {
		if s.file == nil {
			if err := s.openNext(); err != nil {
				return err
			}
		}
		err := s.file.next(&s.rec)
		if err == nil {
			if s.rec.on.counters == nil {
				return s.interfaces.join(s.rec.on)
			}
			return nil
		}
		if err != io.EOF {
			return err
		}
		if err := s.closeFile(); err != nil {
			return err
		}
	}
}

// openNext opens the next file, or returns io.EOF where there is none.
func (s *Source) openNext() (err error) {
	if len(s.paths) == 0 {
		return io.EOF
	}
	s.file, err = openFile(s.paths[0], s.stdin, &s.read)
	s.paths = s.paths[1:]
	return err
}

// meter decodes the record and counts it. It reports whether *p is an
// observation.
func (s *Source) meter(p *flow.Packet) bool {
	c := s.rec.on.counters
	c.Observed++
	t, jump := s.line.largest, false
	if !s.rec.untimed {
		t, jump = s.line.at(s.rec.stamp)
	}
	if !s.sampler.Take() {
		c.SampledOut++
		return false
	}
	frame := capture.Frame{
		Data:  s.rec.data,
		Wire:  s.rec.wire,
		Link:  s.rec.on.link,
		Time:  t,
		Input: c.Index,
	}
	if reason := s.decoder.Decode(&frame, p); reason != capture.Decoded {
		c.NotMetered[reason]++
		return false
	}
	c.Observations++
	c.Metered++
	c.Packets += p.Packets
	c.Octets += p.Octets
	if jump {
		c.ClockJumps++
	}
	return true
}

// AppendCounters implements capture.Source: an interface is seen with its first
// packet.
func (s *Source) AppendCounters(c []capture.Counters) []capture.Counters {
	return s.interfaces.append(c)
}

// Close closes the file that is being read. The Source is at its end then.
func (s *Source) Close() error {
	s.paths, s.ahead = nil, false
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
	return f.close()
}
