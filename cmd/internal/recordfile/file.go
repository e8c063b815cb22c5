package recordfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"cacheflow/cmd/internal/collector"
)

// File is one open file of flow records.
type File struct {
	path      string
	stored    *os.File
	r         *bufio.Reader
	next      func(emit func(*collector.Record)) error
	collector *collector.Collector // each file is a Transport Session of its own
	message   []byte
	line      line
	lines     collector.Stats // of JSON
	offset    int64           // of the next message or line, in what gzip has unpacked
	units     int             // messages or lines that were read
}

// maxMessage is the longest IPFIX Message, and the longest line that is read.
const maxMessage = 1<<16 - 1

// errFormat says that a file is something else.
var errFormat = errors.New("neither an IPFIX file nor lines of JSON")

// Is reports whether path is a file of flow records, by how it begins.
func Is(path string) bool {
	f, err := Open(path)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Open opens a file of flow records. It looks at its first octets only.
func Open(path string) (*File, error) { return open(path, new(atomic.Int64)) }

// open has what is read of the stored file added to read.
func open(path string, read *atomic.Int64) (*File, error) {
	stored, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, stored: stored, collector: collector.New(collector.Config{})}
	if err := f.begin(&countingReader{stored, read}); err != nil {
		stored.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// begin finds out what kind of file it is.
func (f *File) begin(stored io.Reader) error {
	f.r = bufio.NewReaderSize(stored, maxMessage)
	if magic, _ := f.r.Peek(2); string(magic) == "\x1f\x8b" { // gzip (RFC 1952 §2.3.1)
		z, err := gzip.NewReader(f.r)
		if err != nil {
			return err
		}
		f.r = bufio.NewReaderSize(z, maxMessage)
	}
	magic, err := f.r.Peek(2)
	switch {
	case len(magic) == 2 && binary.BigEndian.Uint16(magic) == versionIPFIX:
		f.next, f.message = f.nextMessage, make([]byte, maxMessage)
	case len(magic) == 2 && magic[0] == '{':
		f.next = f.nextLine
	case err != nil && err != io.EOF:
		return err
	default:
		return errFormat
	}
	return nil
}

// Next reads a message or a line and hands its records to emit, as
// collector.Collector.Decode does. At a clean end it returns io.EOF; damage is an error
// that names the place, and behind it nothing can be read.
func (f *File) Next(emit func(*collector.Record)) error {
	at := f.offset
	err := f.next(emit)
	if err == nil {
		f.units++
		return nil
	}
	if err == io.EOF {
		return err
	}
	return fmt.Errorf("%s: after %d whole messages or lines, at offset %d: %w", f.path, f.units, at, err)
}

// Stats returns what was read so far: Datagrams are messages or lines.
func (f *File) Stats() collector.Stats {
	if f.message == nil {
		return f.lines
	}
	return f.collector.Stats()
}

// Close closes the file.
func (f *File) Close() error { return f.stored.Close() }

// versionIPFIX and headerIPFIX are the version number and the octets of a Message Header
// (RFC 7011 §3.1).
const (
	versionIPFIX = 10
	headerIPFIX  = 16
)

func (f *File) nextMessage(emit func(*collector.Record)) error {
	header := f.message[:headerIPFIX]
	if _, err := io.ReadFull(f.r, header); err != nil {
		return err // io.EOF only where there is no octet
	}
	n := int(binary.BigEndian.Uint16(header[2:]))
	if version := binary.BigEndian.Uint16(header); version != versionIPFIX || n < headerIPFIX {
		return fmt.Errorf("no IPFIX message: version %d, length %d", version, n)
	}
	if _, err := io.ReadFull(f.r, f.message[headerIPFIX:n]); err == io.EOF {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	if err := f.collector.Decode(f.message[:n], netip.AddrPort{}, time.Time{}, emit); err != nil {
		return err
	}
	f.offset += int64(n)
	return nil
}

func (f *File) nextLine(emit func(*collector.Record)) error {
	text, err := f.r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return fmt.Errorf("a line of more than %d octets", maxMessage)
	case err == io.EOF && len(text) == 0:
		return err
	case err != nil && err != io.EOF: // the last line may have no end
		return err
	}
	n := int64(len(text))
	if text = bytes.TrimSpace(text); len(text) == 0 {
		f.offset += n
		return nil
	}
	r, err := f.line.parse(text)
	if err == io.EOF {
		return io.ErrUnexpectedEOF // the object's, not the file's
	} else if err != nil {
		return err
	}
	f.offset += n
	f.lines.Datagrams++
	if r.Options {
		f.lines.Options++
	} else {
		f.lines.Records++
	}
	emit(r)
	return nil
}

// countingReader counts what is read, for whoever shows the progress.
type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
