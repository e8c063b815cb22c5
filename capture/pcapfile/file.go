package pcapfile

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// stdin is the path that stands for the standard input.
const stdin = "-"

// file is one open capture file.
type file struct {
	path    string
	close   func() error
	window  *window
	format  format
	packets uint64 // that were read
}

// openFile opens a file and reads its header. The octets read from it, as they
// are stored, are added to read.
func openFile(path string, standard io.Reader, read *atomic.Int64) (*file, error) {
	f := &file{path: path, close: func() error { return nil }}
	stored := standard
	if path != stdin {
		osFile, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		f.close, stored = osFile.Close, osFile
	}
	if err := f.begin(&countingReader{stored, read}); err != nil {
		_ = f.close() // it was only read from
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// errFormat says that a file is something else.
var errFormat = errors.New("not a pcap or pcapng file")

// begin finds out what kind of file it is by the magic numbers.
func (f *file) begin(stored io.Reader) error {
	r := bufio.NewReaderSize(stored, 64<<10)
	if magic, _ := r.Peek(2); string(magic) == "\x1f\x8b" { // gzip (RFC 1952 §2.3.1)
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		f.window = newWindow(z)
	} else {
		f.window = newWindow(r)
	}
	magic, err := f.window.peek(4)
	if err == io.EOF {
		return errFormat
	}
	if err != nil {
		return err
	}
	if _, _, ok := pcapMagic(magic); ok {
		f.format, err = newPcap(f.window)
		return err
	}
	if uint32At(magic, false) != blockSection {
		return errFormat
	}
	f.format = newPcapng(f.window)
	return nil
}

// next reads a packet. At a clean end it returns io.EOF, otherwise an error
// that names the place; only another file can be read then.
func (f *file) next(r *record) error {
	err := f.format.next(r)
	if err == nil {
		f.packets++
		return nil
	}
	if err == io.EOF {
		return err
	}
	return fmt.Errorf("%s: packet %d, offset %d: %w", f.path, f.packets+1, f.window.at, err)
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
